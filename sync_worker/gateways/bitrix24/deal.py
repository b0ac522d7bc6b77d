"""Deals: read in one request, marked with their order, and moved along their pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.entities.deal import Deal
from sync_worker.errors import LinkBroken, Misconfigured, RemoteRejected, StageRefused
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.reads import read_by_id
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.deal import read_deal
from sync_worker.gateways.bitrix24.stages import check_stage, deal_stages, stage_refusal

DEAL_TYPE_ID = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Deals:
    """Port: Deals."""

    client: Bitrix24Client
    directories: Directories
    portal_origin: str

    def read(self, ref: RecordRef) -> Deal | None:
        batch = self.client.batch(
            {
                "card": read_by_id(RecordType.DEAL, ref.id),
                "rows": Command(method="crm.deal.productrows.get", params={"id": ref.id}),
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
            contact_id=card["CONTACT_ID"] if "CONTACT_ID" in card else self._primary_contact(ref),
            responsible=self.directories.user(card.get("ASSIGNED_BY_ID")),
            card_url=f"{self.portal_origin}/crm/deal/details/{ref.id}/",
        )

    def _primary_contact(self, ref: RecordRef) -> Any:
        """The documentation calls CONTACT_ID outdated; while it is there, it saves a call."""
        contacts = self.client.call("crm.deal.contact.items.get", id=ref.id) or []
        primary = next((contact for contact in contacts if contact.get("IS_PRIMARY") == "Y"), None)
        chosen = primary or (contacts[0] if contacts else {})
        return chosen.get("CONTACT_ID")

    def past_stages(self, ref: RecordRef) -> tuple[tuple[str, datetime], ...]:
        """The stages passed, newest first; none where the portal does not tell them: then only the present counts."""
        try:
            answer = self.client.call(
                "crm.stagehistory.list",
                entityTypeId=DEAL_TYPE_ID,
                filter={"OWNER_ID": ref.id},
                order={"ID": "DESC"},
            )
        except (Misconfigured, RemoteRejected):
            return ()
        items = (answer or {}).get("items", [])
        return tuple((str(item["STAGE_ID"]), datetime.fromisoformat(item["CREATED_TIME"])) for item in items)

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
        """By crm.item.update, which has a code for an unfilled field and saves nothing where nothing differs."""
        batch = self.client.batch(
            {
                "move": Command(
                    method="crm.item.update",
                    params={"entityTypeId": DEAL_TYPE_ID, "id": ref.id, "fields": {"stageId": stage}},
                ),
                "card": Command(method="crm.deal.get", params={"id": ref.id}),
            }
        )
        try:
            batch.get("move")
        except RemoteRejected as refusal:
            directory = _stages_of(batch.get("card"))
            error = stage_refusal(self.client, refusal, stage=stage, directory=directory)
            raise error or StageRefused(f"{refusal} (stage {stage})") from refusal
        card = batch.get("card")
        check_stage(self.client, after=str(card["STAGE_ID"]), wanted=stage, directory=_stages_of(card))
        return str(card["STAGE_ID"])


def _stages_of(card: Mapping[str, Any]) -> str:
    return deal_stages(int(card.get("CATEGORY_ID") or 0))
