"""Product rows: what one costs with discount and tax, and how rows are kept for their owner.

Source: crm-deal-productrows-get.md and the samples of crm.item.productrow.*, read 2026-08. PRICE is after discount,
with tax; PRICE_EXCLUSIVE after discount, without tax; PRICE_NETTO before both; PRICE_BRUTTO before discount, with tax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.portal.errors import business
from sandbox.portal.fields import Field, of, read, text, typed
from sandbox.portal.params import as_int
from sandbox.portal.store import Record, Store

MONEY, PERCENT = 1, 2  # DISCOUNT_TYPE_ID
_MEASURES = {796: "шт", 166: "кг", 6: "м", 112: "л", 356: "ч"}  # ОКЕИ codes

FIELDS: tuple[Field, ...] = (
    of("integer", "ID", read_only=True),
    of("integer", "OWNER_ID", required=True, immutable=True),
    text("OWNER_TYPE", required=True, immutable=True),
    of("integer", "PRODUCT_ID", default=0),
    text("PRODUCT_NAME"),
    of("double", "PRICE", default=0.0),
    of("double", "PRICE_ACCOUNT", read_only=True),
    of("double", "PRICE_EXCLUSIVE", read_only=True),
    of("double", "PRICE_NETTO", read_only=True),
    of("double", "PRICE_BRUTTO", read_only=True),
    of("double", "QUANTITY", default=1.0),
    of("integer", "DISCOUNT_TYPE_ID", default=PERCENT),
    of("double", "DISCOUNT_RATE"),
    of("double", "DISCOUNT_SUM"),
    of("double", "TAX_RATE"),
    of("char", "TAX_INCLUDED", default="N"),
    of("char", "CUSTOMIZED", default="Y"),
    of("integer", "MEASURE_CODE", default=796),
    text("MEASURE_NAME"),
    of("integer", "SORT", default=0),
    text("XML_ID", default="", read_only=True),
    of("integer", "TYPE", default=1, read_only=True),
    of("integer", "STORE_ID", read_only=True),
)
BY_NAME = {field.name: field for field in FIELDS}
BY_ITEM = {field.item: field for field in FIELDS if field.item}


def build(owner_type: str, owner_id: int, given: Mapping[str, Any], *, before: Record | None = None) -> Record:
    """Make a row of what a caller gave, by stored names, over what the row was before."""
    row: Record = {field.name: field.default for field in FIELDS} | (before or {})
    for name, value in given.items():
        field = BY_NAME.get(name)
        if field and not field.read_only and not field.immutable and value not in (None, ""):
            row[name] = read(field, value)
        elif name == "TAX_RATE":
            row[name] = None
    row |= {"OWNER_TYPE": owner_type, "OWNER_ID": owner_id}
    row["MEASURE_NAME"] = row["MEASURE_NAME"] or _MEASURES.get(row["MEASURE_CODE"] or 0, "шт")
    row["PRODUCT_NAME"] = row["PRODUCT_NAME"] or f"Товар {row['PRODUCT_ID']}"
    return row | prices(row)


def prices(row: Record) -> Record:
    """Compute the four prices and the discount, each rounded as the portal rounds."""
    share = (row["TAX_RATE"] or 0) / 100
    exclusive = round(row["PRICE"] / (1 + share), 2)
    rate, discount = row["DISCOUNT_RATE"] or 0.0, row["DISCOUNT_SUM"] or 0.0
    if row["DISCOUNT_TYPE_ID"] == MONEY:
        netto = round(exclusive + discount, 2)
        rate = round(100 * discount / netto, 2) if netto else 0.0
    elif rate >= 100:
        if not discount:
            raise business(
                "Discount Sum (DISCOUNT_SUM) is required if Percentage Discount Type (DISCOUNT_TYPE_ID) is defined "
                "and Discount Rate (DISCOUNT_RATE) is 100%<br>"
            )
        netto = round(exclusive + discount, 2)
    else:
        netto = round(exclusive / (1 - rate / 100), 2)
        discount = round(netto - exclusive, 2)
    return {
        "PRICE_ACCOUNT": row["PRICE"],
        "PRICE_EXCLUSIVE": exclusive,
        "PRICE_NETTO": netto,
        "PRICE_BRUTTO": round(netto * (1 + share), 2) if discount else row["PRICE"],
        "DISCOUNT_RATE": rate,
        "DISCOUNT_SUM": discount,
    }


def of_owner(store: Store, owner_type: str, owner_id: int) -> list[Record]:
    """List the rows of a deal, lead or invoice in their order."""
    ids = store.rows.lookup("OWNER_ID", [owner_id])
    found = (store.rows.rows[one] for one in ids)
    return sorted((row for row in found if row["OWNER_TYPE"] == owner_type), key=lambda row: (row["SORT"], row["ID"]))


def replace(store: Store, owner_type: str, owner_id: int, given: Sequence[Mapping[str, Any]]) -> bool:
    """Replace all rows of an owner; a row named by its ID keeps it. Say whether anything is different now."""
    before = {row["ID"]: row for row in of_owner(store, owner_type, owner_id)}
    built = []
    for index, one in enumerate(given):
        old = before.get(as_int(one.get("ID")))
        row = build(owner_type, owner_id, {"SORT": (index + 1) * 10, **one}, before=old)
        built.append(row)
    for row_id in before:
        store.rows.remove(row_id)
    for row in built:
        if row["ID"] is None:
            del row["ID"]
        store.rows.put(row)
    return list(before.values()) != built


def totals(rows: list[Record]) -> tuple[float, float]:
    """Sum rows: what is to pay, and the tax in it."""
    amount = sum(row["PRICE"] * row["QUANTITY"] for row in rows)
    tax = sum((row["PRICE"] - row["PRICE_EXCLUSIVE"]) * row["QUANTITY"] for row in rows)
    return round(amount, 2), round(tax, 2)


def classic_view(row: Record) -> Record:
    """Print for crm.deal.productrows.get: ids of the row are strings, everything else numbers."""
    told = {field.name: typed(field, row[field.name]) for field in FIELDS}
    return told | {
        "ID": str(row["ID"]),
        "OWNER_ID": str(row["OWNER_ID"]),
        "PRICE_ACCOUNT": f"{row['PRICE_ACCOUNT']:.2f}",
        "ORIGINAL_PRODUCT_NAME": row["PRODUCT_NAME"],
        "PRODUCT_DESCRIPTION": None,
        "STORE_ID": None,
        "RESERVE_ID": None,
        "DATE_RESERVE_END": None,
        "RESERVE_QUANTITY": None,
    }


def item_view(row: Record) -> Record:
    """Print for crm.item.productrow.*."""
    return {str(field.item): typed(field, row[field.name]) for field in FIELDS}
