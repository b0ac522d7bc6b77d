"""A budget that all processes and machines spend from: taken in Redis before the call, by Redis's own clock."""

from __future__ import annotations

from collections.abc import Callable

import redis

from sync_worker.errors import RateLimited
from sync_worker.store.client import load_script, translating


class Bucket:
    """A leaky bucket: each call pours in its cost, `rate_per_second` runs out, and `burst` is where it overflows.

    Who finds it full gets a place after those before him, and is told how long to wait. So no window of t seconds
    sees more than burst + rate_per_second * t. Callers with a smaller `burst` leave room for those with the full one,
    as replay does for live work, if only their burst + rate_per_second * max_wait_seconds stays below it.
    """

    def __init__(self, client: redis.Redis, *, name: str, now: Callable[[], float] | None = None) -> None:
        """`now` gives seconds to go by instead of Redis's own clock, for simulations; processes' clocks differ."""
        self._key = f"sync:budget:{name}"
        self._name = name
        self._now = now
        self._take_budget = load_script(client, "take_budget")
        self._shut_budget = load_script(client, "shut_budget")

    @translating()
    def take(self, *, rate_per_second: float, burst: float, max_wait_seconds: float, cost: float = 1) -> float:
        """Take `cost`, and return the seconds to sleep before the call that it pays for: 0 while there is room.

        Errors: RateLimited where the sleep would be longer than `max_wait_seconds`; nothing is taken then.
        """
        args = [cost, rate_per_second, burst, max_wait_seconds, self._now_or_blank()]
        is_taken, wait = self._take_budget(keys=[self._key], args=args)
        wait_seconds = float(wait)
        if not is_taken:
            raise RateLimited(
                f"the budget {self._name} is spent for the next {wait_seconds:.1f} s",
                retry_after_seconds=wait_seconds,
            )
        return wait_seconds

    @translating()
    def penalise(self, seconds: float) -> None:
        """The remote was full when we thought otherwise: whoever takes from now on waits for `seconds` first.

        After that the bucket still counts as full, so that those who waited do not all call at once.
        """
        self._shut_budget(keys=[self._key], args=[seconds, self._now_or_blank()])

    def _now_or_blank(self) -> str:
        return "" if self._now is None else f"{self._now():.6f}"
