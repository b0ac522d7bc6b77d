"""InvoiceCard <-> a smart invoice (crm.item.*, entityTypeId 31) or an old one (crm.invoice.*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sync_worker.domain.values import decimal_or_zero, money_text, multiline_or_none, text_or_none
from sync_worker.entities.invoice import InvoiceCard

SMART_INVOICE_TYPE_ID = 31


def stage_prefix(category: int) -> str:
    return f"DT{SMART_INVOICE_TYPE_ID}_{category}:"


def read_smart(item: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> InvoiceCard:
    """Build it out of crm.item.get and crm.item.productrow.list."""
    return InvoiceCard(
        xml_id=str(item.get("xmlId") or ""),
        fields={
            "title": text_or_none(item.get("title")),
            "opportunity": money_text(decimal_or_zero(item.get("opportunity"))),
            "currency": text_or_none(item.get("currencyId")),
            "begin_on": _date(item.get("begindate")),
            "pay_before": _date(item.get("closedate")),
            "stage": str(item.get("stageId") or "").rpartition(":")[2],
            "comment": multiline_or_none(item.get("comments")),
            "deal_id": _id(item.get("parentId2")),
            "company_id": _id(item.get("companyId")),
            "contact_id": _id(item.get("contactId")),
            "rows": [read_row(row) for row in rows],
        },
    )


def read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of crm.item.productrow.list, as far as it is compared."""
    return card_row(
        name=str(row.get("productName") or ""),
        quantity=row.get("quantity"),
        price=row.get("price"),
        tax_rate=row.get("taxRate"),
        is_tax_included=row.get("taxIncluded") == "Y",
    )


def card_row(*, name: str, quantity: Any, price: Any, tax_rate: Any, is_tax_included: bool) -> dict[str, Any]:
    """One row of a card: price is for one unit after discount with tax, as Bitrix24 counts."""
    return {
        "name": name,
        "quantity": format(decimal_or_zero(quantity).normalize(), "f"),
        "price": money_text(decimal_or_zero(price)),
        "tax_rate": None if tax_rate is None else format(decimal_or_zero(tax_rate).normalize(), "f"),
        "is_tax_included": is_tax_included,
    }


_SMART_FIELD = {
    "title": "title",
    "opportunity": "opportunity",
    "currency": "currencyId",
    "begin_on": "begindate",
    "pay_before": "closedate",
    "comment": "comments",
    "deal_id": "parentId2",
    "company_id": "companyId",
}


def smart_fields(changes: Mapping[str, Any], *, prefix: str) -> dict[str, Any]:
    """The fields of crm.item.add / update for what changed; rows travel by crm.item.productrow.set."""
    fields: dict[str, Any] = {}
    for ours, theirs in _SMART_FIELD.items():
        if ours in changes:
            fields[theirs] = changes[ours] if changes[ours] is not None else ""
    if "opportunity" in changes:
        fields["isManualOpportunity"] = "Y"  # 1C's total counts, also where the rows round to another one
    if "contact_id" in changes:
        fields["contactIds"] = [changes["contact_id"]] if changes["contact_id"] else []
    if "stage" in changes:
        fields["stageId"] = prefix + changes["stage"]
    return fields


def smart_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "productName": row["name"],
            "quantity": row["quantity"],
            "price": row["price"],
            "taxRate": row["tax_rate"],
            "taxIncluded": "Y" if row["is_tax_included"] else "N",
            "sort": index * 10,
        }
        for index, row in enumerate(rows, start=1)
    ]


def read_old(card: Mapping[str, Any]) -> InvoiceCard:
    """Build it out of crm.invoice.get. The old invoice's PRICE is the sum of its rows."""
    return InvoiceCard(
        xml_id=str(card.get("XML_ID") or ""),
        fields={
            "title": text_or_none(card.get("ORDER_TOPIC")),
            "opportunity": money_text(decimal_or_zero(card.get("PRICE"))),
            "currency": text_or_none(card.get("CURRENCY")),
            "begin_on": _date(card.get("DATE_BILL")),
            "pay_before": _date(card.get("DATE_PAY_BEFORE")),
            "stage": str(card.get("STATUS_ID") or ""),
            "comment": multiline_or_none(card.get("COMMENTS")),
            "deal_id": _id(card.get("UF_DEAL_ID")),
            "company_id": _id(card.get("UF_COMPANY_ID")),
            "contact_id": _id(card.get("UF_CONTACT_ID")),
            "rows": [_read_old_row(row) for row in card.get("PRODUCT_ROWS") or []],
        },
    )


def _read_old_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """VAT_RATE is a share here, 0.2 for 20 %."""
    rate = decimal_or_zero(row.get("VAT_RATE")) * 100
    return card_row(
        name=str(row.get("PRODUCT_NAME") or ""),
        quantity=row.get("QUANTITY"),
        price=row.get("PRICE"),
        tax_rate=rate or None,
        is_tax_included=row.get("VAT_INCLUDED") == "Y",
    )


def as_old(card: InvoiceCard) -> InvoiceCard:
    """What an old invoice can hold of a card: no amount and currency of its own, and 0 % for "without VAT"."""
    fields = {name: value for name, value in card.fields.items() if name in _OLD_FIELD}
    rows = [{**row, "tax_rate": None if row["tax_rate"] == "0" else row["tax_rate"]} for row in card.fields["rows"]]
    return InvoiceCard(xml_id=card.xml_id, fields={**fields, "rows": rows})


_OLD_FIELD = {
    "title": "ORDER_TOPIC",
    "begin_on": "DATE_BILL",
    "pay_before": "DATE_PAY_BEFORE",
    "stage": "STATUS_ID",
    "comment": "COMMENTS",
    "deal_id": "UF_DEAL_ID",
    "company_id": "UF_COMPANY_ID",
    "contact_id": "UF_CONTACT_ID",
}


def old_fields(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of crm.invoice.add / update; amount and currency follow from rows and portal."""
    fields = {theirs: changes[ours] or "" for ours, theirs in _OLD_FIELD.items() if ours in changes}
    if "rows" in changes:
        fields["PRODUCT_ROWS"] = [
            {
                "ID": 0,
                "PRODUCT_ID": 0,
                "PRODUCT_NAME": row["name"],
                "QUANTITY": row["quantity"],
                "PRICE": row["price"],
                "VAT_RATE": str(decimal_or_zero(row["tax_rate"]) / 100),
                "VAT_INCLUDED": "Y" if row["is_tax_included"] else "N",
            }
            for row in changes["rows"]
        ]
    return fields


def _date(value: object) -> str | None:
    """The day of an ISO instant that the portal shows as midnight with its own offset."""
    text = text_or_none(value)
    return text[:10] if text else None


def _id(value: object) -> str | None:
    text = text_or_none(value)
    return None if text in (None, "0") else text
