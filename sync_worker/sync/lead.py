"""Lead -> 1C on qualification, and its later changes."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.values import fingerprint
from sync_worker.entities.lead import qualifies
from sync_worker.sync.one_way import gone, known_partner
from sync_worker.sync.ports import Leads, Links, Locks, Memories, OnecDocuments

ENTITY = EntityKind.LEAD


@dataclass(frozen=True, kw_only=True, slots=True)
class LeadFlow:
    leads: Leads
    onec: OnecDocuments
    links: Links
    memories: Memories
    locks: Locks
    qualified_statuses: frozenset[str]

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent) -> Outcome:
        ref = event.record
        with self.locks.hold(str(ref)):
            return gone(ref, self.links) if event.change is Change.DELETED else self._send(ref)

    def _send(self, ref: RecordRef) -> Outcome:
        lead = self.leads.read(ref)
        if lead is None:
            return gone(ref, self.links)
        link = self.links.find(ref)
        if link is not None and link.deleted_in:
            return Outcome.SKIPPED
        known = known_partner(ref, RecordType.LEAD, lead.onec_id, self.links)
        if known is None and not qualifies(lead, self.qualified_statuses):
            return Outcome.SKIPPED
        party = self.links.find(lead.counterparty) if lead.counterparty else None
        fields = {**lead.fields, "counterparty_ref": party.onec.id if party and not party.deleted_in else None}
        sent = fingerprint(fields)
        if link is not None and lead.onec_id == link.onec.id and self.memories.get(ENTITY, ref).sent == sent:
            return Outcome.ECHO
        done = self.onec.upsert_lead(ref.external_id, fields, known=known)
        self.links.save(Link(bitrix24=ref, onec=done.ref))
        if lead.onec_id != done.ref.id:
            self.leads.write_back(ref, done.ref)
        self.memories.save(ENTITY, ref, Memory(sent=sent, sequence=done.sequence, version=done.version))
        return Outcome.CREATED if done.created else Outcome.UPDATED
