"""Which record does an event of Bitrix24 name? The same answer for outgoing webhooks and for the offline queue. Pure.

Source: reference/bitrix24.md part 4; tests/samples/bitrix24/event.*.form.txt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordType

SMART_INVOICE_TYPE = "31"  # entityTypeId of smart invoices, the same on every portal


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What an event code says of the record it names."""

    entity: EntityKind
    type: RecordType
    is_deleted: bool = False
    whole: bool = False  # about a part of it that its card does not show


@dataclass(frozen=True, kw_only=True, slots=True)
class Bell:
    """Look at this record."""

    meaning: Meaning
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NoId:
    """The event is ours, and the id that it needs is missing or no id."""

    field: str  # of those that came with the event
    entity: EntityKind | None = None


_RECORDS = {
    "CONTACT": (EntityKind.CONTACT, RecordType.CONTACT),
    "COMPANY": (EntityKind.CONTACT, RecordType.COMPANY),
    "REQUISITE": (EntityKind.CONTACT, RecordType.REQUISITE),
    "LEAD": (EntityKind.LEAD, RecordType.LEAD),
    "DEAL": (EntityKind.DEAL, RecordType.DEAL),
    "INVOICE": (EntityKind.INVOICE, RecordType.INVOICE),  # of the old kind; smart ones are dynamic items
}
_VERBS = ("ADD", "UPDATE", "DELETE")

CODES: Mapping[str, Meaning] = {
    **{
        f"ONCRM{name}{verb}": Meaning(entity=entity, type=type_, is_deleted=verb == "DELETE")
        for name, (entity, type_) in _RECORDS.items()
        for verb in _VERBS
    },
    # a move to another pipeline fires this one only, and no update
    "ONCRMDEALMOVETOCATEGORY": Meaning(entity=EntityKind.DEAL, type=RecordType.DEAL),
    "ONCRMINVOICESETSTATUS": Meaning(entity=EntityKind.INVOICE, type=RecordType.INVOICE),
}
_DYNAMIC = re.compile(r"ONCRMDYNAMICITEM(ADD|UPDATE|DELETE)(?:_([0-9]+))?")
_ADDRESS = ("ONCRMADDRESSREGISTER", "ONCRMADDRESSUNREGISTER")
_LEAD_TYPE = "1"
_ANCHORS = {"3": RecordType.CONTACT, "4": RecordType.COMPANY}  # ANCHOR_TYPE_ID of an address
_POSITIVE = re.compile(r"0*([1-9][0-9]{0,18})")


def positive_id(value: object) -> str | None:
    """Bitrix24's id as the decimal text of a positive integer; None where it is no such thing.

    Shape: forms hold texts, JSON holds numbers too.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    match = _POSITIVE.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1] if match else None


def codes_to_hear(*, smart_invoices: bool) -> tuple[str, ...]:
    """All codes that name a record of ours, the invoices' by their kind."""
    records = tuple(code for code, meaning in CODES.items() if meaning.entity is not EntityKind.INVOICE)
    old = tuple(code for code, meaning in CODES.items() if meaning.entity is EntityKind.INVOICE)
    smart = tuple(f"ONCRMDYNAMICITEM{verb}" for verb in _VERBS)
    return (*records, *_ADDRESS, *(smart if smart_invoices else old))


def read_doorbell(code: str, fields: Mapping[str, Any]) -> Bell | NoId | None:
    """What an event with this code and these FIELDS says; None where nobody handles it. `code` is in upper case."""
    if code in _ADDRESS:
        return _read_address(fields)
    if match := _DYNAMIC.fullmatch(code):
        return _read_dynamic(match[1], match[2], fields)
    if meaning := CODES.get(code):
        return _bell(meaning, fields.get("ID"))
    return None


def _bell(meaning: Meaning, id_: object) -> Bell | NoId:
    found = positive_id(id_)
    return Bell(meaning=meaning, id=found) if found else NoId(field="ID", entity=meaning.entity)


def _read_dynamic(verb: str, suffix: str | None, fields: Mapping[str, Any]) -> Bell | NoId | None:
    """A smart process's item: only smart invoices are ours. The type comes in the fields, and in some codes too."""
    type_id = positive_id(fields.get("ENTITY_TYPE_ID")) or positive_id(suffix)
    if type_id is None:
        return NoId(field="ENTITY_TYPE_ID")
    if type_id != SMART_INVOICE_TYPE:
        return None
    meaning = Meaning(entity=EntityKind.INVOICE, type=RecordType.INVOICE, is_deleted=verb == "DELETE")
    return _bell(meaning, fields.get("ID"))


def _read_address(fields: Mapping[str, Any]) -> Bell | NoId | None:
    """An address is a part of its anchor's record: its coming and going are both changes of the anchor."""
    if positive_id(fields.get("ENTITY_TYPE_ID")) == _LEAD_TYPE:
        return _bell(Meaning(entity=EntityKind.LEAD, type=RecordType.LEAD), fields.get("ENTITY_ID"))
    anchor_type = positive_id(fields.get("ANCHOR_TYPE_ID"))
    if anchor_type is None:
        return NoId(field="ANCHOR_TYPE_ID", entity=EntityKind.CONTACT)
    if anchor_type not in _ANCHORS:
        return None
    meaning = Meaning(entity=EntityKind.CONTACT, type=_ANCHORS[anchor_type], whole=True)
    return _bell(meaning, fields.get("ANCHOR_ID"))
