"""The portal's time: real for records, and optionally running faster for limits, delays and slowness."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

MOSCOW = timezone(timedelta(hours=3))  # the server's offset, as every date of the REST shows it


class PortalClock:
    """`scale` portal seconds pass in one real second for everything that waits or is limited."""

    def __init__(self, seconds: Callable[[], float] = time.time, *, scale: float = 1.0) -> None:
        self._seconds = seconds
        self._scale = scale
        self._started = seconds()

    def real(self) -> float:
        """Unix time in seconds."""
        return self._seconds()

    def scaled(self) -> float:
        """Unix time in seconds as the limits see it."""
        return self._started + (self._seconds() - self._started) * self._scale

    def unscaled(self, at: float) -> float:
        """Say when, in real Unix time, the limits' clock will show `at`."""
        return self._started + (at - self._started) / self._scale

    def portal_seconds(self, real_seconds: float) -> float:
        """Say how long a real while is to the limits."""
        return real_seconds * self._scale

    def now(self) -> datetime:
        """Say when a record is changed now: to the second, in the server's zone."""
        return datetime.fromtimestamp(int(self._seconds()), tz=UTC).astimezone(MOSCOW)

    def sleep(self, seconds: float) -> None:
        """Let `seconds` of the portal's time pass."""
        if seconds > 0:
            time.sleep(seconds / self._scale)


def iso(at: float) -> str:
    """Write a Unix time as the envelope has it: to the second, with the server's offset."""
    return datetime.fromtimestamp(int(at), tz=MOSCOW).isoformat()
