"""Who is at the keyboard."""

from __future__ import annotations

import getpass
import os
import socket
import sys


def operator() -> str:
    """user@host, for the audit. The one who logged in, where a terminal knows that: also behind sudo."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    for ask in (os.getlogin, getpass.getuser):
        try:
            return ask()
        except (OSError, KeyError, ImportError):  # no terminal; a container's user who has no name
            continue
    return f"uid {os.getuid()}"


def is_at_terminal() -> bool:
    """True where somebody can be asked."""
    return sys.stdin.isatty()
