"""Product rows of deals and old invoices: prices, discounts and VAT, against the sandbox's own arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.onec.fields import total_of
from sandbox.portal import rows
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.gateways.bitrix24.schemas.deal import read_row
from sync_worker.gateways.bitrix24.schemas.invoice import as_old, old_fields, read_old

KOPECKS = st.integers(min_value=0, max_value=10_000_000).map(lambda kopecks: kopecks / 100)
ROWS = st.fixed_dictionaries(
    {
        "PRODUCT_NAME": st.just("Стол"),
        "PRICE": KOPECKS,
        "QUANTITY": st.one_of(st.integers(1, 1000).map(float), st.integers(1, 99_999).map(lambda n: n / 1000)),
        "TAX_RATE": st.sampled_from([None, 0, 10, 18, 20]),
        "TAX_INCLUDED": st.sampled_from(["Y", "N"]),
        "DISCOUNT_TYPE_ID": st.just(rows.MONEY),
        "DISCOUNT_SUM": st.one_of(st.just(0.0), KOPECKS),
    }
)


def shown(**given: Any) -> dict[str, Any]:
    """A row as crm.deal.productrows.get gives it."""
    return rows.classic_view({**rows.build("D", 1, given), "ID": 1})


def total(row: dict[str, Any]) -> Decimal:
    """What 1C makes of the row: its amount, and the VAT on top where the amount has none."""
    return Decimal(total_of([row]))


@given(ROWS)
def test_price_times_quantity_less_discount_is_the_amount(given):
    row = read_row(shown(**given))
    price, quantity, discount = (Decimal(row[name]) for name in ("price", "quantity", "discount"))
    assert (price * quantity - discount).quantize(Decimal("0.01"), "ROUND_HALF_UP") == Decimal(row["amount"])
    assert discount >= 0


@given(ROWS)
def test_row_comes_to_what_the_deal_says_it_costs(given):
    row = read_row(shown(**given))
    paid = Decimal(str(given["PRICE"])) * Decimal(str(given["QUANTITY"]))
    assert abs(total(row) - paid) <= Decimal("0.01")


def test_discount_is_money_off_the_whole_row():
    row = shown(PRODUCT_NAME="Стол", PRICE=90, QUANTITY=3, DISCOUNT_TYPE_ID=1, DISCOUNT_SUM=10, TAX_INCLUDED="Y")
    read = read_row(row)
    assert (read["price"], read["quantity"], read["discount"], read["amount"]) == ("100.00", "3", "30.00", "270.00")
    assert read["vat_rate"] is None


def test_vat_on_top_leaves_prices_without_it():
    row = read_row(shown(PRODUCT_NAME="Стол", PRICE=120, QUANTITY=2, TAX_RATE=20, TAX_INCLUDED="N"))
    assert (row["price"], row["amount"], row["vat_rate"], row["vat_included"]) == ("100.00", "200.00", "20", False)


def test_vat_on_top_does_not_lose_kopecks_by_the_quantity():
    row = read_row(shown(PRODUCT_NAME="Стол", PRICE=100, QUANTITY=30, TAX_RATE=20, TAX_INCLUDED="N"))
    assert row["amount"] == "2500.00"
    assert total(row) == Decimal("3000.00")


@pytest.mark.parametrize(
    ("id_", "external_id"), [(0, None), ("0", None), (None, None), (450, "b24:product:450"), ("7", "b24:product:7")]
)
def test_product_of_no_catalogue_has_no_name_for_1c(id_, external_id):
    assert read_row({**shown(PRODUCT_NAME="Стол", PRICE=1), "PRODUCT_ID": id_})["product_external_id"] == external_id


def old_card(rate: str | None) -> InvoiceCard:
    row = {"name": "Стол", "quantity": "2", "price": "600.00", "tax_rate": rate, "is_tax_included": True}
    return InvoiceCard(xml_id="1", fields={"title": "Счёт", "rows": [row]})


@pytest.mark.parametrize(("rate", "share", "read"), [("20", "0.2", "20"), ("7", "0.07", "7"), (None, "0", None)])
def test_old_invoice_has_vat_as_a_share(rate, share, read):
    (row,) = old_fields(old_card(rate).fields)["PRODUCT_ROWS"]
    assert row["VAT_RATE"] == share
    assert read_old({"PRODUCT_ROWS": [row]}).fields["rows"][0]["tax_rate"] == read


def test_old_invoice_knows_no_difference_between_0_percent_and_no_vat():
    assert as_old(old_card("0")) == as_old(old_card(None))
