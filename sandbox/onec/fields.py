"""The contract's schemas as tables: which fields a record has, how each is checked, and what it holds when empty."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sandbox.onec.checks import (
    Fields,
    Shape,
    array,
    choice,
    heading,
    nested,
    nullable,
    pattern,
    read_boolean,
    text,
)
from sandbox.onec.formats import (
    add,
    multiply,
    parse_date,
    parse_email,
    parse_money,
    parse_quantity,
    parse_uuid,
    round_money,
)

_REF = text(parse_uuid)
_MONEY = text(parse_money)
_NOTE = nullable(text())
_TITLE = nullable(heading())
_CURRENCY = pattern("[A-Z]{3}")
_EMAILS = array(
    nested(
        Shape(
            checks={"value": text(parse_email), "kind": choice("work", "home", "other")},
            blanks={"kind": "other"},
            required=("value",),
        )
    )
)
_PHONES = array(
    nested(
        Shape(
            checks={"value": text(), "kind": choice("work", "mobile", "home", "fax", "other")},
            blanks={"kind": "other"},
            required=("value",),
        )
    )
)
_ADDRESS_PARTS = ("text", "postal_code", "country", "region", "city", "street", "unit")
_ADDRESSES = array(
    nested(
        Shape(
            checks={"kind": choice("legal", "actual", "postal"), **dict.fromkeys(_ADDRESS_PARTS, text())},
            blanks=dict.fromkeys(_ADDRESS_PARTS, ""),
            required=("kind",),
        )
    )
)


def _read_product(value: Any) -> None:
    """There are no products here: a row keeps its name as free text, not a reference to nothing."""
    nullable(_REF)(value)


_PERSON = nested(Shape(checks={"email": _NOTE, "name": _NOTE}, blanks={"email": None, "name": None}))
_ROW = nested(
    Shape(
        checks={
            "product_ref": _read_product,
            "product_external_id": _NOTE,
            "sku": _NOTE,
            "name": text(),
            "unit": _NOTE,
            "quantity": text(parse_quantity),
            "price": _MONEY,
            "discount": _MONEY,
            "vat_rate": _NOTE,
            "vat_included": read_boolean,
            "amount": _MONEY,
        },
        blanks={
            "product_ref": None,
            "product_external_id": None,
            "sku": None,
            "unit": None,
            "discount": "0.00",
            "vat_rate": None,
            "vat_included": True,
        },
        required=("name", "quantity", "price"),
    )
)


def read_person(value: Any) -> dict[str, Any] | None:
    """A responsible person; one with neither name nor e-mail is nobody."""
    person = nullable(_PERSON)(value)
    return person if person and any(person.values()) else None


def read_row(value: Any) -> dict[str, Any]:
    """A row whose `amount` is filled: price × quantity − discount where it was not sent."""
    row: dict[str, Any] = _ROW(value)
    if "amount" not in row:
        gross = multiply(row["price"], row["quantity"])
        row["amount"] = round_money(add(gross, -Decimal(row["discount"])))
    return row


def total_of(rows: list[dict[str, Any]]) -> str:
    """The document's total: the rows' amounts, and the VAT on top of those that do not include it."""
    total = Decimal(0)
    for row in rows:
        total = add(total, add(Decimal(row["amount"]), _vat_on_top(row)))
    return round_money(total)


def _vat_on_top(row: Fields) -> Decimal:
    rate = row["vat_rate"]
    if row["vat_included"] or rate is None or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,2})?", rate):
        return Decimal(0)
    return Decimal(round_money(multiply(row["amount"], rate) / 100))


KEY = Shape(
    checks={
        "ref": _REF,
        "relink": read_boolean,
        "not_duplicate_of": array(_REF),
        "if_version": text(),
    }
)
COUNTERPARTY = Shape(
    checks={
        "kind": choice("company", "sole_trader", "person"),
        "name": heading(max_length=150, blank=False),
        "full_name": _TITLE,
        "inn": nullable(pattern("([0-9]{10}|[0-9]{12})")),
        "kpp": nullable(pattern("[0-9]{4}[0-9A-Z]{2}[0-9]{3}")),
        "ogrn": nullable(pattern("([0-9]{13}|[0-9]{15})")),
        "emails": _EMAILS,
        "phones": _PHONES,
        "addresses": _ADDRESSES,
        "responsible": read_person,
        "comment": _NOTE,
    },
    blanks={
        "kind": "company",
        "full_name": None,
        "inn": None,
        "kpp": None,
        "ogrn": None,
        "emails": [],
        "phones": [],
        "addresses": [],
        "responsible": None,
        "comment": None,
    },
    required=("name",),
)
LEAD = Shape(
    checks={
        "title": heading(blank=False),
        "counterparty_ref": nullable(_REF),
        "contact_name": _TITLE,
        "emails": _EMAILS,
        "phones": _PHONES,
        "source": _NOTE,
        "amount": nullable(_MONEY),
        "currency": nullable(_CURRENCY),
        "responsible": read_person,
        "comment": _NOTE,
        "url": _NOTE,
    },
    blanks={
        "counterparty_ref": None,
        "contact_name": None,
        "emails": [],
        "phones": [],
        "source": None,
        "amount": None,
        "currency": None,
        "responsible": None,
        "comment": None,
        "url": None,
    },
    required=("title",),
)
ORDER = Shape(
    checks={
        "title": heading(),
        "counterparty_ref": _REF,
        "contact_ref": nullable(_REF),
        "amount": _MONEY,
        "currency": _CURRENCY,
        "rows": array(read_row),
        "responsible": read_person,
        "ship_on": nullable(text(parse_date)),
        "comment": _NOTE,
        "url": _NOTE,
    },
    blanks={
        "title": "",
        "contact_ref": None,
        "amount": "0.00",
        "currency": "RUB",
        "rows": [],
        "responsible": None,
        "ship_on": None,
        "comment": None,
        "url": None,
    },
    required=("counterparty_ref",),
)
# Invoices are made in 1C only; the table checks what a bookkeeper types.
INVOICE = Shape(
    checks={
        "status": choice("issued", "partly_paid", "paid", "cancelled"),
        "pay_before": nullable(text(parse_date)),
        "amount": _MONEY,
        "paid_amount": _MONEY,
        "comment": _NOTE,
    }
)
SHAPES = {"counterparties": COUNTERPARTY, "leads": LEAD, "orders": ORDER}
