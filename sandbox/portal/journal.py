"""What the portal was asked: one line a request, and the counters that a budget is measured by."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 100_000
_COUNTED = (
    "requests",
    "commands",  # a request that is no batch is one; of a batch refused for its rate nobody read them
    "batches",  # with commands that were read
    "batched_commands",
    "most_in_batch",
    "refused_503",  # requests above the bucket
    "refused_429",  # requests and commands without running time left: the sum of the next two
    "refused_429_requests",
    "refused_429_commands",  # inside of batches
    "max_concurrent_requests",
)


@dataclass(slots=True)
class Journal:
    """Requests in the order in which they were answered. Thread-safe; a note costs the same however many there are."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    methods: Counter[str] = field(default_factory=Counter)  # commands by method, and requests under `batch`
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.clear()

    @contextmanager
    def open_request(self) -> Iterator[None]:
        """Count a request as under way."""
        with self._lock:
            self._open += 1
            self.counters["max_concurrent_requests"] = max(self.counters["max_concurrent_requests"], self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def note(
        self, *, at: float, method: str, status: int | None, error: Any, user: int | None, commands: list[str] | None
    ) -> None:
        """Write down a request; `commands` are a batch's methods, None for any other."""
        line = {"at": at, "method": method, "status": status, "error": error, "user": user}
        line |= {"batch_size": len(commands) if commands is not None else None, "commands": commands or []}
        with self._lock:
            self.calls.append(line)
            if len(self.calls) > _LONGEST:
                del self.calls[: _LONGEST // 2]
            self._count(method, commands)
            if error == "QUERY_LIMIT_EXCEEDED":
                self.counters["refused_503"] += 1
            if error == "OPERATION_TIME_LIMIT":
                self._count_refused("refused_429_requests")

    def _count(self, method: str, commands: list[str] | None) -> None:
        self.counters["requests"] += 1
        self.counters["commands"] += 1 if commands is None else len(commands)
        self.methods[method] += 1
        if commands:
            self.methods.update(commands)
            self.counters["batches"] += 1
            self.counters["batched_commands"] += len(commands)
            self.counters["most_in_batch"] = max(self.counters["most_in_batch"], len(commands))

    def _count_refused(self, name: str) -> None:
        self.counters[name] += 1
        self.counters["refused_429"] += 1

    def count_refused_command(self) -> None:
        """Count a command of a batch that its method's operating budget refused."""
        with self._lock:
            self._count_refused("refused_429_commands")

    def clear(self) -> None:
        """Begin anew; what is under way stays counted as such."""
        with self._lock:
            self.calls.clear()
            self.methods.clear()
            self.counters.update(dict.fromkeys(_COUNTED, 0), max_concurrent_requests=self._open)

    def totals(self) -> dict[str, Any]:
        """Give the counters, with what follows from them: `average_fill` is commands per batch, 0.0 without one."""
        with self._lock:
            batches = self.counters["batches"]
            fill = round(self.counters["batched_commands"] / batches, 2) if batches else 0.0
            return {
                **self.counters,
                "average_fill": fill,
                "open_requests": self._open,
                "methods": dict(sorted(self.methods.items())),
            }

    def as_json(self, *, last: int | None = None) -> dict[str, Any]:
        """Give the newest `last` lines, oldest first (None: all that are kept), and the counters."""
        with self._lock:
            calls = list(self.calls if last is None else self.calls[max(0, len(self.calls) - last) :])
        return {"calls": calls, "counters": self.totals()}
