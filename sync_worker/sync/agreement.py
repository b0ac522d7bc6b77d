"""Two records that are each other's partners: merge, write both sides, remember what they agreed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordRef, System
from sync_worker.domain.letter import Decision
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.merge import Baseline, Plan, Why, merge
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import CounterpartyRules
from sync_worker.entities.contact import LISTS, CounterpartyRecord
from sync_worker.errors import FieldConflict, LinkBroken
from sync_worker.sync.chapter import note_lost, note_verdicts, note_written
from sync_worker.sync.one_way import gone
from sync_worker.sync.partners import ENTITY, names
from sync_worker.sync.ports import CounterpartySide, Links, Memories


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    bitrix24: CounterpartySide
    onec: CounterpartySide
    links: Links
    memories: Memories
    rules: CounterpartyRules

    def reach(
        self,
        left: CounterpartyRecord,
        right: CounterpartyRecord,
        memory: Memory,
        decision: Decision,
        *,
        created: bool,
    ) -> Outcome:
        """Merge and write both sides; 1C first, because it is the one that may refuse for a person's reasons."""
        plan = self.plan(left, right, memory, decision, created=created)
        if not left.is_whole and (plan.to_bitrix24 or not names(left, right.ref)):
            found = self.bitrix24.read(left.ref)  # what is to be written with has to be whole
            if found is None:
                return gone(left.ref, self.links)
            return self.reach(found, right, memory, decision, created=created)
        to_onec = plan.to_onec
        if _kind_moved(left, right, memory):
            to_onec["kind"] = left.kind.value
        is_linked_both_ways = names(left, right.ref) and names(right, left.ref)
        _note_lost(plan)  # before it is overwritten: the answer of a write may be lost
        relink = not decision.is_blank or _is_out_of_date(right, left)
        with _gone_if_broken(right.ref, left.ref):
            right_after = self.onec.update(right, to_onec, source=left, relink=relink)
        note_written(System.ONEC.value, to_onec)
        with _gone_if_broken(left.ref, right.ref):
            left_after = self.bitrix24.update(left, plan.to_bitrix24, source=right) if left.is_whole else left
        note_written(System.BITRIX24.value, plan.to_bitrix24)
        self._remember(left_after, right_after)
        if created:
            return Outcome.CREATED
        return Outcome.UPDATED if to_onec or plan.to_bitrix24 or not is_linked_both_ways else Outcome.UNCHANGED

    def plan(
        self,
        left: CounterpartyRecord,
        right: CounterpartyRecord,
        memory: Memory,
        decision: Decision,
        *,
        created: bool,
    ) -> Plan:
        """Errors: FieldConflict."""
        plan = merge(
            baseline=memory.baseline,
            bitrix24=left.fields,
            onec=right.fields,
            owners=self.rules.owners,
            fill_blank=self.rules.fill_blank or created,  # a record that was just made has no opinion yet
            lists=LISTS,
            settled=decision.fields,
        )
        note_verdicts(plan.verdicts)
        if plan.conflicts:
            raise FieldConflict(_shown(plan))
        return plan

    def is_echo(self, left: CounterpartyRecord, link: Link, memory: Memory) -> bool:
        """True where the record is just as we last left it: the event is the echo of our own write."""
        return (
            memory.baseline is not None
            and dict(left.fields) == memory.baseline.bitrix24
            and names(left, link.onec)
            and memory.marks.get("kind") == left.kind.value
        )

    def is_as_agreed(self, right: CounterpartyRecord, link: Link, memory: Memory) -> bool:
        """True where 1C's record holds what was agreed and still carries the portal's id.

        Not while only one of the two was made from the other: the portal's card may not have the 1C ref yet.
        """
        if "kind" not in memory.marks:
            return False
        agreed = memory.baseline is not None and dict(right.fields) == memory.baseline.onec
        return agreed and names(right, link.bitrix24)

    def _remember(self, left: CounterpartyRecord, right: CounterpartyRecord) -> None:
        baseline = Baseline(bitrix24=left.fields, onec=right.fields)
        marks = {"kind": left.kind.value}
        memory = Memory(baseline=baseline, sequence=right.sequence, version=right.version, marks=marks)
        self.memories.save(ENTITY, left.ref, memory)


def _note_lost(plan: Plan) -> None:
    for one in plan.lost:
        is_left = one.lost is System.BITRIX24
        value, kept = (one.bitrix24, one.for_bitrix24) if is_left else (one.onec, one.for_onec)
        note_lost(field=one.field, system=str(one.lost), value=value, kept=kept, is_put_back=one.is_put_back)


@contextmanager
def _gone_if_broken(ref: RecordRef, partner: RecordRef) -> Iterator[None]:
    """A remote that refuses a write because `ref` is gone does not say whose partner that was."""
    try:
        yield
    except LinkBroken as error:
        error.gone, error.left = error.gone or ref, error.left or partner
        raise


def _is_out_of_date(right: CounterpartyRecord, left: CounterpartyRecord) -> bool:
    """True where 1C's record names another card than the one that is its partner: as a decision or a merge left it."""
    return right.other_ref is not None and not names(right, left.ref)


def _kind_moved(left: CounterpartyRecord, right: CounterpartyRecord, memory: Memory) -> bool:
    """A company that became a sole trader in Bitrix24 becomes one in 1C; the other way nothing can be written."""
    before = memory.marks.get("kind")
    return before is not None and left.kind.value != before and right.kind is not left.kind


def _shown(plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    """What a person has to decide: what was decided already too, since nothing of it was written."""
    undecided = [one for one in plan.verdicts if one.why in (Why.CONFLICT, Why.SETTLED)]
    return {
        one.field: {
            "baseline": one.baseline.bitrix24[one.field] if one.baseline else None,
            "bitrix24": one.bitrix24,
            "onec": one.onec,
        }
        for one in undecided
    }
