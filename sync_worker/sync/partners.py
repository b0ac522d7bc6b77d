"""Who is whose partner: known by a link, by what is written in the records, by a key, or newly made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordRef, System
from sync_worker.domain.intent import agreed_by_making
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
from sync_worker.sync.chapter import note_parted
from sync_worker.sync.journal import Journal
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
    journal: Journal

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
        self._take(found, record)
        return found, False

    def _take(self, found: CounterpartyRecord, record: CounterpartyRecord) -> None:
        """Link the two. Errors: AmbiguousMatch where the found one is another's partner."""
        link = self.links.find(found.ref)
        owner = link.other(found.ref) if link else None
        if link is not None and owner is not None and owner != record.ref:
            if not self._is_merged(link, found, record):
                raise _taken(found, record, str(owner))
            self.inherit(owner, record.ref)
        elif link is None and found.other_ref and not names(found, record.ref):
            raise _taken(found, record, found.other_ref)  # what is written counts where we know of no link
        if link is None:
            self._recall_making(found, record)
        self.save_link(record.ref, found.ref)

    def _recall_making(self, one: CounterpartyRecord, other: CounterpartyRecord) -> None:
        """Where a try that was cut short made one from the other, who was edited since is known by what it sent."""
        for made, source in ((one, other), (other, one)):
            if names(made, source.ref) and (sent := self.journal.sent(source.ref)):
                self._remember_making(sent, made, source)
                return

    def _is_merged(self, link: Link, found: CounterpartyRecord, record: CounterpartyRecord) -> bool:
        """True where the card that has been the partner was merged into this one: the portal deletes one of two.

        One that was seen to be deleted has a tombstone, and what becomes of its partner is for a person to say.
        """
        if found.ref.system is not System.ONEC or link.deleted_in is not None:
            return False
        return link.bitrix24.type is record.ref.type and self.bitrix24.read(link.bitrix24) is None

    def find_or_create(
        self, side: CounterpartySide, record: CounterpartyRecord, visit: Visit
    ) -> tuple[CounterpartyRecord, bool]:
        """Match by ref and key, else create. Two records with one key wait for each other here."""
        keys = match_keys(record)
        visit.hold(self.locks, *keys.lock_names())
        invalid = invalid_inn(record)
        candidates = side.find(MatchKeys(inn=invalid) if invalid else keys, linked_to=record.ref)
        partner = self._choose(record, candidates, visit.decision)
        if partner is not None:
            visit.hold(self.locks, str(partner.ref))
            self._take(partner, record)
            return partner, False
        if buried := next((one for one in candidates if one.is_deleted and names(one, record.ref)), None):
            text = f"{buried.ref}, the partner of {record.ref}, is marked for deletion"
            raise LinkBroken(text, gone=buried.ref, left=record.ref)  # it keeps our id, so that no other can be made
        others = {one.ref.id for one in candidates if not one.is_deleted} if visit.decision.create else ()
        with self.journal.making(ENTITY, record.ref, sent=record.fields):
            created = side.create(record, not_duplicate_of=sorted(others))
        self._remember_making(record.fields, created, record)
        self.save_link(record.ref, created.ref)
        # the new record's own event may be here already, and would add requisite and addresses a second time
        visit.hold(self.locks, str(created.ref))
        return created, True

    def _remember_making(self, sent: Mapping[str, Any], made: CounterpartyRecord, source: CounterpartyRecord) -> None:
        """An edit that comes before both sides are written, and a worker that does not get so far, make no conflict.

        Before the link: whoever finds a link finds this too.
        """
        card = made.ref if made.ref.system is System.BITRIX24 else source.ref
        self.memories.save(ENTITY, card, Memory(baseline=agreed_by_making(sent, made.fields)))

    def _choose(
        self, record: CounterpartyRecord, candidates: list[CounterpartyRecord], decision: Decision
    ) -> CounterpartyRecord | None:
        """Where a person wants a new record, only one that a lost try has made already will do."""
        if not decision.create:
            return choose_partner(record, candidates)
        made = [one for one in candidates if one.ref not in decision.rejected and not one.is_deleted]
        return next((one for one in made if names(one, record.ref)), None)

    def save_link(self, one: RecordRef, other: RecordRef) -> None:
        left, right = (one, other) if one.system is System.BITRIX24 else (other, one)
        self.links.save(Link(bitrix24=left, onec=right))

    def adopt(self, ref: RecordRef, partner: RecordRef) -> None:
        """Link the two by a person's decision, whatever either was linked to; nothing was agreed between them yet.

        Errors: ValueError for two records of one side, which nobody can have meant.
        """
        if ref.system is partner.system:
            raise ValueError(f"{ref} and {partner} are on the same side")
        link = self.links.find(ref)
        if link is not None and link.other(ref) == partner:
            return
        for one in (ref, partner):
            former = self.links.find(one)
            if former is not None and former.deleted_in is None:
                note_parted(former.other(one))
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


def _taken(found: CounterpartyRecord, record: CounterpartyRecord, owner: str) -> AmbiguousMatch:
    text = f"{found.ref} is meant by {record.ref}, but is linked to {owner}"
    return AmbiguousMatch(text, candidates=(str(found.ref),))


def _refs(records: list[CounterpartyRecord]) -> tuple[str, ...]:
    return tuple(str(one.ref) for one in records)


@contextmanager
def found_by(record: CounterpartyRecord) -> Iterator[None]:
    """A failure in the block is about this record, and can be sought by its ИНН and e-mails."""
    try:
        yield
    except SyncError as error:
        error.words, error.about = words_of(record), record.ref
        raise


def words_of(record: CounterpartyRecord) -> tuple[str, ...]:
    inn = record.fields.get("inn")
    return (*((inn,) if inn else ()), *(record.fields.get("emails") or ()))
