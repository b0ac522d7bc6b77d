"""What the base was asked, and how it ended: the sandbox's own memory, for people and tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

_KEPT_CALLS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalEntry:
    """One call. `status` is None where the connection was cut; `items` counts records sent or listed."""

    at: float  # seconds since 1970
    method: str
    path: str
    status: int | None
    items: int


class Journal:
    """The last calls, and counters over all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._entries: deque[JournalEntry] = deque(maxlen=_KEPT_CALLS)
            self._requests = 0
            self._items = 0
            self._now_open = 0
            self._peak_open = 0

    @contextmanager
    def open_request(self) -> Iterator[None]:
        """Counts a request as under way."""
        with self._lock:
            self._requests += 1
            self._now_open += 1
            self._peak_open = max(self._peak_open, self._now_open)
        try:
            yield
        finally:
            with self._lock:
                self._now_open = max(0, self._now_open - 1)

    def note(self, entry: JournalEntry) -> None:
        with self._lock:
            self._items += entry.items
            self._entries.append(entry)

    @property
    def calls(self) -> list[JournalEntry]:
        with self._lock:
            return list(self._entries)

    @property
    def counters(self) -> dict[str, int]:
        with self._lock:
            return {"requests": self._requests, "items": self._items, "max_concurrent_requests": self._peak_open}

    def show(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self.calls]
