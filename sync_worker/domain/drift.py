"""What a sweep finds, and how it tells what no event had announced. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordRef

STAMP_PRECISION = timedelta(seconds=1)
"""Bitrix24 writes DATE_MODIFY to the second, cut off: the change came within the second after it."""

CLOCK_MARGIN = timedelta(seconds=1)
"""How far the portal's clock and ours may seem apart after what is known of that was allowed for."""

FEW_GONE = 20
"""So many records may vanish at once before anybody wonders whether their side is empty."""


class Heard(StrEnum):
    """Did an event make somebody look at a record since it changed?"""

    YES = "yes"
    PERHAPS = "perhaps"  # it was read within that very second or two: a look is cheaper than to be wrong
    NO = "no"


def heard_of(*, changed_at: datetime, began: datetime | None, now: datetime) -> Heard:
    """`began`: when the record's last good read began; None where none is known."""
    if began is None or began > now + CLOCK_MARGIN:
        return Heard.NO  # a moment to come is a wrong clock's
    if began >= changed_at + STAMP_PRECISION + CLOCK_MARGIN:
        return Heard.YES
    return Heard.NO if began < changed_at - CLOCK_MARGIN else Heard.PERHAPS


def bell_name(entity: EntityKind | str, ref: RecordRef | str, *, whole: bool = False) -> str:
    """What an event under way is known by; a look at the whole record is more than one at its card."""
    return f"{entity} {ref} whole" if whole else f"{entity} {ref}"


def looks_empty(*, gone: int, of: int) -> bool:
    """True where so much is gone that the side is rather empty, or hidden from us, than tidied up."""
    return gone > FEW_GONE and gone * 2 > of


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamped:
    """A record that Bitrix24 says was changed."""

    ref: RecordRef
    changed_at: datetime
    whole: bool = False  # a part of it was changed (a requisite): a look at its card will not do


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrying:
    """A Bitrix24 record with a 1C ref on it."""

    ref: RecordRef
    onec_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OnecChange:
    """An object's newest state, as 1C has it registered for us (contracts: Event)."""

    ref: RecordRef
    data: Mapping[str, Any] | None  # None for a deletion
    sequence: int
    version: str
    external_id: str | None
    event_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesPage:
    """What 1C has registered, oldest first, and the cursor by which that is confirmed."""

    changes: tuple[OnecChange, ...]
    unreadable: tuple[Mapping[str, Any], ...]  # as they came: they are for a person
    cursor: str
    has_more: bool

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.unreadable)


class SweepState(StrEnum):
    """What came of one source."""

    DONE = "done"
    HELD = "held"  # it found too much: a person is asked
    OFF = "off"  # the base does not offer it
    FAILED = "failed"  # the next sweep begins at the same place


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """One source of a sweep."""

    source: str  # "contact", "gone", "onec" ...
    state: SweepState
    seen: int = 0  # records that it listed
    rung: int = 0  # events that it handed over
    drift: Mapping[EntityKind, int] = field(default_factory=dict)  # of those, which no event had announced
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A source that waits until a person has said that what it found is right."""

    source: str
    reason: str
    found: int  # at least so many
    at: datetime
    released_by: str | None = None  # a person has; the next sweep hands over all of it


def drift_of(parts: list[Swept]) -> dict[EntityKind, int]:
    """By entity, of those that were swept to their end."""
    counts: dict[EntityKind, int] = {}
    for part in parts:
        for entity, count in part.drift.items():
            counts[entity] = counts.get(entity, 0) + count
    return counts
