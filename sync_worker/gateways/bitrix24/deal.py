"""Deals: read whole in one request, marked with their order, and moved along their pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.entities.deal import Deal
from sync_worker.errors import LinkBroken, Misconfigured, RemoteRejected, StageRefused
from sync_worker.gateways.bitrix24.client import Batch, Bitrix24Client, Command
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.deal import read_deal

DEAL_TYPE_ID = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Deals:
    """Port: Deals."""

    client: Bitrix24Client
    directories: Directories
    portal_origin: str

    def read(self, ref: RecordRef) -> Deal | None:
        """The stage history comes along, because a deal may have left the sending stage before we look."""
        history = {"entityTypeId": DEAL_TYPE_ID, "filter": {"OWNER_ID": ref.id}, "order": {"ID": "DESC"}}
        batch = self.client.batch(
            {
                "card": Command(method="crm.deal.get", params={"id": ref.id}),
                "rows": Command(method="crm.deal.productrows.get", params={"id": ref.id}),
                "contacts": Command(method="crm.deal.contact.items.get", params={"id": ref.id}),
                "history": Command(method="crm.stagehistory.list", params=history),
            }
        )
        try:
            card = batch.get("card")
        except LinkBroken:
            return None
        return read_deal(
            ref,
            card,
            rows=batch.get("rows") or [],
            contacts=batch.get("contacts") or [],
            history=_history(batch),
            responsible=self.directories.user(card.get("ASSIGNED_BY_ID")),
            card_url=f"{self.portal_origin}/crm/deal/details/{ref.id}/",
        )

    def write_back(self, ref: RecordRef, onec: RecordRef, *, comment: str | None) -> None:
        self.directories.require_onec_field(RecordType.DEAL)
        fields = {ONEC_ID_FIELD: onec.id}
        commands = {"ref": Command(method="crm.deal.update", params={"id": ref.id, "fields": fields})}
        if comment:
            entry = {"ENTITY_ID": ref.id, "ENTITY_TYPE": "deal", "COMMENT": comment}
            commands["comment"] = Command(method="crm.timeline.comment.add", params={"fields": entry})
        batch = self.client.batch(commands, halt=True)  # or a deal that refuses its ref is commented on at every try
        for key in commands:
            batch.get(key)

    def move(self, ref: RecordRef, stage: str) -> str:
        batch = self.client.batch(
            {
                "move": Command(method="crm.deal.update", params={"id": ref.id, "fields": {"STAGE_ID": stage}}),
                "card": Command(method="crm.deal.get", params={"id": ref.id}),
            }
        )
        try:
            batch.get("move")
        except RemoteRejected as refusal:
            raise StageRefused(f"{refusal} (stage {stage})") from refusal
        return str(batch.get("card")["STAGE_ID"])


def _history(batch: Batch) -> list[dict[str, Any]]:
    """The stages passed; none where the portal does not tell them: then only the stage of the moment counts."""
    try:
        answer = batch.get("history")
    except (Misconfigured, RemoteRejected):
        return []
    return list((answer or {}).get("items", []))
