"""Which doorbells need no look of their own: pure, over the moment at which the record's last good read began.

A doorbell says "look". Whoever looked after it was rung has seen what it was rung for, so that looking once answers
all that were rung before.
"""

from __future__ import annotations

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
