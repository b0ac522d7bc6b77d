"""An invoice: 1C owns it, Bitrix24 shows it on its deal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoice:
    """A 1C invoice in its newest known state.

    Shape of `fields` (contracts: Invoice): number, date, pay_before, amount, currency, status, paid_amount, rows,
    comment.
    """

    ref: RecordRef
    version: str
    sequence: int
    is_deleted: bool
    fields: Mapping[str, Any]
    order: RecordRef | None = None  # in 1C
    order_deal: RecordRef | None = None  # the deal, where 1C names it
    counterparty: RecordRef | None = None  # in 1C
    counterparty_party: RecordRef | None = None  # the Bitrix24 company or contact, where 1C names it


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceCard:
    """What the invoice's card in Bitrix24 should say.

    Shape of `fields`: title, opportunity (decimal text), currency, begin_on, pay_before (ISO dates or None), stage
    (bare code), comment, deal_id, company_id, contact_id (text or None), rows as `card_rows` makes them.
    """

    xml_id: str  # the 1C ref: the invoice is found again by it
    fields: Mapping[str, Any]


def invoice_title(number: str, date: str) -> str:
    """Счёт № 12 от 21.11.2026: the portal numbers its invoices itself, so 1C's number goes into the title."""
    year, month, day = date.split("-")
    return f"Счёт № {number} от {day}.{month}.{year}"
