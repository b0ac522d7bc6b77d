"""What the portal was asked: one line a request, and the counters that a budget is measured by."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 100_000


@dataclass(slots=True)
class Journal:
    """Requests in the order in which they were answered. Thread-safe."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.clear()

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
            self.counters["requests"] += 1
            self.counters["commands"] += 1 if commands is None else len(commands)
            if error == "QUERY_LIMIT_EXCEEDED":
                self.counters["refused_503"] += 1
            if error == "OPERATION_TIME_LIMIT":
                self.counters["refused_429"] += 1

    def count_refused_command(self) -> None:
        """Count a command of a batch that its method's operating budget refused."""
        with self._lock:
            self.counters["refused_429"] += 1

    def clear(self) -> None:
        with self._lock:
            self.calls.clear()
            self.counters.update(requests=0, commands=0, refused_503=0, refused_429=0)

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {"calls": list(self.calls), "counters": dict(self.counters)}
