"""Which doorbells need no look of their own, by the moment at which the record's last good read began.

A doorbell says "look". Whoever looked after it was rung has seen what it was rung for, so that looking once answers
all that were rung before.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCK_MARGIN = timedelta(seconds=1)
"""How far the clocks of two machines may be apart. The ingress notes when a doorbell rang, a worker when it looked."""

QUIET = timedelta(seconds=1)
"""A record is looked at once in so long; what rings meanwhile is gathered. Not below CLOCK_MARGIN."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Somebody has looked since."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Wait with the record's other doorbells for the next look."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """Nobody has looked since."""


def judge(*, rang_at: datetime, began: datetime | None, now: datetime) -> Covered | Gather | Look:
    """`began`: when the record's last good read began; None where none is known."""
    if began is None or began > now + CLOCK_MARGIN:
        return Look()  # a moment to come is a wrong clock's: to believe it would swallow events until then
    if rang_at < began - CLOCK_MARGIN:  # not at that very moment: an edit may have followed the read
        return Covered()
    quiet_until = began + QUIET
    return Gather(quiet_until) if now < quiet_until else Look()


class InHand:
    """Which records this process is looking at. Between processes a record's lock does the same, later and dearer."""

    def __init__(self) -> None:
        self._names: set[Hashable] = set()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, name: Hashable) -> Iterator[bool]:
        """True where it is ours for as long as the block runs; False where another thread has it."""
        with self._lock:
            is_ours = name not in self._names
            self._names.add(name)
        try:
            yield is_ours
        finally:
            if is_ours:
                with self._lock:
                    self._names.discard(name)
