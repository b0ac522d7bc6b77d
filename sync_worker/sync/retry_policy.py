"""What happens next after a failure: pure, a table of numbers. Nothing here sleeps or sends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sync_worker.errors import (
    BadEvent,
    CircuitOpen,
    Misconfigured,
    NeedsPerson,
    NotYetLinked,
    OutcomeUnknown,
    RateLimited,
    RecordBusy,
    TryLater,
)

LONGEST_COUNTDOWN_SECONDS = 15  # a worker holds what counts down; longer waits are parked in the store
LONGEST_WAIT_SECONDS = 900
HALT_SECONDS = 60
BUG_ATTEMPTS = 3
AGED_ATTEMPTS = 3  # an event that is old because an outage was long has its tries all the same


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
    """No fault of this event: a remote is shut, or something is configured wrongly. Neither attempts nor age count."""

    seconds: int = HALT_SECONDS


NextStep = WaitFor | Park | GiveUp | Halt


def decide(
    error: Exception, *, attempts: int, age_seconds: float, max_age_seconds: float, jitter: float, gathers: bool = False
) -> NextStep:
    """`attempts` failed before this one; `age_seconds` since the event was received; `jitter` drawn from [0, 1).

    `gathers`: events of its record that wait in the store become one, so that is the better place to wait.
    """
    if isinstance(error, Misconfigured):
        return Halt()
    if isinstance(error, CircuitOpen):
        # not until the next probe, which may be two minutes away: it may have come through long before
        return Halt(_whole(min(asked_seconds(error, HALT_SECONDS), HALT_SECONDS) * (1 + jitter / 2)))
    if isinstance(error, (NeedsPerson, BadEvent)):
        return GiveUp()
    if not isinstance(error, (TryLater, OutcomeUnknown)):
        return GiveUp() if attempts + 1 >= BUG_ATTEMPTS else wait(5 * (1 + jitter))
    if isinstance(error, RecordBusy):
        turn = wait(asked_seconds(error, 1) * (1 + jitter), counts=False)
        return Park(turn.seconds, counts=False) if gathers else turn
    if isinstance(error, RateLimited):
        return wait(asked_seconds(error, 5) * (1 + jitter / 2), counts=False)
    if age_seconds > max_age_seconds and attempts + 1 >= AGED_ATTEMPTS:
        return GiveUp()
    first = 5 if isinstance(error, NotYetLinked) else 2
    return wait(max(asked_seconds(error, 0), backoff_seconds(attempts, first=first)) * (1 + jitter / 2))


def asked_seconds(error: Exception, otherwise: float) -> float:
    """How long the raiser asks us to wait; `otherwise` where it does not say."""
    return (error.retry_after_seconds if isinstance(error, TryLater) else None) or otherwise


def backoff_seconds(attempts: int, *, first: float) -> float:
    """first, 2 x first, 4 x first ... up to the ceiling."""
    return min(LONGEST_WAIT_SECONDS, first * 2.0 ** min(attempts, 20))


def wait(seconds: float, *, counts: bool = True) -> WaitFor | Park:
    """A countdown where it is short, else a place in the store."""
    whole = _whole(seconds)
    return WaitFor(whole, counts) if whole <= LONGEST_COUNTDOWN_SECONDS else Park(whole, counts)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
