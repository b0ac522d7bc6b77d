"""Sessions and licences: who may be in the base at once, and which cookies still mean something."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class NoLicence(Exception):
    """All licences are taken."""


class SessionExpired(Exception):
    """The cookie is of a session that idled too long."""


class SessionUnknown(Exception):
    """The cookie never was, or its session was finished."""


@dataclass(slots=True)
class _Session:
    """A kept session. It serves one request at a time: the others with its cookie wait."""

    used_at: float
    users: int = 0  # requests in it or waiting for it
    turn: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Counts live sessions against the licences. Idle ones end when somebody next asks."""

    def __init__(self, *, limit: int, idle_seconds: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._kept: dict[str, _Session] = {}
            self._expired: set[str] = set()
            self._passing = 0  # sessions of single requests
            self._awake_until: float | None = None
            self.started = 0
            self.refused = 0
            self.peak = 0

    def wake(self) -> bool:
        """True for the first call after idle: it pays for starting the base's processes."""
        with self._lock:
            now = self._clock()
            slept = self._awake_until is None or now > self._awake_until
            self._awake_until = now + self._idle_seconds
            return slept

    def start(self) -> str:
        """Open a session to keep; its cookie. NoLicence."""
        with self._lock:
            self._admit()
            cookie = str(uuid.uuid4())
            self._kept[cookie] = _Session(used_at=self._clock())
            self._count()
            return cookie

    def finish(self, cookie: str) -> None:
        with self._lock:
            self._kept.pop(cookie, None)

    def expire_all(self) -> None:
        """End every kept session, as a change of the configuration does."""
        with self._lock:
            self._expired.update(self._kept)
            self._kept.clear()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A session for the time of one request. NoLicence."""
        with self._lock:
            self._admit()
            self._passing += 1
            self._count()
        try:
            yield
        finally:
            with self._lock:
                self._passing = max(0, self._passing - 1)  # `clear` may have come in between

    @contextmanager
    def kept(self, cookie: str) -> Iterator[None]:
        """The session of this cookie, when it is free. SessionExpired, SessionUnknown."""
        session = self._claim(cookie)
        try:
            with session.turn:
                yield
        finally:
            with self._lock:
                session.users -= 1
                session.used_at = self._clock()

    def _claim(self, cookie: str) -> _Session:
        with self._lock:
            self._drop_idle()
            if cookie in self._expired:
                self._expired.discard(cookie)
                raise SessionExpired
            session = self._kept.get(cookie)
            if session is None:
                raise SessionUnknown
            session.users += 1
            return session

    def _admit(self) -> None:
        self._drop_idle()
        if len(self._kept) + self._passing >= self._limit:
            self.refused += 1
            raise NoLicence

    def _count(self) -> None:
        self.started += 1
        self.peak = max(self.peak, len(self._kept) + self._passing)

    def _drop_idle(self) -> None:
        oldest = self._clock() - self._idle_seconds
        for cookie, session in list(self._kept.items()):
            if session.users == 0 and session.used_at < oldest:
                del self._kept[cookie]
                self._expired.add(cookie)
