"""What reading the offline queue needs of the world. Held by a gateway and a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sync_worker.domain.offline import OfflineRow, Readiness, Reserved, Trouble


class Subscriptions(Protocol):
    """Which events the portal puts into the application's queue. Errors of all: as of OfflineQueue."""

    def can_reserve(self) -> bool:
        """True where rows can be handed out and still stay on the portal until they are cleared."""

    def bound(self) -> frozenset[str]:
        """Codes, in upper case."""

    def bind(self, code: str) -> bool:
        """False where this portal has no such event."""


class OfflineQueue(Protocol):
    """The rows. Errors of all: Misconfigured, RateLimited, CircuitOpen, RemoteUnavailable, RemoteRejected,
    StoreUnavailable, RecordBusy; each may be called again after any of them.
    """

    def reserve(self) -> Reserved:
        """The next rows, none where there are none; they stay on the portal, hidden, until `clear`."""

    def reserved(self) -> list[Reserved]:
        """Some of those that were reserved and neither cleared nor marked."""

    def clear(self, process_id: str, rows: Sequence[OfflineRow]) -> None: ...

    def mark_failed(self, process_id: str, rows: Sequence[OfflineRow]) -> None: ...

    def look(self) -> tuple[OfflineRow, ...]:
        """The oldest rows; they stay."""

    def remove(self, rows: Sequence[OfflineRow]) -> None:
        """Take off the portal what `look` returned."""


class OfflineNotes(Protocol):
    """What is remembered from one look to the next. Errors of all: StoreUnavailable."""

    def open(self, rows: Sequence[OfflineRow]) -> None:
        """Rows are about to be taken. `rows`: those that the portal will not have any more then."""

    def opened(self) -> tuple[OfflineRow, ...] | None:
        """What `open` was told; None where all is closed."""

    def close(self) -> None: ...

    def readiness(self) -> Readiness | None: ...

    def note_readiness(self, readiness: Readiness | None) -> None: ...

    def trouble(self) -> Trouble | None: ...

    def note_trouble(self, trouble: Trouble | None) -> None: ...

    def count(self, rows: Mapping[str, int]) -> None:
        """So many more rows came to that."""
