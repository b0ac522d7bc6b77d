"""What managers and bookkeepers do with their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.contract import Change
from sync_worker.domain.identity import RecordRef, System
from sync_worker.entities.contact import CounterpartyRecord
from tests.unit.sync.history_sides import Fate
from tests.unit.sync.history_stage import Stage
from tests.unit.sync.history_values import PARTIES, field_of, merged_fields, value_of
from tests.unit.sync.world import BLANK


@dataclass(frozen=True)
class Step:
    """One thing that happens. The numbers choose among whatever there is then."""

    kind: str  # of STEPS
    side: System
    which: int  # record, event or letter
    what: int  # party or field
    value: int
    wait: float  # seconds before it
    fate: Fate | None  # of a piece of work


class People:
    """`typed` is what people wrote last into each field."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.typed: dict[tuple[RecordRef, str], Any] = {}

    def type_in(self, step: Step) -> None:
        kind, known = PARTIES[step.what % len(PARTIES)]
        side, extra = self.stage.sides[step.side], field_of(step.which)
        fields = {**BLANK, extra: value_of(step.side, extra, step.value), **known}
        ref = side.new_ref(kind)
        self._note(ref, fields)
        side.put(CounterpartyRecord(ref=ref, kind=kind, fields=fields))

    def edit(self, step: Step) -> tuple[RecordRef, str] | None:
        """Which field of which record was written; None where there is no record."""
        ref, name = self._choose(step), field_of(step.what)
        if ref is None:
            return None
        self.write(ref, name, value_of(step.side, name, step.value))
        return ref, name

    def edit_both(self, step: Step) -> None:
        """Two people write the same field of one party, each on his side, and not the same."""
        pairs = list(self.stage.pairs())
        name = field_of(step.what) if step.value % 2 else ("name", "comment")[step.what % 2]
        if pairs:
            for record, number in zip(pairs[step.which % len(pairs)], (step.value, step.value + 1), strict=True):
                self.write(record.ref, name, value_of(record.ref.system, name, number))

    def write(self, ref: RecordRef, name: str, value: Any) -> None:
        self._note(ref, {name: value})
        self.stage.sides[ref.system].edit(ref, **{name: value})

    def delete(self, step: Step) -> None:
        ref = self._choose(step)
        if ref is None:
            return
        self.stage.seen["deletion"] += self.stage.links.find(ref) is not None
        if ref.system is System.ONEC:
            self.stage.base.alter(ref, is_deleted=True)
        else:
            self.stage.bin[ref] = self._remove(ref)

    def restore(self, step: Step) -> None:
        deleted = [ref for ref in self.stage.deleted() if ref.system is step.side]
        if deleted:
            self.bring_back(deleted[step.which % len(deleted)])

    def bring_back(self, ref: RecordRef) -> None:
        self.stage.seen["restored"] += 1
        if ref.system is System.ONEC:
            self.stage.base.alter(ref, is_deleted=False)
        else:
            self.stage.portal.put(self.stage.bin.pop(ref))

    def merge(self, step: Step) -> None:
        """The manager makes one of two cards: the portal deletes one and updates the other."""
        cards = self.stage.alive(System.BITRIX24)
        winner = cards[step.which % len(cards)] if cards else None
        others = [ref for ref in cards if winner is not None and ref != winner and ref.type is winner.type]
        if winner is None or not others:
            return
        self.stage.seen["merge"] += 1
        loser = self._remove(others[step.what % len(others)])
        kept = self.stage.portal.records[winner]
        fields = merged_fields(kept.fields, loser.fields)
        self._note(winner, fields)
        self.stage.portal.alter(winner, fields=fields, other_ref=kept.other_ref or loser.other_ref)
        self.stage.portal.requisites[self.stage.part_of(loser.ref)] = winner

    def _remove(self, ref: RecordRef) -> CounterpartyRecord:
        self.stage.portal.requisites.pop(self.stage.part_of(ref), None)
        removed = self.stage.portal.records.pop(ref)
        self.stage.announce(ref, Change.DELETED)
        return removed

    def _choose(self, step: Step) -> RecordRef | None:
        alive = self.stage.alive(step.side)
        return alive[step.which % len(alive)] if alive else None

    def _note(self, ref: RecordRef, fields: Mapping[str, Any]) -> None:
        self.typed |= {(ref, name): value for name, value in fields.items()}
