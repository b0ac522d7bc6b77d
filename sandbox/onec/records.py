"""One object of the base, and how the contract shows it: as a record, and as the state inside an event."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TYPES = ("counterparties", "leads", "orders", "invoices")
_ORDER_STATE = ("number", "posted", "locked", "status", "amount", "currency", "rows")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object as the last write left it. Never changed in place: a write makes another one."""

    type: str  # one of TYPES
    ref: str
    external_id: str | None  # the Bitrix24 record it is linked to
    sequence: int  # the base's write counter
    changed_at: float  # seconds since 1970
    deleted: bool
    fields: Mapping[str, Any]  # the contract's fields, all of them, and `locked` of an order

    @property
    def version(self) -> str:
        """Eight bytes in base64, as 1C's DataVersion looks."""
        return b64encode(self.sequence.to_bytes(8, "big")).decode()

    @property
    def number(self) -> str | None:
        number: str | None = self.fields.get("number")
        return number


Lookup = Callable[[str, str | None], Stored | None]
FormatTime = Callable[[float], str]


def index_keys(stored: Stored) -> Iterator[tuple[str, str]]:
    """What an object is found by: (query parameter, value)."""
    if stored.external_id:
        yield "external_id", stored.external_id
    if stored.type == "counterparties":
        if stored.fields["inn"]:
            yield "inn", stored.fields["inn"]
        for email in stored.fields["emails"]:
            yield "email", email["value"].lower()
    if stored.type == "invoices" and stored.fields["order_ref"]:
        yield "order_ref", stored.fields["order_ref"]


def show_record(stored: Stored, *, get: Lookup, format_time: FormatTime) -> dict[str, Any]:
    """The object as a *Record of the contract."""
    record = {
        "ref": stored.ref,
        "version": stored.version,
        "sequence": stored.sequence,
        "external_id": stored.external_id,
        "changed_at": format_time(stored.changed_at),
        "deleted": stored.deleted,
        **show_fields(stored, get=get),
    }
    record.pop("locked", None)
    return record


def show_fields(stored: Stored, *, get: Lookup) -> dict[str, Any]:
    """The object's own fields; an invoice also says how its order and counterparty are linked just now."""
    if stored.type != "invoices":
        return dict(stored.fields)
    return {
        **stored.fields,
        "order_external_id": _link_of(get("orders", stored.fields["order_ref"])),
        "counterparty_external_id": _link_of(get("counterparties", stored.fields["counterparty_ref"])),
    }


def _link_of(stored: Stored | None) -> str | None:
    return stored.external_id if stored else None


def show_event_state(stored: Stored, event_type: str, *, get: Lookup) -> dict[str, Any] | None:
    """`data` of an event: every field of its schema; a deletion carries none."""
    if event_type.endswith(".deleted"):
        return None
    if event_type == "order.status_changed":
        return {"status": stored.fields["status"], "order_number": stored.number}
    if event_type == "order.changed":
        return {name: stored.fields[name] for name in _ORDER_STATE}
    return show_fields(stored, get=get)
