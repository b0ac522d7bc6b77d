"""The contract's Counterparty <-> CounterpartyRecord."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.domain.values import (
    multiline_or_none,
    normalise_code,
    normalise_email,
    normalise_phone,
    text_or_none,
)
from sync_worker.entities.contact import ADDRESS_PARTS, CounterpartyRecord, address_line, canonical_addresses
from sync_worker.gateways.onec.schemas.shapes import (
    EMAIL_KINDS,
    PHONE_KINDS,
    read_kind,
    read_person_email,
    read_person_name,
    read_value_kinds,
    read_values,
    refuse,
    show_person,
    show_values,
    value_shape,
)

MAX_NAME = 150  # characters; 1C would cut a longer one in silence
CODE_PATTERNS = {
    "inn": re.compile(r"([0-9]{10}|[0-9]{12})"),
    "kpp": re.compile(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}"),
    "ogrn": re.compile(r"([0-9]{13}|[0-9]{15})"),
}
# the contract enforces the format, so an address that does not fit can be neither stored there nor looked for
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EXTENSION = re.compile(r";ext=(\d+)$")


def read_counterparty(record: Mapping[str, Any]) -> CounterpartyRecord:
    """Out of the contract's CounterpartyRecord."""
    return counterparty_from_state(
        onec_ref(RecordType.COUNTERPARTY, record["ref"]),
        data=record,
        version=record["version"],
        sequence=record["sequence"],
        external_id=record.get("external_id"),
        is_deleted=bool(record.get("deleted")),
    )


def counterparty_from_state(
    ref: RecordRef,
    *,
    data: Mapping[str, Any] | None,
    version: str | None,
    sequence: int,
    external_id: str | None,
    is_deleted: bool = False,
) -> CounterpartyRecord:
    """Out of an event's state. No `data` means that the object was marked for deletion.

    Errors: BadEvent for a kind that the contract has not.
    """
    state = data or {}
    person = state.get("responsible")
    return CounterpartyRecord(
        ref=ref,
        kind=read_kind(state.get("kind") or Kind.COMPANY, Kind),
        fields=read_fields(state),
        value_kinds={
            **read_value_kinds(state.get("emails"), normalise_email),
            **read_value_kinds(state.get("phones"), normalise_phone),
        },
        responsible_name=read_person_name(person),
        other_ref=external_id,
        version=version,
        sequence=sequence,
        is_deleted=is_deleted or data is None,
    )


def read_fields(state: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical fields of those that are there: one that is absent is one that this base has not."""
    return {name: read(state[name]) for name, read in READERS.items() if name in state}


def _read_addresses(addresses: list[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    return canonical_addresses([_read_address(address) for address in addresses or ()])


def _read_address(address: Mapping[str, Any]) -> dict[str, Any]:
    """An address typed as one line has no parts: the line stands where the street does."""
    parts = {part: text_or_none(address.get(part)) for part in ADDRESS_PARTS}
    if not any(parts.values()):
        parts["street"] = text_or_none(address.get("text"))
    return {"kind": address["kind"], **parts}


READERS: Mapping[str, Callable[[Any], Any]] = {
    "name": text_or_none,
    "full_name": text_or_none,
    "inn": normalise_code,
    "kpp": normalise_code,
    "ogrn": normalise_code,
    "emails": lambda items: read_values(items, normalise_email),
    "phones": lambda items: read_values(items, normalise_phone),
    "addresses": _read_addresses,
    "responsible": read_person_email,
    "comment": multiline_or_none,
}


# --- to 1C -----------------------------------------------------------------------------------------------------------


def show_counterparty(
    fields: Mapping[str, Any], *, value_kinds: Mapping[str, str], responsible_name: str | None
) -> dict[str, Any]:
    """The contract's Counterparty of canonical fields, those that are given; `kind` may be among them.

    Errors: RemoteRejected (validation) for what the contract forbids, naming the field.
    """
    shown = {name: show(name, fields[name]) for name, show in WRITERS.items() if name in fields}
    if "emails" in fields:
        emails = [_check_email(value) for value in fields["emails"] or ()]
        shown["emails"] = show_values(emails, value_kinds, EMAIL_KINDS)
    if "phones" in fields:
        phones = show_values(fields["phones"] or (), value_kinds, PHONE_KINDS)
        shown["phones"] = [{**phone, "value": _show_phone(phone["value"])} for phone in phones]
    if "responsible" in fields:
        shown["responsible"] = show_person(fields["responsible"], responsible_name)
    return shown


def can_be_sought(email: str) -> bool:
    """True for an address that 1C accepts in a query."""
    return bool(_EMAIL.fullmatch(email))


def is_inn_shaped(text: str) -> bool:
    """True for what 1C accepts as an ИНН, in a query as on a card: it looks at no check digit."""
    return bool(CODE_PATTERNS["inn"].fullmatch(text))


def _show_name(name: str, value: str | None) -> str:
    if not value:
        raise refuse(name, "1C needs one")
    if len(value) > MAX_NAME:
        raise refuse(name, f"{len(value)} characters, and 1C holds {MAX_NAME}")
    return value


def _show_text(_name: str, value: str | None) -> str | None:
    return value or None


def _show_code(name: str, value: str | None) -> str | None:
    if value and not CODE_PATTERNS[name].fullmatch(value):
        raise refuse(name, f"1C takes none that looks like {value_shape(value)}")
    return value or None


def _show_addresses(_name: str, addresses: list[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    return [{**address, "text": address_line(address)} for address in addresses or ()]


def _show_phone(value: str) -> str:
    """An extension as a bookkeeper writes it; it is read back to the same canonical number."""
    return _EXTENSION.sub(r" доб. \1", value)


def _check_email(value: str) -> str:
    if not can_be_sought(value):
        raise refuse("emails", f"1C takes no address that looks like {value_shape(value)}")
    return value


WRITERS: Mapping[str, Callable[[str, Any], Any]] = {
    "kind": lambda _name, kind: Kind(kind).value,
    "name": _show_name,
    "full_name": _show_text,
    "inn": _show_code,
    "kpp": _show_code,
    "ogrn": _show_code,
    "addresses": _show_addresses,
    "comment": _show_text,
}
