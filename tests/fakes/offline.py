"""Stand-ins for reading the offline queue: notes and tokens in memory, and a client that calls the portal's methods
without HTTP, so that the queue behind it is the sandbox's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.portal import Portal
from sandbox.portal.calls import Call, Listed
from sandbox.portal.errors import RestError
from sync_worker.domain.offline import OfflineRow, Readiness, Tokens, Trouble
from sync_worker.gateways.bitrix24.problems import problem_error


class MemoryOfflineNotes:
    """Port: OfflineNotes."""

    def __init__(self) -> None:
        self._open: tuple[OfflineRow, ...] | None = None
        self._readiness: Readiness | None = None
        self._trouble: Trouble | None = None
        self.counted: Counter[str] = Counter()

    def open(self, rows: Sequence[OfflineRow]) -> None:
        self._open = tuple(rows)

    def opened(self) -> tuple[OfflineRow, ...] | None:
        return self._open

    def close(self) -> None:
        self._open = None

    def readiness(self) -> Readiness | None:
        return self._readiness

    def note_readiness(self, readiness: Readiness | None) -> None:
        self._readiness = readiness

    def trouble(self) -> Trouble | None:
        return self._trouble

    def note_trouble(self, trouble: Trouble | None) -> None:
        self._trouble = trouble

    def count(self, rows: Mapping[str, int]) -> None:
        self.counted.update(rows)


class MemoryTokens:
    """Port: TokenKeeper."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens
        self.saved: list[Tokens] = []
        self.failing: list[Exception] = []  # one for each save to come

    def read(self) -> Tokens | None:
        return self.tokens

    def save(self, tokens: Tokens) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.tokens = tokens
        self.saved.append(tokens)


class InsideClient:
    """What stands for ApplicationClient: the same methods, the same refusals."""

    def __init__(self, portal: Portal, *, user_id: int = 1) -> None:
        self.portal = portal
        self.user_id = user_id
        self.called: list[str] = []
        self.failing: dict[str, Exception] = {}  # method -> what its next call raises instead of being made

    def call(self, method: str, **params: Any) -> Any:
        self.called.append(method)
        if method in self.failing:
            raise self.failing.pop(method)
        entry = self.portal.methods.find(method)
        assert entry is not None, method
        call = Call(world=self.portal.world, user_id=self.user_id, params=params, method=method, is_application=True)
        try:
            result = entry.run(call)
        except RestError as refused:
            raise problem_error(method, refused.status, refused.body(), is_write=False) from None
        return result.result if isinstance(result, Listed) else result
