"""The first limit of a portal: how many requests, whatever they contain."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LeakyBucket:
    """Each request adds one; once a second the level drops by `leak_per_second`; above `threshold` it is refused.

    Source: limits.md of the REST documentation, read 2026-08. A refused request adds nothing.
    """

    def __init__(self, *, leak_per_second: float, threshold: float, seconds: Callable[[], float]) -> None:
        self._leak = leak_per_second
        self._threshold = threshold
        self._seconds = seconds
        self._lock = threading.Lock()
        self._level = 0.0
        self._dropped_at = seconds()

    def take(self) -> bool:
        """Let one request in, or say that it is one too many."""
        with self._lock:
            self._drop()
            if self._level + 1 > self._threshold:
                return False
            self._level += 1
            return True

    def _drop(self) -> None:
        """Apply the drops of the whole seconds that passed: the level falls in steps, not smoothly."""
        passed = int(self._seconds() - self._dropped_at)
        if passed > 0:
            self._level = max(0.0, self._level - self._leak * passed)
            self._dropped_at += passed

    @property
    def level(self) -> float:
        with self._lock:
            self._drop()
            return self._level
