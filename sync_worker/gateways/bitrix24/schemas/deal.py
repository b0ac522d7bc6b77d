"""A Bitrix24 deal with its rows and contacts -> Deal, its fields as 1C takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.domain.values import decimal_or_zero, money_text, multiline_or_none, text_or_none
from sync_worker.entities.deal import Deal, order_row
from sync_worker.gateways.bitrix24.directories import User
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.lead import party_ref, person


def read_deal(
    ref: RecordRef,
    card: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, Any]],
    contact_id: object,
    responsible: User | None,
    card_url: str,
) -> Deal:
    """Build it out of crm.deal.get and productrows.get; `contact_id` is the primary contact's."""
    return Deal(
        ref=ref,
        category=int(card.get("CATEGORY_ID") or 0),
        stage=str(card.get("STAGE_ID") or ""),
        is_closed=card.get("STAGE_SEMANTIC_ID") in ("S", "F") or card.get("CLOSED") == "Y",
        fields={
            "title": text_or_none(card.get("TITLE")) or f"Сделка {ref.id}",
            "amount": money_text(decimal_or_zero(card.get("OPPORTUNITY"))),
            "currency": text_or_none(card.get("CURRENCY_ID")) or "RUB",
            "rows": [read_row(row) for row in sorted(rows, key=lambda row: int(row.get("SORT") or 0))],
            "responsible": person(responsible),
            "comment": multiline_or_none(card.get("COMMENTS")),
            "url": card_url,
        },
        company=party_ref(RecordType.COMPANY, card.get("COMPANY_ID")),
        contact=party_ref(RecordType.CONTACT, contact_id),
        onec_id=text_or_none(card.get(ONEC_ID_FIELD)),
    )


def read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """One product row as the contract has it.

    PRICE is after discount with tax; PRICE_BRUTTO with and PRICE_NETTO without tax are before discount (reference
    3.10). Where the tax comes on top (TAX_INCLUDED), what is paid is worked out of PRICE: the deal's amount is made of
    it, while PRICE_EXCLUSIVE is rounded for one unit and would miss the amount by the quantity.
    """
    is_tax_included = row.get("TAX_INCLUDED") == "Y"
    rate = None if row.get("TAX_RATE") is None else decimal_or_zero(row.get("TAX_RATE"))
    paid_price = decimal_or_zero(row.get("PRICE"))
    if not is_tax_included:
        paid_price /= 1 + (rate or Decimal(0)) / 100
    full_price = decimal_or_zero(row.get("PRICE_BRUTTO" if is_tax_included else "PRICE_NETTO"))
    return order_row(
        name=text_or_none(row.get("PRODUCT_NAME")) or "Товар",
        quantity=decimal_or_zero(row.get("QUANTITY")),
        full_price=max(full_price, paid_price),
        paid_price=paid_price,
        vat_rate=rate,
        vat_included=is_tax_included,
        unit=text_or_none(row.get("MEASURE_CODE")),
        product_external_id=_product(row.get("PRODUCT_ID")),
    )


def _product(id_: object) -> str | None:
    text = text_or_none(id_)
    return None if text in (None, "0") else f"b24:product:{text}"
