"""The second limit of a portal: how long each method may run for one webhook in ten minutes."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass

from sandbox.portal.clock import PortalClock

WINDOW_SECONDS = 600
BUCKET_SECONDS = 60


@dataclass(slots=True)
class _Minute:
    number: int  # which minute of the clock
    first_at: float  # when the first call was counted in it
    seconds: float  # running time


class OperatingBudget:
    """Running time per (webhook, method) in ten one-minute buckets, each of which expires 600 s after its first call.

    Source: limits.md of the REST documentation, read 2026-08.
    """

    def __init__(self, *, limit_seconds: float, clock: PortalClock) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: dict[tuple[str, str], list[_Minute]] = defaultdict(list)

    def is_spent(self, secret: str, method: str) -> bool:
        """Say whether this method is blocked now. Asked before a call: the one that crosses the line completes."""
        with self._lock:
            return self._sum(self._fresh(secret, method)) > self._limit

    def spend(self, secret: str, method: str, seconds: float) -> tuple[float, int]:
        """Count a call; return the sum now (portal seconds) and when the oldest bucket ends.

        Units: the second is real Unix time whatever the scale, in whole seconds: in a portal whose time runs a hundred
        times as fast the 600 s of a bucket end 6 s from now.
        """
        at = self._clock.scaled()
        with self._lock:
            minutes = self._fresh(secret, method)
            number = int(at // BUCKET_SECONDS)
            if not minutes or minutes[-1].number != number:
                minutes.append(_Minute(number=number, first_at=at, seconds=0.0))
            minutes[-1].seconds += seconds
            resets_at = minutes[0].first_at + WINDOW_SECONDS
            return self._sum(minutes), int(self._clock.unscaled(resets_at))

    def _fresh(self, secret: str, method: str) -> list[_Minute]:
        minutes = self._minutes[secret, method]
        at = self._clock.scaled()
        while minutes and minutes[0].first_at + WINDOW_SECONDS <= at:
            minutes.pop(0)
        return minutes

    @staticmethod
    def _sum(minutes: list[_Minute]) -> float:
        return sum(minute.seconds for minute in minutes)
