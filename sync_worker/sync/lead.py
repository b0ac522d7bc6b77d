"""Lead -> 1C on qualification, and its later changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.values import fingerprint
from sync_worker.entities.lead import Lead, qualifies
from sync_worker.entities.results import Upserted
from sync_worker.sync.journal import Journal
from sync_worker.sync.one_way import send
from sync_worker.sync.ports import Leads, Links, Locks, Memories, OnecDocuments


@dataclass(frozen=True, kw_only=True, slots=True)
class LeadFlow:
    leads: Leads
    onec: OnecDocuments
    links: Links
    memories: Memories
    locks: Locks
    journal: Journal
    qualified_statuses: frozenset[str]

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent, _decision: Decision = NOTHING_DECIDED) -> Outcome:
        return send(event, EntityKind.LEAD, RecordType.LEAD, self)

    # --- port Sender: what is special to a lead ----------------------------------------------------------------------

    def read(self, ref: RecordRef) -> Lead | None:
        return self.leads.read(ref)

    def travels(self, lead: Lead, *, is_sent: bool) -> bool:
        return is_sent or qualifies(lead, self.qualified_statuses)

    def fingerprint(self, lead: Lead) -> str:
        return fingerprint(self._fields(lead))

    def upsert(self, lead: Lead, known: RecordRef | None) -> Upserted:
        with self.journal.making(EntityKind.LEAD, lead.ref, known=known):
            return self.onec.upsert_lead(lead.ref.external_id, self._fields(lead), known=known)

    def write_back(self, lead: Lead, done: Upserted) -> None:
        self.leads.write_back(lead.ref, done.ref)

    def verify(self, lead: Lead, done: Upserted) -> None:
        """Nothing of a lead is computed in 1C."""

    def _fields(self, lead: Lead) -> dict[str, Any]:
        party = self.links.find(lead.counterparty) if lead.counterparty else None
        return {**lead.fields, "counterparty_ref": party.onec.id if party and not party.deleted_in else None}
