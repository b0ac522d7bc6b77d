"""Who is whose partner: known by a link, by what is written in the records, by a key, or newly made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sync_worker.domain.identity import EntityKind, RecordRef, System, parse_external_id
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.link import Link, Memory
from sync_worker.entities.contact import (
    CounterpartyRecord,
    MatchKeys,
    best_candidates,
    invalid_inn,
    match_keys,
)
from sync_worker.errors import AmbiguousMatch, InvalidKey, LinkBroken, SyncError
from sync_worker.sync.ports import CounterpartySide, Links, Locks, Memories

ENTITY = EntityKind.CONTACT


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One look at a counterparty: the locks that are held until it is over, and what a person decided about it."""

    held: ExitStack = field(default_factory=ExitStack)
    decision: Decision = NOTHING_DECIDED

    def hold(self, locks: Locks, *names: str) -> None:
        self.held.enter_context(locks.hold(*names))


@dataclass(frozen=True, kw_only=True, slots=True)
class Partners:
    """Finds the other side's record, and keeps the link at once: losing it means a duplicate."""

    bitrix24: CounterpartySide
    onec: CounterpartySide
    links: Links
    memories: Memories
    locks: Locks

    def read_known(
        self, side: CounterpartySide, partner: RecordRef, record: CounterpartyRecord, visit: Visit, *, must_exist: bool
    ) -> tuple[CounterpartyRecord, bool]:
        """The partner by its ref: of the link, of what is written in the record, or picked by a person."""
        found = side.read(partner)
        if found is None or found.is_deleted:
            if must_exist:
                text = f"{partner}, the partner of {record.ref}, is gone or marked for deletion"
                raise LinkBroken(text, gone=partner, left=record.ref)
            return self.find_or_create(side, record, visit)  # an id that was left over from somewhere else
        if found.other_ref and not names(found, record.ref) and visit.decision.pick != partner:
            self._refuse_taken(found, record)
        self.save_link(record.ref, partner)
        return found, False

    def _refuse_taken(self, found: CounterpartyRecord, record: CounterpartyRecord) -> None:
        """Unless its card was merged into this one: the portal deletes one of two, and the other has its 1C ref."""
        before = parse_external_id(found.other_ref)
        if before is not None and self.links.find(before) is not None and self.bitrix24.read(before) is None:
            self.inherit(before, record.ref)
            return
        text = f"{found.ref} is meant by {record.ref}, but is linked to {found.other_ref}"
        raise AmbiguousMatch(text, candidates=(str(found.ref),))

    def find_or_create(
        self, side: CounterpartySide, record: CounterpartyRecord, visit: Visit
    ) -> tuple[CounterpartyRecord, bool]:
        """Match by ref and key, else create. Two records with one key wait for each other here."""
        keys = match_keys(record)
        visit.hold(self.locks, *keys.lock_names())
        invalid = invalid_inn(record)
        candidates = side.find(MatchKeys(inn=invalid) if invalid else keys, linked_to=record.ref)
        partner = None if visit.decision.create else choose_partner(record, candidates)
        if partner is not None:
            visit.hold(self.locks, str(partner.ref))
            if partner.other_ref and not names(partner, record.ref):
                self._refuse_taken(partner, record)
            self.save_link(record.ref, partner.ref)
            return partner, False
        others = {one.ref.id for one in candidates if not one.is_deleted} if visit.decision.create else set()
        created = side.create(record, not_duplicate_of=sorted(others))
        self.save_link(record.ref, created.ref)
        # the new record's own event may be here already, and would add requisite and addresses a second time
        visit.hold(self.locks, str(created.ref))
        return created, True

    def save_link(self, one: RecordRef, other: RecordRef) -> None:
        left, right = (one, other) if one.system is System.BITRIX24 else (other, one)
        self.links.save(Link(bitrix24=left, onec=right))

    def adopt(self, ref: RecordRef, partner: RecordRef) -> None:
        """Link the two by a person's decision, whatever either was linked to; nothing was agreed between them yet."""
        link = self.links.find(ref)
        if link is not None and link.other(ref) == partner:
            return
        for one in (ref, partner):
            self.part(one)
        self.save_link(ref, partner)

    def part(self, ref: RecordRef) -> None:
        """Forget what the record is linked to, and what was agreed with that."""
        link = self.links.find(ref)
        if link is not None:
            self.links.forget(link)
            self.memories.save(ENTITY, link.bitrix24, Memory())

    def inherit(self, gone: RecordRef, heir: RecordRef) -> None:
        """`gone` was merged into `heir`, which takes over its partner and what was agreed with that."""
        link = self.links.find(gone)
        if link is None:
            return
        self.memories.save(ENTITY, heir, self.memories.get(ENTITY, gone))
        self.save_link(heir, link.onec)
        self.memories.save(ENTITY, gone, Memory())


def names(record: CounterpartyRecord, partner: RecordRef) -> bool:
    """True where the record carries the partner's id: UF_CRM_1C_ID here, external_id there."""
    written = partner.id if partner.system is System.ONEC else partner.external_id
    return record.other_ref == written


def choose_partner(record: CounterpartyRecord, candidates: list[CounterpartyRecord]) -> CounterpartyRecord | None:
    """The one candidate that is meant; None where there is none.

    Errors: AmbiguousMatch for more than one, InvalidKey where there is nothing to go by. Never a guess.
    """
    alive = [candidate for candidate in candidates if not candidate.is_deleted]
    linked = [candidate for candidate in alive if names(candidate, record.ref)]
    if not linked and (invalid := invalid_inn(record)):
        text = f"{invalid!r} is no ИНН, so {record.ref} can be matched with nobody"
        raise InvalidKey(text, candidates=_refs(alive))
    matching = linked or best_candidates(match_keys(record), alive)
    if len(matching) > 1:
        raise AmbiguousMatch(f"{len(matching)} records match {record.ref}", candidates=_refs(matching))
    return matching[0] if matching else None


def _refs(records: list[CounterpartyRecord]) -> tuple[str, ...]:
    return tuple(str(one.ref) for one in records)


@contextmanager
def found_by(record: CounterpartyRecord) -> Iterator[None]:
    """A failure in the block can be sought by the record's ИНН and e-mails."""
    try:
        yield
    except SyncError as error:
        error.words = words_of(record)
        raise


def words_of(record: CounterpartyRecord) -> tuple[str, ...]:
    inn = record.fields.get("inn")
    return (*((inn,) if inn else ()), *(record.fields.get("emails") or ()))
