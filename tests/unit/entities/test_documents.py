"""Deals, leads, invoices and statuses without any system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.rules import PipelineRules
from sync_worker.entities.deal import Deal, order_row, reached_send_stage
from sync_worker.entities.invoice import invoice_title
from sync_worker.entities.lead import Lead, qualifies
from sync_worker.entities.status import target_stage

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PIPELINE = PipelineRules(category=0, send_at=frozenset({"EXECUTING", "PAID"}), stages={"Закрыт": "WON"})
COMPANY, CONTACT = bitrix24_ref(RecordType.COMPANY, 7), bitrix24_ref(RecordType.CONTACT, 42)


def deal(stage: str = "NEW", **changes: Any) -> Deal:
    return Deal(ref=bitrix24_ref(RecordType.DEAL, 5), category=0, stage=stage, is_closed=False, **changes)


# --- when a deal travels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "past", "expected"),
    [
        pytest.param("EXECUTING", (), True, id="stands there"),
        pytest.param("NEW", (), False, id="not yet"),
        pytest.param("WON", (("PAID", 1),), True, id="passed it an hour ago"),
        pytest.param("WON", (("LOSE", 1), ("PAID", 23)), True, id="passed it before another"),
        pytest.param("WON", (("PAID", 24),), True, id="passed it just within the limit"),
        pytest.param("WON", (("PAID", 24.1),), False, id="passed it long ago"),
        pytest.param("WON", (("LOSE", 1),), False, id="passed another"),
    ],
)
def test_reached_send_stage(stage: str, past: tuple[tuple[str, float], ...], expected: bool) -> None:
    passed = tuple((name, NOW - timedelta(hours=hours)) for name, hours in past)

    assert reached_send_stage(deal(stage, past_stages=passed), PIPELINE, now=NOW, within_hours=24) is expected


@pytest.mark.parametrize(
    ("parties", "expected"),
    [
        ({"company": COMPANY, "contact": CONTACT}, COMPANY),
        ({"contact": CONTACT}, CONTACT),
        ({}, None),
    ],
)
def test_a_deals_counterparty_is_its_company_else_its_contact(parties: dict[str, Any], expected: object) -> None:
    assert deal(**parties).counterparty == expected


# --- rows ------------------------------------------------------------------------------------------------------------


def row(quantity: str, full: str, paid: str, **rest: Any) -> dict[str, Any]:
    prices = {"full_price": Decimal(full), "paid_price": Decimal(paid)}
    return order_row(name="Бумага", quantity=Decimal(quantity), vat_rate=None, **prices, **rest)


@pytest.mark.parametrize(
    ("given_row", "expected"),
    [
        (("2", "500", "500"), ("2", "500.00", "0.00", "1000.00")),
        (("2", "500", "450"), ("2", "500.00", "100.00", "900.00")),
        (("3", "33.333333", "33.333333"), ("3", "33.34", "0.02", "100.00")),  # a price without its VAT
        (("1.5", "10", "10"), ("1.5", "10.00", "0.00", "15.00")),
        (("0.3333", "100", "100"), ("0.334", "100.00", "0.07", "33.33")),  # the portal has four decimals, 1C three
        (("0", "10", "10"), ("0", "10.00", "0.00", "0.00")),
    ],
    ids=["plain", "discount", "fine price", "part of a unit", "fine quantity", "nothing"],
)
def test_order_row(given_row: tuple[str, str, str], expected: tuple[str, ...]) -> None:
    made = row(*given_row)

    assert (made["quantity"], made["price"], made["discount"], made["amount"]) == expected


def test_a_row_carries_the_rate_and_what_else_it_is_given() -> None:
    made = order_row(
        name="Бумага",
        quantity=Decimal(1),
        full_price=Decimal(1),
        paid_price=Decimal(1),
        vat_rate=Decimal("20.00"),
        unit="796",
    )

    assert (made["name"], made["vat_rate"], made["unit"]) == ("Бумага", "20", "796")
    assert row("1", "1", "1")["vat_rate"] is None


def decimals(top: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, top, places=places, allow_nan=False, allow_infinity=False)


@given(quantity=decimals(100_000, 4), paid=decimals(1_000_000, 6), off=decimals(1000, 6))
@example(quantity=Decimal("0.3333"), paid=Decimal(100), off=Decimal(0))
@example(quantity=Decimal("0.0001"), paid=Decimal(100), off=Decimal(0))
def test_a_rows_numbers_always_add_up(quantity: Decimal, paid: Decimal, off: Decimal) -> None:
    made = row(str(quantity), str(paid + off), str(paid))

    price, discount, amount = (Decimal(made[name]) for name in ("price", "discount", "amount"))
    shown = Decimal(made["quantity"])
    assert (price * shown).quantize(Decimal("0.01"), "ROUND_HALF_UP") - discount == amount
    assert discount >= 0
    assert abs(amount - paid * quantity) <= Decimal("0.005")
    assert abs(shown - quantity) < Decimal("0.001")


# --- the rest --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "expected"), [("CONVERTED", True), ("IN_PROCESS", False)])
def test_a_lead_qualifies_by_its_status(status: str, expected: bool) -> None:
    lead = Lead(ref=bitrix24_ref(RecordType.LEAD, 3), status=status)

    assert qualifies(lead, frozenset({"CONVERTED"})) is expected


@pytest.mark.parametrize(("status", "stage"), [("Закрыт", "WON"), ("КОтгрузке", None)])
def test_target_stage(status: str, stage: str | None) -> None:
    assert target_stage(status, PIPELINE) == stage


def test_an_invoices_title_has_its_number_and_date() -> None:
    assert invoice_title("12", "2026-11-21") == "Счёт № 12 от 21.11.2026"
