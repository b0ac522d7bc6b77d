"""What the flows share: tombstones and known partners."""

from __future__ import annotations

from dataclasses import replace

from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, onec_ref
from sync_worker.domain.link import Link
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import LinkBroken
from sync_worker.sync.ports import Links, Memories


def gone(ref: RecordRef, links: Links) -> Outcome:
    """Deleting on one side never deletes on the other: a tombstone, and a person sees it."""
    link = links.find(ref)
    if link is None or link.deleted_in:
        return Outcome.SKIPPED
    links.save(link.bury(ref.system))
    raise LinkBroken(f"{ref} was deleted; {link.other(ref)} was left as it is")


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


def known_partner(ref: RecordRef, type_: RecordType, written: str | None, links: Links) -> RecordRef | None:
    """The 1C document of a lead or deal: as linked, else as `written` in UF_CRM_1C_ID; None where there is none.

    Copying a deal on the portal copies UF_CRM_1C_ID along: a ref that is another record's is not ours.
    """
    link = links.find(ref)
    if link is not None:
        return link.onec
    if not written:
        return None
    partner = onec_ref(type_, written)
    return partner if links.find(partner) is None else None
