"""1C sessions that outlive one call, so that one licence and one slow start serve many (notes on 1C, 1.3).

A session serves one call at a time. It is taken and given back while a slot is held, so where all workers share one
`SessionCookies`, there are never more sessions than slots: a new one is started only when none lies idle.
"""

from __future__ import annotations

import threading
from typing import Protocol

COOKIE = "ibsession"


class SessionCookies(Protocol):
    """Idle sessions that anybody who holds a slot may go on with."""

    def take(self) -> str | None:
        """Remove the one used last, and return its cookie: it is the least likely to have timed out."""

    def give_back(self, cookie: str) -> None: ...


class LocalCookies:
    """The idle sessions of one process. Several processes need a shared store, or they hold a licence each."""

    def __init__(self) -> None:
        self._idle: list[str] = []
        self._lock = threading.Lock()

    def take(self) -> str | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give_back(self, cookie: str) -> None:
        with self._lock:
            self._idle.append(cookie)


def session_headers(cookie: str | None) -> dict[str, str]:
    """Go on with a session, or ask for one to keep. A publication that allows none says nothing to it."""
    return {"Cookie": f"{COOKIE}={cookie}"} if cookie else {"IBSession": "start"}
