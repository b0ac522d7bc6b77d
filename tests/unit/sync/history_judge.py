"""What the exchange may write while a history runs, and what must hold at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, System
from sync_worker.domain.letter import Decision
from sync_worker.domain.merge import is_blank
from sync_worker.entities.contact import CounterpartyRecord
from tests.unit.sync.history_people import People
from tests.unit.sync.history_stage import Stage
from tests.unit.sync.history_values import UNKNOWN_HERE, UNKNOWN_THERE, has_same_key


@dataclass(frozen=True)
class Work:
    """One event in a worker's hands."""

    event: ChangeEvent
    decision: Decision | None  # that it carries out
    known: frozenset[RecordRef]  # the record that it is about, and its partner: whose letters hold it back
    raced: set[tuple[RecordRef, str]] = field(default_factory=set)  # somebody edited these in the middle of it
    gave_way: list[tuple[RecordRef, str, Any]] = field(default_factory=list)  # typed by a person, and overwritten


class Judge:
    """`broken` are sentences about what must not be."""

    def __init__(self, stage: Stage, people: People) -> None:
        self.stage, self.people = stage, people
        self.broken: list[str] = []
        self.work: Work | None = None
        self.gave_way: list[tuple[RecordRef, str, Any]] = []  # and has to be told of
        self._wanted: dict[tuple[str | None, datetime], list[RecordRef]] = {}
        stage.on_write = self.look

    def begin(self, event: ChangeEvent) -> Work:
        letter = self.stage.letters.get(event.letter) if event.letter else None
        subject = self.stage.portal.requisites.get(event.record, event.record)
        link = self.stage.links.find(subject)
        known = frozenset({subject, link.other(subject)} if link else {subject})
        self.work = Work(event, letter.decision if letter else None, known)
        return self.work

    def end(self, work: Work, *, tells: bool) -> None:
        """`tells`: the work could tell its story, be it of a failure."""
        self.work = None
        self.gave_way += work.gave_way if tells else []

    # --- each write --------------------------------------------------------------------------------------------------

    def look(self, before: CounterpartyRecord | None, after: CounterpartyRecord) -> None:
        if self.work is None:
            return  # a person wrote it
        if self.work.decision is None and after.ref in self.work.known:
            self._look_at_letter(self.work, after)
        if before is None:
            self._look_at_creation(self.work, after)
            return
        for name in self.stage.rules.owners:
            if before.fields.get(name) != after.fields.get(name) and (after.ref, name) not in self.work.raced:
                self._look_at_field(self.work, name, before, after)

    def _look_at_letter(self, work: Work, after: CounterpartyRecord) -> None:
        letter = self.stage.letters.of_record(EntityKind.CONTACT, [after.ref])
        if letter is not None and letter.holds_back and letter.id != work.event.letter:
            self.broken.append(f"{after.ref} was written by {work.event.record}, though letter {letter.cause} waits")

    def _look_at_creation(self, work: Work, after: CounterpartyRecord) -> None:
        side = self.stage.sides[after.ref.system]
        if work.decision is not None and work.decision.create:
            doubles = self._made_for(work.event, after)
        else:
            others = [one for one in side.records.values() if one.ref != after.ref and not one.is_deleted]
            doubles = [one.ref for one in others if one.other_ref == after.other_ref]
            doubles += [one.ref for one in others if side.made_from is not None and has_same_key(side.made_from, one)]
        if doubles:
            self.broken.append(f"{after.ref} was made for {after.other_ref}, a double of {[*map(str, doubles)]}")

    def _made_for(self, event: ChangeEvent, made: CounterpartyRecord) -> list[RecordRef]:
        """Living records that this decision had made before: a person wanted one."""
        before = self._wanted.setdefault((event.letter, event.seen_at), [])
        before.append(made.ref)
        return [ref for ref in before[:-1] if ref in self.stage.sides[ref.system].records]

    def _look_at_field(self, work: Work, name: str, before: CounterpartyRecord, after: CounterpartyRecord) -> None:
        was, base, owner = before.fields.get(name), self._agreed(after.ref, name), self.stage.rules.owners[name].system
        if owner is after.ref.system and not (is_blank(was) and is_blank(base)):
            self.broken.append(f"{after.ref} owns {name}: {was!r} became {after.fields[name]!r}; agreed was {base!r}")
        is_typed = self.people.typed.get((after.ref, name)) == was
        if owner not in (None, after.ref.system) and is_typed and not is_blank(was) and was != base:
            work.gave_way.append((after.ref, name, was))

    def _agreed(self, ref: RecordRef, name: str) -> Any:
        link = self.stage.links.find(ref)
        baseline = self.stage.memories.get(EntityKind.CONTACT, link.bitrix24).baseline if link else None
        if baseline is None:
            return None
        return (baseline.bitrix24 if ref.system is System.BITRIX24 else baseline.onec).get(name)

    # --- the end -----------------------------------------------------------------------------------------------------

    def faults(self) -> Iterator[str]:
        yield from self.broken
        yield from self.letters_left()
        yield from self._unequal()
        yield from self._left_out()
        yield from self._untold()

    def letters_left(self) -> Iterator[str]:
        for letter in self.stage.waiting_letters():
            yield f"letter {letter.cause} of {letter.record} waits: {letter.message}"

    def _unequal(self) -> Iterator[str]:
        for left, right in self.stage.pairs():
            for name in sorted(left.fields.keys() & right.fields.keys()):
                one, other = left.fields[name], right.fields[name]
                cannot_hold = name == "responsible" and (one == UNKNOWN_THERE or other == UNKNOWN_HERE)
                if one != other and not cannot_hold:
                    yield f"{name} is {one!r} in {left.ref} and {other!r} in {right.ref}"
            if left.other_ref != right.ref.id or right.other_ref != left.ref.external_id:
                yield f"{left.ref} and {right.ref} name {left.other_ref} and {right.other_ref}"

    def _left_out(self) -> Iterator[str]:
        """Whoever is there has a partner, or had one that was deleted and given up by a person."""
        paired = {one.ref for pair in self.stage.pairs() for one in pair}
        for ref in (*self.stage.alive(System.BITRIX24), *self.stage.alive(System.ONEC)):
            link = self.stage.links.find(ref)
            if ref not in paired and (link is None or link.deleted_in is None):
                yield f"{ref} has no partner"

    def _untold(self) -> Iterator[str]:
        for ref, name, value in self.gave_way:
            entries = [entry for side in self.stage.sides.values() for entry in self.stage.stories.read(*side.ever)]
            lost = [one for entry in entries for one in entry.facts.get("lost", ())]
            if not any(one["field"] == name and one["value"] == value for one in lost):
                yield f"{ref} lost {value!r} of {name}, and no story tells of it"
