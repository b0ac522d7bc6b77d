"""What a person typed for one field of a counterparty, as the canonical form has it (contact.CounterpartyRecord)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sync_worker.domain.values import (
    multiline_or_none,
    normalise_all,
    normalise_code,
    normalise_email,
    normalise_phone,
    text_or_none,
)
from sync_worker.entities.contact import ADDRESS_PARTS, canonical_addresses

ADDRESS_KINDS = ("legal", "actual", "postal")
ADDRESSES_FORM = '[{"kind": "legal", "city": "Москва", "street": "ул. Мира, 1"}]'


def read_typed(field: str, text: str) -> Any:
    """The field's canonical value; blank text clears the field.

    Shape: `emails` and `phones` are typed with commas between them, `addresses` as JSON (ADDRESSES_FORM).
    Errors: ValueError says what the field wants.
    """
    read = _READERS.get(field)
    if read is None:
        raise ValueError(f"{field} cannot be edited here; choose a side")
    return read(text)


def _email(text: str) -> str | None:
    if not text.strip():
        return None
    found = normalise_email(text)
    if found is None:
        raise ValueError(f"{text.strip()!r} is no e-mail address")
    return found


def _emails(text: str) -> list[str]:
    return normalise_all(text.split(","), _email)


def _phones(text: str) -> list[str]:
    return normalise_all(text.split(","), normalise_phone)


def _addresses(text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"addresses are typed as JSON, such as {ADDRESSES_FORM}: {error}") from None
    if not isinstance(found, list):
        raise ValueError(f"addresses are a list, such as {ADDRESSES_FORM}")  # noqa: TRY004  # of what was typed
    addresses = [_address(one) for one in found]
    kinds = [address["kind"] for address in addresses]
    if len(set(kinds)) < len(kinds):
        raise ValueError("there is one address of a kind")
    return canonical_addresses(addresses)


def _address(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict) or found.get("kind") not in ADDRESS_KINDS:
        raise ValueError(f"an address has a kind, one of {', '.join(ADDRESS_KINDS)}, such as {ADDRESSES_FORM}")
    if unknown := sorted(found.keys() - {"kind", *ADDRESS_PARTS}):
        raise ValueError(f"an address has no {', '.join(unknown)}; it has {', '.join(ADDRESS_PARTS)}")
    return {"kind": found["kind"], **{part: text_or_none(found.get(part)) for part in ADDRESS_PARTS}}


_READERS: Mapping[str, Callable[[str], Any]] = {
    "name": text_or_none,
    "full_name": text_or_none,
    "inn": normalise_code,
    "kpp": normalise_code,
    "ogrn": normalise_code,
    "addresses": _addresses,
    "phones": _phones,
    "emails": _emails,
    "responsible": _email,
    "comment": multiline_or_none,
}
