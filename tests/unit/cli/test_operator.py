from __future__ import annotations

import socket

from sync_worker.cli.operator import operator


def test_a_deed_is_signed_by_user_and_host() -> None:
    user, _, host = operator().partition("@")

    assert user
    assert host == socket.gethostname()
