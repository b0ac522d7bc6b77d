"""What the flows share: the frame in which leads and deals are sent, tombstones and known partners."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeVar

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, onec_ref
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.entities.results import Upserted
from sync_worker.errors import LinkBroken
from sync_worker.sync.ports import Links, Locks, Memories


class Sendable(Protocol):
    """A lead or a deal."""

    @property
    def ref(self) -> RecordRef: ...

    @property
    def onec_id(self) -> str | None:
        """What UF_CRM_1C_ID says."""


Record = TypeVar("Record", bound=Sendable)


class Sender(Protocol[Record]):
    """What differs between the records that Bitrix24 sends and 1C only receives."""

    @property
    def links(self) -> Links: ...

    @property
    def memories(self) -> Memories: ...

    @property
    def locks(self) -> Locks: ...

    def read(self, ref: RecordRef) -> Record | None: ...

    def travels(self, record: Record, *, is_sent: bool) -> bool:
        """True where the rules let it go; `is_sent`: 1C has it already."""

    def fingerprint(self, record: Record) -> str:
        """Of all that makes the document in 1C. Asks neither system."""

    def upsert(self, record: Record, known: RecordRef | None) -> Upserted: ...

    def write_back(self, record: Record, done: Upserted) -> None: ...

    def verify(self, record: Record, done: Upserted) -> None:
        """Look whether 1C made of it what it should. Errors: TotalMismatch."""


def send(event: ChangeEvent, entity: EntityKind, document: RecordType, sender: Sender[Record]) -> Outcome:
    """Bring `document` in 1C up to date with the event's record, and put its ref on the record."""
    if event.change is Change.DELETED and sender.links.find(event.record) is None:
        return Outcome.SKIPPED
    with sender.locks.hold(str(event.record)):
        record = sender.read(event.record)  # though it was deleted: that may come late, after it was restored
        if record is None:
            return gone(event.record, sender.links)
        return _send(record, entity, document, sender)


def _send(record: Record, entity: EntityKind, document: RecordType, sender: Sender[Record]) -> Outcome:
    link = sender.links.find(record.ref)
    if link is not None and link.deleted_in is System.ONEC:
        return Outcome.SKIPPED
    link = alive(link, System.BITRIX24, sender.links)
    known = known_partner(link, document, record.onec_id, sender.links)
    if not sender.travels(record, is_sent=known is not None):
        return Outcome.SKIPPED
    sent = sender.fingerprint(record)
    is_marked = link is not None and record.onec_id == link.onec.id
    if is_marked and sender.memories.get(entity, record.ref).sent == sent:
        return Outcome.ECHO
    done = _upsert(record, known, sender)
    sender.links.save(Link(bitrix24=record.ref, onec=done.ref))  # at once: losing it means a second document
    if record.onec_id != done.ref.id:
        sender.write_back(record, done)
    sender.verify(record, done)  # what does not agree is not remembered as agreed: the next look writes once more
    memory = Memory(sent=sent, sequence=done.sequence, version=done.version)
    sender.memories.save(entity, record.ref, memory)
    return Outcome.CREATED if done.created else Outcome.UPDATED


def _upsert(record: Record, known: RecordRef | None, sender: Sender[Record]) -> Upserted:
    try:
        return sender.upsert(record, known)
    except LinkBroken as error:  # 1C does not say which object it means by that
        if error.gone is None and known is not None:
            error.gone, error.left = known, record.ref
        raise


def gone(ref: RecordRef, links: Links) -> Outcome:
    """Deleting on one side never deletes on the other: a person sees it, and then there is a tombstone.

    In that order: whoever files the letter saves the tombstone, or a crash in between would lose the letter.
    """
    link = links.find(ref)
    if link is None or link.deleted_in:
        return Outcome.SKIPPED
    other = link.other(ref)
    raise LinkBroken(f"{ref} was deleted; {other} was left as it is", gone=ref, left=other)


def gone_in_onec(
    ref: RecordRef, sequence: int, entity: EntityKind, remembered_by: RecordRef, *, links: Links, memories: Memories
) -> Outcome:
    """The same for 1C's event of a deletion: what comes out of order neither revives a record nor buries it.

    `remembered_by`: under which record the flow keeps its memory.
    """
    memory = memories.get(entity, remembered_by)
    if sequence < memory.sequence:
        return Outcome.STALE  # it was restored since
    memories.save(entity, remembered_by, replace(memory, sequence=sequence))
    return gone(ref, links)


def alive(link: Link | None, shown: System, links: Links) -> Link | None:
    """The link, once one of its records has shown itself in `shown`: a record that was restored loses its tombstone."""
    if link is None or link.deleted_in is not shown:
        return link
    restored = replace(link, deleted_in=None)
    links.save(restored)
    return restored


def known_partner(link: Link | None, type_: RecordType, written: str | None, links: Links) -> RecordRef | None:
    """The 1C document of a lead or deal: as linked, else as `written` in UF_CRM_1C_ID; None where there is none.

    Copying a deal on the portal copies UF_CRM_1C_ID along: a ref that is another record's is not ours.
    """
    if link is not None:
        return link.onec
    if not written:
        return None
    partner = onec_ref(type_, written)
    return partner if links.find(partner) is None else None
