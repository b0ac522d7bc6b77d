"""Shapes that several entities share: typed values, people, addresses' parts, rows, and checks before sending.

What the contract forbids is refused here, before anything is sent: the message then names our field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.domain.values import (
    decimal_or_zero,
    decimal_text,
    kopecks,
    money_text,
    normalise_email,
    text_or_none,
)
from sync_worker.errors import BadEvent, RemoteRejected

T = TypeVar("T")
EMAIL_KINDS = ("work", "home", "other")
PHONE_KINDS = ("work", "mobile", "home", "fax", "other")
OTHER_KIND = "other"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def refuse(field: str, why: str) -> RemoteRejected:
    """What 1C would answer to this value; never the value itself."""
    return RemoteRejected(f"{field}: {why}", code="validation", field=field)


def value_shape(value: str) -> str:
    """How a value looks without saying what it is: 9 for a digit, A for a letter."""
    return "".join("9" if char.isdigit() else "A" if char.isalpha() else char for char in value)


def require(values: Mapping[str, Any], name: str) -> Any:
    """A field that the contract promises. BadEvent where it is missing or null."""
    value = values.get(name)
    if value is None:
        raise BadEvent(f"{name}: 1C sent none")
    return value


def read_kind(value: object, choices: Callable[[Any], T]) -> T:
    """One of an enumeration's values. BadEvent for another."""
    try:
        return choices(value)
    except ValueError:
        raise BadEvent(f"kind: 1C sent an unknown one: {text_or_none(value)}") from None


def is_onec_id(text: str) -> bool:
    """True for a UUID in 1C's spelling. UF_CRM_1C_ID can be typed over by hand, and 1C looks for nothing else."""
    return bool(_UUID.fullmatch(text))


def read_ref(type_: RecordType, value: object) -> RecordRef | None:
    text = text_or_none(value)
    return onec_ref(type_, text) if text else None


# --- typed values: e-mail addresses and phones -----------------------------------------------------------------------


def read_values(items: Iterable[Mapping[str, Any]] | None, normalise: Callable[[object], str | None]) -> list[str]:
    """Sorted normalised values, each once."""
    return sorted({text for item in items or () if (text := normalise(item.get("value")))})


def read_value_kinds(
    items: Iterable[Mapping[str, Any]] | None, normalise: Callable[[object], str | None]
) -> dict[str, str]:
    """Value -> kind, of those that have one."""
    return {text: item["kind"] for item in items or () if item.get("kind") and (text := normalise(item.get("value")))}


def show_values(values: Iterable[str], kinds: Mapping[str, str], allowed: tuple[str, ...]) -> list[dict[str, str]]:
    """With the kind that the contract has for it; a kind it has not becomes `other`, an unknown one is left out."""
    return [_show_value(value, kinds.get(value), allowed) for value in values]


def _show_value(value: str, kind: str | None, allowed: tuple[str, ...]) -> dict[str, str]:
    if kind is None:
        return {"value": value}
    return {"value": value, "kind": kind if kind in allowed else OTHER_KIND}


# --- people ----------------------------------------------------------------------------------------------------------


def read_person_email(person: Mapping[str, Any] | None) -> str | None:
    return normalise_email((person or {}).get("email"))


def read_person_name(person: Mapping[str, Any] | None) -> str | None:
    return text_or_none((person or {}).get("name"))


def show_person(email: str | None, name: str | None) -> dict[str, str | None] | None:
    """The contract's Person; null for nobody. A name without an e-mail finds no one, so it is nobody too."""
    return {"email": email, "name": name} if email else None


# --- rows ------------------------------------------------------------------------------------------------------------


def read_rows(rows: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """The rows of a document with every key of the contract's Row, decimals in one spelling."""
    return [_read_row(row) for row in rows or ()]


def _read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    quantity, price = decimal_or_zero(row.get("quantity")), decimal_or_zero(row.get("price"))
    discount = decimal_or_zero(row.get("discount"))
    amount = row.get("amount")
    return {
        "product_ref": text_or_none(row.get("product_ref")),
        "product_external_id": text_or_none(row.get("product_external_id")),
        "sku": text_or_none(row.get("sku")),
        "name": text_or_none(row.get("name")) or "",
        "unit": text_or_none(row.get("unit")),
        "quantity": decimal_text(quantity),
        "price": money_text(price),
        "discount": money_text(discount),
        "vat_rate": _read_rate(row.get("vat_rate")),
        "vat_included": row.get("vat_included", True),
        "amount": money_text(kopecks(price * quantity) - discount if amount is None else decimal_or_zero(amount)),
    }


def _read_rate(value: object) -> str | None:
    """Percent; None for "without VAT"."""
    text = text_or_none(value)
    return decimal_text(Decimal(text)) if text and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else text


# --- documents to 1C -------------------------------------------------------------------------------------------------


def show_fields(fields: Mapping[str, Any], nullable: frozenset[str], required: frozenset[str]) -> dict[str, Any]:
    """The contract's fields of a document. A blank one that may not be null is left out: 1C then keeps what it has."""
    shown = {name: value for name, value in fields.items() if name in nullable}
    return shown | {name: fields[name] for name in required & fields.keys() if fields[name] is not None}
