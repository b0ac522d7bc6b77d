"""A deal, and the customer order that 1C makes of it. Bitrix24 owns it until 1C locks the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.rules import PipelineRules
from sync_worker.domain.values import decimal_text, kopecks, kopecks_up, money_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Deal:
    """A Bitrix24 deal.

    Shape of `fields`, as 1C takes them (contracts: Order): title, amount, currency, rows, responsible, ship_on,
    comment, url.
    """

    ref: RecordRef
    category: int  # the pipeline
    stage: str  # with the pipeline's prefix
    is_closed: bool  # won or lost
    fields: Mapping[str, Any] = field(default_factory=dict)
    company: RecordRef | None = None
    contact: RecordRef | None = None  # the primary one
    past_stages: tuple[tuple[str, datetime], ...] = ()  # (stage, when it was reached); the flow fills it, if need be
    onec_id: str | None = None  # what UF_CRM_1C_ID says

    @property
    def counterparty(self) -> RecordRef | None:
        """The company where there is one, else the primary contact."""
        return self.company or self.contact


def reached_send_stage(deal: Deal, pipeline: PipelineRules, *, now: datetime, within_hours: int) -> bool:
    """True where the deal stands at a stage that sends it, or passed one lately.

    A deal that moves on before its event is handled has still reached the stage. Old history does not count, or an
    edit of a deal that was won years ago would make an order of it.
    """
    if deal.stage in pipeline.send_at:
        return True
    since = now - timedelta(hours=within_hours)
    return any(stage in pipeline.send_at and at >= since for stage, at in deal.past_stages)


def order_row(
    *, name: str, quantity: Decimal, full_price: Decimal, paid_price: Decimal, vat_rate: Decimal | None, **rest: Any
) -> dict[str, Any]:
    """One row as the contract has it, out of unit prices before and after discount.

    `price` has whole kopecks and `quantity` whole thousandths while Bitrix24's may be finer (a price without its VAT,
    a quantity of four decimals), so both are rounded up and the difference goes into `discount`:
    price x quantity - discount stays the row's true amount, and discount is never below zero.
    """
    amount = kopecks(paid_price * quantity)
    price = kopecks_up(full_price)
    quantity = quantity.quantize(Decimal("0.001"), rounding=ROUND_CEILING)
    discount = kopecks(price * quantity) - amount
    return {
        "name": name,
        "quantity": decimal_text(quantity),
        "price": money_text(price),
        "discount": money_text(discount),
        "amount": money_text(amount),
        "vat_rate": None if vat_rate is None else decimal_text(vat_rate),
        **rest,
    }
