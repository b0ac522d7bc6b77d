"""Leads: read, and marked with their 1C ref."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.entities.lead import Lead
from sync_worker.errors import LinkBroken
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.reads import read_by_id
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.lead import read_lead


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Leads:
    """Port: Leads."""

    client: Bitrix24Client
    directories: Directories
    portal_origin: str

    def read(self, ref: RecordRef) -> Lead | None:
        try:
            card = self.client.run(read_by_id(RecordType.LEAD, ref.id))
        except LinkBroken:
            return None
        url = f"{self.portal_origin}/crm/lead/details/{ref.id}/"
        return read_lead(ref, card, responsible=self.directories.user(card.get("ASSIGNED_BY_ID")), card_url=url)

    def write_back(self, ref: RecordRef, onec: RecordRef) -> None:
        self.directories.require_onec_field(RecordType.LEAD)
        self.client.call("crm.lead.update", id=ref.id, fields={ONEC_ID_FIELD: onec.id})
