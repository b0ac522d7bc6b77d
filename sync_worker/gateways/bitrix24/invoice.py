"""Invoices as Bitrix24 shows them: smart ones, or the old ones where the settings say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.errors import AmbiguousMatch, LinkBroken, RemoteRejected, StageRefused
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.schemas.invoice import (
    SMART_INVOICE_TYPE_ID,
    as_old,
    old_fields,
    read_old,
    read_smart,
    smart_fields,
    smart_rows,
    stage_prefix,
)
from sync_worker.gateways.bitrix24.stages import OLD_INVOICE_STATUSES, check_stage, invoice_stages, stage_refusal

OWNER_TYPE = "SI"  # product rows of a smart invoice
PAGE_SIZE = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class SmartInvoices:
    """Port: InvoiceCards, over crm.item.* with entityTypeId 31."""

    client: Bitrix24Client
    directories: Directories
    category: int  # 0 = the portal's default one

    def find(self, xml_id: str) -> RecordRef | None:
        answer = self.client.call(
            "crm.item.list",
            entityTypeId=SMART_INVOICE_TYPE_ID,
            filter={"=xmlId": xml_id},
            select=["id", "xmlId"],
            order={"id": "ASC"},
        )
        return _the_one([item["id"] for item in answer["items"] if item.get("xmlId") == xml_id], xml_id)

    def read(self, ref: RecordRef) -> InvoiceCard | None:
        """One request for an invoice of less than 50 rows; the portal lists them by that many."""
        batch = self.client.batch(
            {
                "item": Command(method="crm.item.get", params={"entityTypeId": SMART_INVOICE_TYPE_ID, "id": ref.id}),
                "rows": _rows_of(ref, start=0),
            }
        )
        try:
            item = batch.get("item")["item"]
        except LinkBroken:
            return None
        page = rows = batch.get("rows")["productRows"]
        while len(page) == PAGE_SIZE:
            page = self.client.run(_rows_of(ref, start=len(rows)))["productRows"]
            rows = [*rows, *page]
        return read_smart(item, rows)

    def create(self, card: InvoiceCard) -> RecordRef:
        category = self.directories.invoice_category(self.category)
        wanted = {name: value for name, value in card.fields.items() if value and name != "rows"}
        fields = smart_fields(wanted, prefix=stage_prefix(category))
        fields |= {"xmlId": card.xml_id, "categoryId": category}
        try:
            answer = self.client.call("crm.item.add", entityTypeId=SMART_INVOICE_TYPE_ID, fields=fields)
        except RemoteRejected as refusal:
            self._explain(refusal, fields)
            raise
        return bitrix24_ref(RecordType.INVOICE, answer["item"]["id"])

    def update(self, ref: RecordRef, current: InvoiceCard | None, card: InvoiceCard) -> bool:
        changes = changed_fields(current, card)
        commands: dict[str, Command] = {}
        prefix = stage_prefix(self.directories.invoice_category(self.category)) if "stage" in changes else ""
        if fields := smart_fields(changes, prefix=prefix):
            params = {"entityTypeId": SMART_INVOICE_TYPE_ID, "id": ref.id, "fields": fields}
            commands["item"] = Command(method="crm.item.update", params=params)
        if "rows" in changes:
            rows = {"ownerType": OWNER_TYPE, "ownerId": ref.id, "productRows": smart_rows(changes["rows"])}
            # rows first: setting them lets the portal count the amount, which the item's own fields then overrule
            commands = {"rows": Command(method="crm.item.productrow.set", params=rows), **commands}
        if not commands:
            return False
        batch = self.client.batch(commands)
        if "rows" in commands:
            batch.get("rows")
        try:
            item = batch.get("item") or {}
        except RemoteRejected as refusal:
            self._explain(refusal, fields)
            raise
        if "stage" in changes:
            self._check_stage(str(item.get("item", {}).get("stageId")), fields["stageId"], ref)
        return True

    def _explain(self, refusal: RemoteRejected, fields: Mapping[str, Any]) -> None:
        """Errors: StageRefused where it is the stage that was refused."""
        stage = fields.get("stageId")
        if stage and (error := stage_refusal(self.client, refusal, stage=stage, directory=self._stages())):
            raise error from refusal

    def _check_stage(self, after: str, wanted: str, ref: RecordRef) -> None:
        check_stage(self.client, after=after, wanted=wanted, directory=self._stages())
        _refuse_other(after, wanted, ref)

    def _stages(self) -> str:
        return invoice_stages(self.directories.invoice_category(self.category))


@dataclass(frozen=True, kw_only=True, slots=True)
class OldInvoices:
    """Port: InvoiceCards, over crm.invoice.*, for portals that have no smart invoices."""

    client: Bitrix24Client

    def find(self, xml_id: str) -> RecordRef | None:
        rows = self.client.call(
            "crm.invoice.list", filter={"XML_ID": xml_id}, select=["ID", "XML_ID"], order={"ID": "ASC"}
        )
        return _the_one([row["ID"] for row in rows if row.get("XML_ID") == xml_id], xml_id)

    def read(self, ref: RecordRef) -> InvoiceCard | None:
        try:
            return read_old(self.client.call("crm.invoice.get", id=ref.id))
        except LinkBroken:
            return None

    def create(self, card: InvoiceCard) -> RecordRef:
        """With its rows: the old method refuses an invoice without them."""
        wanted = {name: value for name, value in card.fields.items() if value}
        fields = old_fields(wanted) | {"XML_ID": card.xml_id} | self._payer(card)
        try:
            return bitrix24_ref(RecordType.INVOICE, self.client.call("crm.invoice.add", fields=fields))
        except RemoteRejected as refusal:
            self._explain(refusal, fields)
            raise

    def update(self, ref: RecordRef, current: InvoiceCard | None, card: InvoiceCard) -> bool:
        changes = changed_fields(current, as_old(card))
        if not (fields := old_fields(changes)):
            return False
        try:
            self.client.call("crm.invoice.update", id=ref.id, fields=fields)
        except RemoteRejected as refusal:
            self._explain(refusal, fields)
            raise
        if "stage" in changes:
            found = self.read(ref)
            after = str(found.fields["stage"]) if found else ""
            check_stage(self.client, after=after, wanted=changes["stage"], directory=OLD_INVOICE_STATUSES)
            _refuse_other(after, changes["stage"], ref)
        return True

    def _explain(self, refusal: RemoteRejected, fields: Mapping[str, Any]) -> None:
        """Errors: StageRefused where it is the status that was refused."""
        stage = fields.get("STATUS_ID")
        if stage and (error := stage_refusal(self.client, refusal, stage=stage, directory=OLD_INVOICE_STATUSES)):
            raise error from refusal

    def _payer(self, card: InvoiceCard) -> dict[str, Any]:
        """PERSON_TYPE_ID and PAY_SYSTEM_ID are the portal's own numbers, and crm.invoice.add insists on both."""
        wanted = "CRM_COMPANY" if card.fields.get("company_id") else "CRM_CONTACT"
        types = self.client.call("crm.persontype.list") or []
        person_type = next((row["ID"] for row in types if row.get("NAME") == wanted), None)
        systems = self.client.call("crm.paysystem.list", filter={"PERSON_TYPE_ID": person_type, "ACTIVE": "Y"}) or []
        if person_type is None or not systems:
            raise RemoteRejected(
                f"the portal has no payer type {wanted} with an active payment system for old invoices"
            )
        return {"PERSON_TYPE_ID": person_type, "PAY_SYSTEM_ID": systems[0]["ID"]}


def _rows_of(ref: RecordRef, *, start: int) -> Command:
    owner = {"=ownerType": OWNER_TYPE, "=ownerId": ref.id}
    params = {"filter": owner, "order": {"sort": "ASC"}, "start": start}
    return Command(method="crm.item.productrow.list", params=params)


def changed_fields(current: InvoiceCard | None, card: InvoiceCard) -> dict[str, Any]:
    """The fields of `card` that the card on the portal does not have yet."""
    if current is None:
        return dict(card.fields)
    return {name: value for name, value in card.fields.items() if current.fields.get(name) != value}


def _the_one(ids: list[Any], xml_id: str) -> RecordRef | None:
    if len(ids) > 1:
        names = tuple(str(bitrix24_ref(RecordType.INVOICE, id_)) for id_ in ids)
        raise AmbiguousMatch(f"{len(ids)} invoices carry the 1C ref {xml_id}", candidates=names)
    return bitrix24_ref(RecordType.INVOICE, ids[0]) if ids else None


def _refuse_other(after: str, wanted: str, ref: RecordRef) -> None:
    if after != wanted:
        raise StageRefused(f"invoice {ref.id} stayed at stage {after or 'unknown'} instead of {wanted}")


def invoice_gateway(
    *, client: Bitrix24Client, directories: Directories, is_smart: bool, category: int
) -> SmartInvoices | OldInvoices:
    """The way this portal has invoices."""
    if is_smart:
        return SmartInvoices(client=client, directories=directories, category=category)
    return OldInvoices(client=client)
