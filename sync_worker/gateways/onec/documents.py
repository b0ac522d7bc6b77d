"""1C's leads, orders and invoices (ports OnecDocuments and OnecInvoices)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.domain.values import decimal_or_zero, kopecks, text_or_none
from sync_worker.entities.invoice import Invoice
from sync_worker.entities.results import Upserted
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.schemas.deal import show_order
from sync_worker.gateways.onec.schemas.invoice import read_invoice
from sync_worker.gateways.onec.schemas.lead import show_lead
from sync_worker.gateways.onec.schemas.shapes import is_onec_id
from sync_worker.gateways.onec.upserts import RESOURCES, upsert_one


class OnecOrdersAndLeads:
    """Documents that Bitrix24 owns: they are only sent."""

    def __init__(self, *, client: OnecClient) -> None:
        self._client = client

    def upsert_lead(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        """Errors: LinkBroken, AmbiguousMatch, RemoteRejected, OutcomeUnknown."""
        return self._upsert(RecordType.LEAD, external_id, show_lead(fields), known)

    def upsert_order(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        """Errors: OrderLocked, LinkBroken (marked for deletion), AmbiguousMatch, RemoteRejected, OutcomeUnknown."""
        return self._upsert(RecordType.ORDER, external_id, show_order(fields), known)

    def order_total(self, ref: RecordRef) -> Decimal | None:
        """What the order comes to in 1C: the contract's `amount`, which 1C makes of the rows, with VAT on top of those
        that do not include it. None where the order is not there, or is marked for deletion.
        """
        if not is_onec_id(ref.id):
            return None
        found = self._client.list_all(RESOURCES[RecordType.ORDER], {"ref": ref.id})
        amount = text_or_none(found[0].get("amount")) if found else None
        return None if amount is None else kopecks(decimal_or_zero(amount))

    def _upsert(
        self, type_: RecordType, external_id: str, shown: Mapping[str, Any], known: RecordRef | None
    ) -> Upserted:
        item = {"external_id": external_id, **({"ref": known.id} if known else {}), **shown}
        result = upsert_one(self._client, type_, item)
        return Upserted(
            ref=onec_ref(type_, result.ref),
            created=result.outcome == "created",
            number=result.number,
            version=result.version,
            sequence=result.sequence,
        )


class OnecInvoicesReader:
    """Invoices, which 1C owns: they are only read."""

    def __init__(self, *, client: OnecClient) -> None:
        self._client = client

    def read(self, ref: RecordRef) -> Invoice | None:
        """Marked for deletion too; None where the base has none."""
        found = self._client.list_all(RESOURCES[RecordType.INVOICE], {"ref": ref.id, "deleted": "true"})
        return read_invoice(found[0]) if found else None
