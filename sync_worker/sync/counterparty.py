"""Contacts, companies and контрагенты, both ways: find the partner, merge, write, remember."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import RecordRef, RecordType, System, onec_ref, parse_external_id
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, CounterpartyRules, Kind
from sync_worker.entities.contact import (
    CounterpartyRecord,
    MatchKeys,
    best_candidates,
    bitrix24_type,
    keys_of,
    syncs,
)
from sync_worker.errors import LinkBroken, MergedAway, NoCounterparty, VersionMoved
from sync_worker.sync.agreement import Agreement
from sync_worker.sync.journal import Journal
from sync_worker.sync.one_way import alive, gone, gone_in_onec
from sync_worker.sync.partners import ENTITY, Partners, Visit, found_by
from sync_worker.sync.ports import (
    CounterpartyCards,
    CounterpartySide,
    Links,
    Locks,
    Memories,
    OnecStates,
    RequisiteOwners,
)


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
    journal: Journal
    rules: CounterpartyRules
    partners: Partners = field(init=False)
    agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        shared: Any = {
            "bitrix24": self.bitrix24, "onec": self.onec, "links": self.links, "memories": self.memories,
        }  # fmt: skip
        object.__setattr__(self, "partners", Partners(**shared, locks=self.locks, journal=self.journal))
        object.__setattr__(self, "agreement", Agreement(**shared, rules=self.rules))

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

    def handle(self, event: ChangeEvent, decision: Decision = NOTHING_DECIDED) -> Outcome:
        """`event.record` is the subject already."""
        if decision.pick is not None:
            self.partners.adopt(event.record, decision.pick)
        if event.record.system is System.BITRIX24:
            if event.change is Change.DELETED and self.links.find(event.record) is None:
                return Outcome.SKIPPED
            # a deletion that comes late is looked at as well: the card may have been restored since
            whole = event.whole or event.change is Change.DELETED
            return self.from_bitrix24(event.record, whole=whole, decision=decision)
        if event.onec is None:
            return self._look_in_onec(event.record, decision)
        if event.change is Change.DELETED:
            return self._gone_in_onec(event.record, event.onec.sequence)
        try:
            return self.from_onec(self.states.counterparty(event.record, event.onec), decision=decision)
        except VersionMoved:  # the state that the event carries will not get any newer
            return self._look_in_onec(event.record, decision)

    # --- from Bitrix24 -----------------------------------------------------------------------------------------------

    def from_bitrix24(self, ref: RecordRef, *, whole: bool, decision: Decision = NOTHING_DECIDED) -> Outcome:
        """`whole`: a look at the card will not do."""
        visit = Visit(decision=decision)
        with visit.held:
            visit.hold(self.locks, str(ref))
            link = self.links.find(ref)
            if link is not None and link.deleted_in is System.ONEC:
                return Outcome.SKIPPED
            memory = self.memories.get(ENTITY, ref)
            left = self._read(ref, link, memory, whole=whole)
            if left is None:
                return self._gone_in_bitrix24(ref)
            is_restored = link is not None and link.deleted_in is not None  # what 1C did meanwhile was skipped
            link = alive(link, System.BITRIX24, self.links)
            if link is None and not syncs(left, self.rules):
                return Outcome.SKIPPED
            if link is not None and not is_restored and self.agreement.is_echo(left, link, memory):
                return Outcome.ECHO
            with found_by(left):
                right, created = self._partner_in_onec(left, link, visit)
                memory = self.memories.get(ENTITY, ref)  # it may just have been inherited
                return self.agreement.reach(left, right, memory, decision, created=created)

    def _read(self, ref: RecordRef, link: Link | None, memory: Memory, *, whole: bool) -> CounterpartyRecord | None:
        """The card alone where that will do, which costs one command and not three.

        It does where the rest is remembered, and would have rung on its own had it changed.
        """
        kind = memory.marks.get("kind")
        is_linked = link is not None and link.deleted_in is None
        if whole or not is_linked or memory.baseline is None or kind is None or not self.links.rings_for_parts():
            return self.bitrix24.read(ref)
        return self.cards.read_card(ref, remembered=memory.baseline.bitrix24, kind=Kind(kind))

    def _partner_in_onec(
        self, left: CounterpartyRecord, link: Link | None, visit: Visit
    ) -> tuple[CounterpartyRecord, bool]:
        known = link.onec if link else None
        if known is None and left.other_ref and not visit.decision.create:
            known = onec_ref(RecordType.COUNTERPARTY, left.other_ref)
        if known is not None:
            return self.partners.read_known(self.onec, known, left, visit, must_exist=link is not None)
        return self.partners.find_or_create(self.onec, left, visit)

    def _gone_in_bitrix24(self, ref: RecordRef) -> Outcome:
        """A tombstone and a person, unless the record was merged into another one, which goes on in its place."""
        link = self.links.find(ref)
        heir = self._heir(link) if link is not None and link.deleted_in is None else None
        if heir is None:
            return gone(ref, self.links)
        return self.from_bitrix24(heir, whole=True)

    def _heir(self, link: Link) -> RecordRef | None:
        """The record that the manager kept when two were merged on the portal: it carries the 1C ref, or has the key.

        Errors: MergedAway where that one is linked to another 1C record already.
        """
        baseline = self.memories.get(ENTITY, link.bitrix24).baseline
        keys = (
            keys_of(baseline.bitrix24, is_person=link.bitrix24.type is RecordType.CONTACT) if baseline else MatchKeys()
        )
        found = [one for one in self.bitrix24.find(keys, linked_to=link.onec) if one.ref != link.bitrix24]
        carrying = [one for one in found if one.other_ref == link.onec.id]
        matching = carrying or [one for one in best_candidates(keys, found) if one.ref.type is link.bitrix24.type]
        if len(matching) != 1:
            return None
        heir = matching[0]
        other = self.links.find(heir.ref)
        if other is None or other.onec == link.onec:
            return heir.ref if carrying else None
        with found_by(heir):
            text = f"{link.bitrix24} was merged into {heir.ref}, and in 1C each has a counterparty of its own"
            both = (str(link.onec), str(other.onec))
            raise MergedAway(text, candidates=both, gone=link.bitrix24, heir=heir.ref)

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

    # --- from 1C -----------------------------------------------------------------------------------------------------

    def from_onec(self, right: CounterpartyRecord, *, decision: Decision = NOTHING_DECIDED) -> Outcome:
        visit = Visit(decision=decision)
        with visit.held:
            visit.hold(self.locks, str(right.ref))
            link = self.links.find(right.ref)
            if link is not None and link.deleted_in is System.BITRIX24:
                return Outcome.SKIPPED
            known = link.bitrix24 if link else self._named_by(right, decision)
            if known is not None:  # before its memory is read, or this state may grow stale while it waits
                visit.hold(self.locks, str(known))
            memory = self.memories.get(ENTITY, known) if known else Memory()
            if decision.is_blank and right.sequence <= self._handled(right, link, memory):
                return Outcome.STALE
            is_restored = (
                link is not None and link.deleted_in is not None
            )  # what the other side did meanwhile was skipped
            link = alive(link, System.ONEC, self.links)
            if known is None and not self._may_create(right.kind):
                return Outcome.SKIPPED
            if link is not None and not is_restored and self.agreement.is_as_agreed(right, link, memory):
                # its kind may have moved in 1C, but what is remembered is the portal's, which did not
                newest = replace(memory, sequence=right.sequence, version=right.version)
                self.memories.save(ENTITY, link.bitrix24, newest)
                return Outcome.UNCHANGED
            with found_by(right):
                left, created = self._partner_in_bitrix24(right, known, visit)
                memory = self.memories.get(ENTITY, left.ref)
                return self.agreement.reach(left, right, memory, decision, created=created)

    def _handled(self, right: CounterpartyRecord, link: Link | None, memory: Memory) -> int:
        """The sequence of the newest state that was handled: of the pair, or of a record that was deleted unlinked.

        The memory of a card that 1C names and that is another's partner is about that one.
        """
        return memory.sequence if link is not None else self.memories.get(ENTITY, right.ref).sequence

    def _named_by(self, right: CounterpartyRecord, decision: Decision) -> RecordRef | None:
        """Whom 1C names; not where a person decided to begin anew."""
        return None if decision.create else parse_external_id(right.other_ref)

    def _partner_in_bitrix24(
        self, right: CounterpartyRecord, known: RecordRef | None, visit: Visit
    ) -> tuple[CounterpartyRecord, bool]:
        if known is None:
            return self.partners.find_or_create(self.bitrix24, right, visit)
        # a card that is gone is not made again unasked
        return self.partners.read_known(self.bitrix24, known, right, visit, must_exist=True)

    def _look_in_onec(self, ref: RecordRef, decision: Decision) -> Outcome:
        """A doorbell of a record in 1C: it is read as it now is."""
        link = self.links.find(ref)
        if decision.create and link is not None and link.deleted_in is not None:
            self.partners.part(ref)
        record = self.onec.read(ref)
        if record is not None and not record.is_deleted:
            return self.from_onec(record, decision=decision)
        if decision.is_blank:
            return gone(ref, self.links)
        raise LinkBroken(f"{ref} is gone or marked for deletion", gone=ref)

    def _gone_in_onec(self, ref: RecordRef, sequence: int) -> Outcome:
        link = self.links.find(ref)
        if link is None:  # a state of before, which comes late, must not make a card of it
            self.memories.save(ENTITY, ref, Memory(sequence=sequence))
            return Outcome.SKIPPED
        with self.locks.hold(str(ref), str(link.bitrix24)):
            return gone_in_onec(ref, sequence, ENTITY, link.bitrix24, links=self.links, memories=self.memories)

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
