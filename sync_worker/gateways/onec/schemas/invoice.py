"""The contract's Invoice -> Invoice. 1C owns it: nothing is sent back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref, parse_external_id
from sync_worker.domain.values import decimal_or_zero, money_text, multiline_or_none, text_or_none
from sync_worker.entities.invoice import Invoice
from sync_worker.gateways.onec.schemas.shapes import read_ref, read_rows, require


def read_invoice(record: Mapping[str, Any]) -> Invoice:
    """Out of the contract's InvoiceRecord."""
    return invoice_from_state(
        onec_ref(RecordType.INVOICE, record["ref"]),
        data=record,
        version=record["version"],
        sequence=record["sequence"],
        is_deleted=bool(record.get("deleted")),
    )


def invoice_from_state(
    ref: RecordRef, *, data: Mapping[str, Any] | None, version: str, sequence: int, is_deleted: bool = False
) -> Invoice:
    """Out of an event's state. No `data` means that it was marked for deletion: then there are no fields.

    Errors: BadEvent where a field is missing that the contract promises.
    """
    state = data or {}
    return Invoice(
        ref=ref,
        version=version,
        sequence=sequence,
        is_deleted=is_deleted or data is None,
        fields=_read_fields(state) if state else {},
        order=read_ref(RecordType.ORDER, state.get("order_ref")),
        order_deal=parse_external_id(state.get("order_external_id")),
        counterparty=read_ref(RecordType.COUNTERPARTY, state.get("counterparty_ref")),
        counterparty_party=parse_external_id(state.get("counterparty_external_id")),
    )


def _read_fields(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": str(require(state, "number")).strip(),
        "date": require(state, "date"),
        "pay_before": text_or_none(state.get("pay_before")),
        "amount": money_text(decimal_or_zero(require(state, "amount"))),
        "currency": require(state, "currency"),
        "status": require(state, "status"),
        "paid_amount": money_text(decimal_or_zero(state.get("paid_amount"))),
        "rows": read_rows(state.get("rows")),
        "comment": multiline_or_none(state.get("comment")),
    }
