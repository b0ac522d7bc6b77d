"""Contacts, companies and контрагенты, both ways: find the partner, merge, write, remember."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, onec_ref, parse_external_id
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.merge import Baseline, Plan, merge
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, CounterpartyRules, Kind
from sync_worker.entities.contact import (
    CounterpartyRecord,
    best_candidates,
    bitrix24_type,
    match_keys,
    syncs,
)
from sync_worker.errors import AmbiguousMatch, BadEvent, FieldConflict, LinkBroken, NoCounterparty
from sync_worker.sync.one_way import alive, gone, gone_in_onec
from sync_worker.sync.ports import (
    CounterpartyCards,
    CounterpartySide,
    Links,
    Locks,
    Memories,
    OnecStates,
    RequisiteOwners,
)

ENTITY = EntityKind.CONTACT


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterpartyFlow:
    """Brings both sides of one counterparty into agreement, from whichever side the event came."""

    bitrix24: CounterpartySide
    cards: CounterpartyCards
    onec: CounterpartySide
    requisites: RequisiteOwners
    states: OnecStates
    links: Links
    memories: Memories
    locks: Locks
    rules: CounterpartyRules

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        """The record that the event is about: a requisite's event is about its owner."""
        if event.record.type is not RecordType.REQUISITE:
            return event.record
        remembered = self.links.find_owner(event.record)
        if event.change is Change.DELETED or (remembered is not None and self._is_linked(remembered)):
            return remembered
        owner = self.requisites.owner_of(event.record) or remembered
        if owner is not None:
            self.links.remember_owner(event.record, owner)
        return owner

    def _is_linked(self, owner: RecordRef) -> bool:
        """True where both records are there. A requisite has one owner for life, unless that one is merged away."""
        link = self.links.find(owner)
        return link is not None and link.deleted_in is None

    def handle(self, event: ChangeEvent) -> Outcome:
        """`event.record` is the subject already."""
        if event.record.system is System.BITRIX24:
            is_gone = event.change is Change.DELETED
            return gone(event.record, self.links) if is_gone else self.from_bitrix24(event.record, whole=event.whole)
        if event.onec is None:
            raise BadEvent(f"1C's event of {event.record} carries no state")
        if event.change is Change.DELETED:
            return self._gone_in_onec(event.record, event.onec.sequence)
        return self.from_onec(self.states.counterparty(event.record, event.onec))

    # --- from Bitrix24 -----------------------------------------------------------------------------------------------

    def from_bitrix24(self, ref: RecordRef, *, whole: bool) -> Outcome:
        """`whole`: a look at the card will not do."""
        with ExitStack() as held:
            held.enter_context(self.locks.hold(str(ref)))
            link = self.links.find(ref)
            if link is not None and link.deleted_in is System.ONEC:
                return Outcome.SKIPPED
            memory = self.memories.get(ENTITY, ref)
            left = self._read(ref, link, memory, whole=whole)
            if left is None:
                return gone(ref, self.links)
            link = alive(link, System.BITRIX24, self.links)
            if link is None and not syncs(left, self.rules):
                return Outcome.SKIPPED
            if link is not None and self._is_known(left, link, memory):
                return Outcome.ECHO
            right, created = self._partner_in_onec(left, link, held)
            return self._agree(left, right, memory, created=created)

    def _read(self, ref: RecordRef, link: Link | None, memory: Memory, *, whole: bool) -> CounterpartyRecord | None:
        """The card alone where that will do, which costs one command and not three.

        It does where the rest is remembered, and would have rung on its own had it changed.
        """
        kind = memory.marks.get("kind")
        is_linked = link is not None and link.deleted_in is None
        if whole or not is_linked or memory.baseline is None or kind is None or not self.links.rings_for_parts():
            return self.bitrix24.read(ref)
        return self.cards.read_card(ref, remembered=memory.baseline.bitrix24, kind=Kind(kind))

    def ensure(self, ref: RecordRef) -> RecordRef:
        """The 1C counterparty of a Bitrix24 company or contact, sent first if 1C has it not.

        Errors: NoCounterparty where the rules keep it out, and everything that sending may raise.
        """
        link = self.links.find(ref)
        if link is None:
            self.from_bitrix24(ref, whole=True)
            link = self.links.find(ref)
        if link is None:
            return self._ensure_company_of(ref)
        if link.deleted_in:
            raise LinkBroken(f"{ref} was linked to {link.onec}, which was deleted in {link.deleted_in}")
        return link.onec

    def _ensure_company_of(self, ref: RecordRef) -> RecordRef:
        """A contact that the rules keep out may stand for its company."""
        record = self.bitrix24.read(ref)
        if record is not None and record.company_id and self.rules.contacts is Contacts.WITHOUT_COMPANY:
            return self.ensure(RecordRef(system=System.BITRIX24, type=RecordType.COMPANY, id=record.company_id))
        raise NoCounterparty(f"{ref} does not become a counterparty by the rules in sync.toml, or is gone")

    def _partner_in_onec(
        self, left: CounterpartyRecord, link: Link | None, held: ExitStack
    ) -> tuple[CounterpartyRecord, bool]:
        known = link.onec if link else None
        if known is None and left.other_ref:
            known = onec_ref(RecordType.COUNTERPARTY, left.other_ref)
        if known is not None:
            return self._read_known(self.onec, known, left, must_exist=link is not None, held=held)
        return self._find_or_create(self.onec, left, held)

    # --- from 1C -----------------------------------------------------------------------------------------------------

    def from_onec(self, right: CounterpartyRecord) -> Outcome:
        with ExitStack() as held:
            held.enter_context(self.locks.hold(str(right.ref)))
            link = self.links.find(right.ref)
            if link is not None and link.deleted_in is System.BITRIX24:
                return Outcome.SKIPPED
            known = link.bitrix24 if link else parse_external_id(right.other_ref)
            if known is not None:  # before its memory is read, or this state may grow stale while it waits
                held.enter_context(self.locks.hold(str(known)))
            memory = self.memories.get(ENTITY, known) if known else Memory()
            if right.sequence <= memory.sequence:
                return Outcome.STALE
            link = alive(link, System.ONEC, self.links)
            if known is None and not self._may_create(right.kind):
                return Outcome.SKIPPED
            if link is not None and self._is_as_agreed(right, link, memory):
                # its kind may have moved in 1C, but what is remembered is the portal's, which did not
                newest = replace(memory, sequence=right.sequence, version=right.version)
                self.memories.save(ENTITY, link.bitrix24, newest)
                return Outcome.UNCHANGED
            if known is not None:
                left, created = self._read_known(self.bitrix24, known, right, must_exist=link is not None, held=None)
            else:
                left, created = self._find_or_create(self.bitrix24, right, held)
            return self._agree(left, right, self.memories.get(ENTITY, left.ref), created=created)

    def _gone_in_onec(self, ref: RecordRef, sequence: int) -> Outcome:
        link = self.links.find(ref)
        if link is None:
            return Outcome.SKIPPED
        with self.locks.hold(str(ref), str(link.bitrix24)):
            return gone_in_onec(ref, sequence, ENTITY, link.bitrix24, links=self.links, memories=self.memories)

    def _is_as_agreed(self, right: CounterpartyRecord, link: Link, memory: Memory) -> bool:
        """True where 1C's record holds what was agreed and still carries the portal's id."""
        agreed = memory.baseline is not None and dict(right.fields) == memory.baseline.onec
        return agreed and names(right, link.bitrix24)

    def ensure_in_bitrix24(self, ref: RecordRef) -> RecordRef | None:
        """The contact or company of a 1C counterparty, sent first if need be; None where the rules keep it out."""
        link = self.links.find(ref)
        if link is None:
            record = self.onec.read(ref)
            if record is None or record.is_deleted:
                return None
            self.from_onec(record)
            link = self.links.find(ref)
        return link.bitrix24 if link and not link.deleted_in else None

    def _may_create(self, kind: Kind) -> bool:
        if bitrix24_type(kind) is RecordType.COMPANY:
            return self.rules.companies
        return self.rules.contacts is not Contacts.NONE

    # --- both ways ---------------------------------------------------------------------------------------------------

    def _read_known(
        self,
        side: CounterpartySide,
        partner: RecordRef,
        record: CounterpartyRecord,
        *,
        must_exist: bool,
        held: ExitStack | None,
    ) -> tuple[CounterpartyRecord, bool]:
        """The partner by its ref: of the link, or of what is written in the record."""
        found = side.read(partner)
        if found is None or found.is_deleted:
            if must_exist or held is None:
                raise LinkBroken(f"{partner}, the partner of {record.ref}, is gone or marked for deletion")
            return self._find_or_create(side, record, held)  # an id that was left over from somewhere else
        if found.other_ref and not names(found, record.ref):
            raise AmbiguousMatch(
                f"{record.ref} names {partner}, which is linked to {found.other_ref}", candidates=(str(partner),)
            )
        self._save_link(record.ref, partner)
        return found, False

    def _find_or_create(
        self, side: CounterpartySide, record: CounterpartyRecord, held: ExitStack
    ) -> tuple[CounterpartyRecord, bool]:
        """Match by ref and key, else create. Two records with one key wait for each other here."""
        keys = match_keys(record)
        held.enter_context(self.locks.hold(*keys.lock_names()))
        candidates = side.find(keys, linked_to=record.ref)
        partner = choose_partner(record, candidates)
        if partner is not None:
            held.enter_context(self.locks.hold(str(partner.ref)))
            self._save_link(record.ref, partner.ref)
            return partner, False
        created = side.create(record)
        self._save_link(record.ref, created.ref)
        # the new record's own event may be here already, and would add requisite and addresses a second time
        held.enter_context(self.locks.hold(str(created.ref)))
        return created, True

    def _save_link(self, one: RecordRef, other: RecordRef) -> None:
        left, right = (one, other) if one.system is System.BITRIX24 else (other, one)
        self.links.save(Link(bitrix24=left, onec=right))

    def _agree(self, left: CounterpartyRecord, right: CounterpartyRecord, memory: Memory, *, created: bool) -> Outcome:
        """Merge and write both sides; 1C first, because it is the one that may refuse for a person's reasons."""
        plan = self._plan(left, right, memory, created=created)
        if not left.is_whole and (plan.to_bitrix24 or not names(left, right.ref)):
            found = self.bitrix24.read(left.ref)  # what is to be written with has to be whole
            if found is None:
                return gone(left.ref, self.links)
            return self._agree(found, right, memory, created=created)
        to_onec = dict(plan.to_onec)
        if _kind_moved(left, right, memory):
            to_onec["kind"] = left.kind.value
        is_linked_both_ways = names(left, right.ref) and names(right, left.ref)
        right_after = self.onec.update(right, to_onec, source=left)
        left_after = self.bitrix24.update(left, plan.to_bitrix24, source=right) if left.is_whole else left
        baseline = Baseline(bitrix24=left_after.fields, onec=right_after.fields)
        self._remember(left.ref, baseline, right_after, left_after.kind)
        if created:
            return Outcome.CREATED
        return Outcome.UPDATED if to_onec or plan.to_bitrix24 or not is_linked_both_ways else Outcome.UNCHANGED

    def _plan(self, left: CounterpartyRecord, right: CounterpartyRecord, memory: Memory, *, created: bool) -> Plan:
        """Errors: FieldConflict."""
        plan = merge(
            baseline=memory.baseline,
            bitrix24=left.fields,
            onec=right.fields,
            owners=self.rules.owners,
            fill_blank=self.rules.fill_blank or created,  # a record that was just made has no opinion yet
        )
        if plan.conflicts:
            raise FieldConflict(_shown(plan))
        return plan

    def _remember(self, ref: RecordRef, baseline: Baseline, right: CounterpartyRecord, kind: Kind) -> None:
        memory = Memory(baseline=baseline, sequence=right.sequence, version=right.version, marks={"kind": kind.value})
        self.memories.save(ENTITY, ref, memory)

    def _is_known(self, left: CounterpartyRecord, link: Link, memory: Memory) -> bool:
        """True where the record is just as we last left it: the event is the echo of our own write."""
        return (
            memory.baseline is not None
            and dict(left.fields) == memory.baseline.bitrix24
            and names(left, link.onec)
            and memory.marks.get("kind") == left.kind.value
        )


def names(record: CounterpartyRecord, partner: RecordRef) -> bool:
    """True where the record carries the partner's id: UF_CRM_1C_ID here, external_id there."""
    written = partner.id if partner.system is System.ONEC else partner.external_id
    return record.other_ref == written


def choose_partner(record: CounterpartyRecord, candidates: list[CounterpartyRecord]) -> CounterpartyRecord | None:
    """The one candidate that is meant; None where there is none.

    Errors: AmbiguousMatch for more than one, and for one that belongs to somebody else already: never a guess.
    """
    alive = [candidate for candidate in candidates if not candidate.is_deleted]
    linked = [candidate for candidate in alive if names(candidate, record.ref)]
    matching = linked or best_candidates(match_keys(record), alive)
    if len(matching) > 1:
        raise AmbiguousMatch(
            f"{len(matching)} records match {record.ref}", candidates=tuple(str(one.ref) for one in matching)
        )
    if matching and matching[0].other_ref and not names(matching[0], record.ref):
        raise AmbiguousMatch(
            f"{matching[0].ref} matches {record.ref}, but is linked to {matching[0].other_ref}",
            candidates=(str(matching[0].ref),),
        )
    return matching[0] if matching else None


def _kind_moved(left: CounterpartyRecord, right: CounterpartyRecord, memory: Memory) -> bool:
    """A company that became a sole trader in Bitrix24 becomes one in 1C; the other way nothing can be written."""
    before = memory.marks.get("kind")
    return before is not None and left.kind.value != before and right.kind is not left.kind


def _shown(plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    return {
        conflict.field: {"baseline": conflict.baseline, "bitrix24": conflict.bitrix24, "onec": conflict.onec}
        for conflict in plan.conflicts
    }
