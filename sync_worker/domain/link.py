"""Who is who on both sides, and what both sides last agreed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sync_worker.domain.identity import RecordRef, System
from sync_worker.domain.merge import Baseline


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """ "This record and that record are the same thing." A tombstone once one of them was deleted."""

    bitrix24: RecordRef
    onec: RecordRef
    deleted_in: System | None = None  # which side deleted its record; the link is kept as a tombstone

    def other(self, ref: RecordRef) -> RecordRef:
        return self.onec if ref.system is System.BITRIX24 else self.bitrix24

    def bury(self, system: System) -> Link:
        return replace(self, deleted_in=system)


def names_of(ref: RecordRef, link: Link | None) -> tuple[RecordRef, ...]:
    """The record by its own name and by its partner's: a letter or a story filed under one holds both."""
    return (ref, link.other(ref)) if link else (ref,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What is remembered of one link beside the link itself."""

    baseline: Baseline | None = None  # both ways: the field values last agreed on
    sent: str | None = None  # one way: the fingerprint of what was last sent
    sequence: int = 0  # 1C's write counter of the newest state that was handled
    version: str | None = None  # 1C's version of that state
    marks: Mapping[str, str] = field(default_factory=dict)  # small facts, such as the order number put in the timeline
