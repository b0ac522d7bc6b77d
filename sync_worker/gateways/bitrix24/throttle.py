"""How fast we may go: a token is taken from the portal's shared bucket before every request.

The portal's own rule is a counter that grows by one a request, falls by `rate` once a second, and refuses above
`burst` (reference/bitrix24: limits). Ours is the same bucket, shared by all processes, a little smaller: the portal's
counter falls in whole seconds, so for up to a second it may stand higher than ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Bucket(Protocol):
    """The shared counter; kept in Redis by store/budget.py."""

    def take(self, *, rate_per_second: float, burst: float, max_wait_seconds: float, cost: float = 1) -> float:
        """Seconds to wait before the call that this token pays for. Errors: RateLimited."""

    def penalise(self, seconds: float) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the portal's plan allows."""

    rate_per_second: float
    burst: float


PLAN_LIMITS = {
    "standard": Limits(rate_per_second=2, burst=50),
    "enterprise": Limits(rate_per_second=5, burst=250),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttle:
    """Waits for a token; gives up with RateLimited when the queue for tokens is longer than `max_wait_seconds`."""

    bucket: Bucket
    limits: Limits
    sleep: Callable[[float], None]
    max_wait_seconds: float = 20.0
    backoff_seconds: float = 5.0

    def take(self) -> None:
        seconds = self.bucket.take(
            rate_per_second=self.limits.rate_per_second,
            burst=max(1.0, self.limits.burst - self.limits.rate_per_second - 1),
            max_wait_seconds=self.max_wait_seconds,
        )
        if seconds > 0:
            self.sleep(seconds)

    def refused(self) -> None:
        """The portal refused all the same, so somebody else uses its budget: everybody steps back."""
        self.bucket.penalise(self.backoff_seconds)
