"""What a sweep needs of the world beside what the flows need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sync_worker.domain.drift import Carrying, ChangesPage, Held, Stamped, Swept
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.domain.link import Link


class PortalSide(Protocol):
    """What the portal lists: ids and stamps only."""

    def now(self) -> datetime:
        """The portal's own time."""

    def changed(self, type_: RecordType, since: datetime) -> Iterator[Sequence[Stamped]]:
        """Records changed at `since` (the portal's time) or after it, a page at a time; of requisites their owners."""

    def carrying(self, type_: RecordType, before: datetime) -> Iterator[Sequence[Carrying]]:
        """All records of this type with a 1C ref on them that were last changed before then (the portal's time)."""

    def gone(self, refs: Iterable[RecordRef]) -> Sequence[RecordRef]:
        """Those that the portal does not list."""


class OnecQueue(Protocol):
    def missing(self) -> str | None:
        """Why the base has no such queue; None where it has."""

    def page(self, *, limit: int) -> ChangesPage:
        """The oldest changes that were not confirmed."""

    def confirm(self, cursor: str) -> None:
        """They are in safety."""


class AllLinks(Protocol):
    def find(self, ref: RecordRef) -> Link | None: ...

    def all(self, cursor: str | None = None, *, limit: int = 500) -> tuple[list[Link], str | None]:
        """Page by page, in no order; a link may be seen twice."""


class UnderWay(Protocol):
    def sequences(self) -> Mapping[str, int]:
        """By drift.bell_name, of all events that will still be looked at; 1C's write counter, 0 for a doorbell."""


class Sweeps(Protocol):
    """What the sweeps remember."""

    def mark(self, source: str) -> datetime | None:
        """When the last sweep of this source that came to its end began; None where none has."""

    def move_mark(self, source: str, at: datetime) -> None: ...

    def held(self) -> Mapping[str, Held]:
        """By source."""

    def hold(self, held: Held) -> None: ...

    def let_go(self, source: str) -> None: ...

    def note(self, parts: Iterable[Swept], drift: Mapping[EntityKind, int], *, at: datetime) -> None:
        """What a sweep found. Entities that `drift` does not name stay as they were."""

    def drift(self) -> Mapping[EntityKind, int]: ...

    def last(self) -> tuple[datetime, list[Swept]] | None: ...
