"""What happens next after a failure: pure, a table of numbers. Nothing here sleeps or sends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sync_worker.errors import (
    BadEvent,
    Misconfigured,
    NeedsPerson,
    NotYetLinked,
    OutcomeUnknown,
    RateLimited,
    RecordBusy,
    TryLater,
)

LONGEST_COUNTDOWN_SECONDS = 15  # far below the broker's visibility timeout; longer waits are parked in the store
LONGEST_WAIT_SECONDS = 900
HALT_SECONDS = 60
BUG_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Try again after `seconds` (whole ones, at least 1: RabbitMQ's delayed delivery knows no other)."""

    seconds: int
    counts: bool = True  # False where waiting is no failed attempt


@dataclass(frozen=True, slots=True)
class Park:
    """Set aside in the store for `seconds`."""

    seconds: int
    counts: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Something is configured wrongly: set aside and alarm; neither attempts nor age count."""

    seconds: int = HALT_SECONDS


Decision = WaitFor | Park | GiveUp | Halt


def decide(error: Exception, *, attempts: int, age_seconds: float, max_age_seconds: float, jitter: float) -> Decision:
    """`attempts` failed before this one; `age_seconds` since the event was received; `jitter` drawn from [0, 1)."""
    if isinstance(error, Misconfigured):
        return Halt()
    if isinstance(error, (NeedsPerson, BadEvent)):
        return GiveUp()
    if not isinstance(error, (TryLater, OutcomeUnknown)):
        return GiveUp() if attempts + 1 >= BUG_ATTEMPTS else wait(5 * (1 + jitter))
    if age_seconds > max_age_seconds:
        return GiveUp()
    if isinstance(error, RecordBusy):
        return wait((error.retry_after_seconds or 1) * (1 + jitter), counts=False)
    if isinstance(error, RateLimited):
        return wait((error.retry_after_seconds or 5) * (1 + jitter / 2), counts=False)
    asked = error.retry_after_seconds or 0 if isinstance(error, TryLater) else 0
    first = 5 if isinstance(error, NotYetLinked) else 2
    return wait(max(asked, backoff_seconds(attempts, first=first)) * (1 + jitter / 2))


def backoff_seconds(attempts: int, *, first: float) -> float:
    """first, 2 x first, 4 x first ... up to the ceiling."""
    return min(LONGEST_WAIT_SECONDS, first * 2.0 ** min(attempts, 20))


def wait(seconds: float, *, counts: bool = True) -> WaitFor | Park:
    """A countdown where it is short, else a place in the store."""
    whole = max(1, math.ceil(seconds))
    return WaitFor(whole, counts) if whole <= LONGEST_COUNTDOWN_SECONDS else Park(whole, counts)
