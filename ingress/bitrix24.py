"""Bitrix24's events: is the caller the portal, and which record does the event name? Nothing else.

Source: reference/bitrix24.md part 4; tests/samples/bitrix24/event.*.form.txt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingress.answers import unauthorized, unreadable
from ingress.brackets import parse_brackets
from ingress.credentials import matches_any, without_secrets
from ingress.reading import Ignored, Reading, positive_id
from sync_worker.contract import Change, ChangeEvent, EntityKind, Misfit, RecordRef, RecordType, System, new_trace

SMART_INVOICE_TYPE = "31"  # entityTypeId of smart invoices, the same on every portal
MAX_CODE_CHARS = 64  # what logs and metrics may see of an unknown code


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What an event code says of the record it names."""

    entity: EntityKind
    type: RecordType
    change: Change
    whole: bool = False  # about a part of it that its card does not show


_RECORDS = {
    "CONTACT": (EntityKind.CONTACT, RecordType.CONTACT),
    "COMPANY": (EntityKind.CONTACT, RecordType.COMPANY),
    "REQUISITE": (EntityKind.CONTACT, RecordType.REQUISITE),
    "LEAD": (EntityKind.LEAD, RecordType.LEAD),
    "DEAL": (EntityKind.DEAL, RecordType.DEAL),
    "INVOICE": (EntityKind.INVOICE, RecordType.INVOICE),  # of the old kind; smart ones are dynamic items
}
_VERBS = {"ADD": Change.CHANGED, "UPDATE": Change.CHANGED, "DELETE": Change.DELETED}

CODES: Mapping[str, Meaning] = {
    **{
        f"ONCRM{name}{verb}": Meaning(entity=entity, type=type_, change=change)
        for name, (entity, type_) in _RECORDS.items()
        for verb, change in _VERBS.items()
    },
    # a move to another pipeline fires this one only, and no update
    "ONCRMDEALMOVETOCATEGORY": Meaning(entity=EntityKind.DEAL, type=RecordType.DEAL, change=Change.CHANGED),
    "ONCRMINVOICESETSTATUS": Meaning(entity=EntityKind.INVOICE, type=RecordType.INVOICE, change=Change.CHANGED),
}
_DYNAMIC = re.compile(r"ONCRMDYNAMICITEM(ADD|UPDATE|DELETE)(?:_([0-9]+))?")
_ADDRESS = frozenset({"ONCRMADDRESSREGISTER", "ONCRMADDRESSUNREGISTER"})
_LEAD_TYPE = "1"
_ANCHORS = {"3": RecordType.CONTACT, "4": RecordType.COMPANY}  # ANCHOR_TYPE_ID of an address


def parse_form(body: bytes) -> dict[str, Any]:
    """The body as a nested mapping. Errors: a 400 refusal where there is nothing to read in it."""
    try:
        form = parse_brackets(body)
    except ValueError as error:
        raise unreadable("the form has too many fields; send one event a request") from error
    if not form:
        raise unreadable("the body is empty; send the event as a form, as Bitrix24's outgoing webhook does")
    return form


def verify_token(form: Mapping[str, Any], tokens: tuple[str, ...]) -> None:
    """Raise a 401 refusal unless auth[application_token] is one of `tokens`."""
    if not matches_any(application_token(form), tokens):
        raise unauthorized("auth[application_token] is not one of B24_APPLICATION_TOKENS; copy it from the webhook")


def application_token(form: Mapping[str, Any]) -> str:
    return _text(_mapping(form.get("auth")).get("application_token"))


def read_event(form: Mapping[str, Any], *, seen_at: datetime, tokens: tuple[str, ...]) -> Reading:
    """What an authentic event says.

    Shape: `event`, `data[FIELDS]`; `ts` is the time of sending, so `seen_at` is our own clock's.
    Errors: a 400 refusal where there is nothing in the form but its credentials.
    """
    raw = without_secrets(form, tokens)
    if not raw:
        raise unreadable("the form holds nothing but credentials; `event` and `data` are missing")
    code = _text(form.get("event")).upper()[:MAX_CODE_CHARS]
    fields = _fields(form)
    if not code:
        return bitrix24_misfit(raw, {"event": ["no event code"]}, seen_at=seen_at)
    if code in _ADDRESS:
        return _read_address(code, fields, raw, seen_at)
    if match := _DYNAMIC.fullmatch(code):
        return _read_dynamic(match, fields, raw, seen_at)
    if meaning := CODES.get(code):
        return _read_record(meaning, fields, raw, seen_at)
    return Ignored(code=code)


def bitrix24_event(meaning: Meaning, id_: str, *, seen_at: datetime) -> ChangeEvent:
    record = RecordRef(system=System.BITRIX24, type=meaning.type, id=id_)
    return ChangeEvent(
        entity=meaning.entity,
        record=record,
        change=meaning.change,
        seen_at=seen_at,
        trace=new_trace(),
        whole=meaning.whole,
    )


def bitrix24_misfit(
    raw: Mapping[str, Any], errors: Mapping[str, Any], *, seen_at: datetime, entity: EntityKind | None = None
) -> Misfit:
    return Misfit(system=System.BITRIX24, seen_at=seen_at, trace=new_trace(), errors=errors, raw=raw, entity=entity)


def _read_record(meaning: Meaning, fields: Mapping[str, Any], raw: Mapping[str, Any], seen_at: datetime) -> Reading:
    id_ = positive_id(fields.get("ID"))
    if id_ is None:
        return bitrix24_misfit(raw, _no_id("data[FIELDS][ID]"), seen_at=seen_at, entity=meaning.entity)
    return bitrix24_event(meaning, id_, seen_at=seen_at)


def _read_dynamic(
    match: re.Match[str], fields: Mapping[str, Any], raw: Mapping[str, Any], seen_at: datetime
) -> Reading:
    """A smart process's item: only smart invoices are ours. The type comes in the fields, and in some codes too."""
    code, verb, suffix = match[0], match[1], match[2]
    type_id = positive_id(fields.get("ENTITY_TYPE_ID")) or positive_id(suffix)
    if type_id is None:
        return bitrix24_misfit(raw, _no_id("data[FIELDS][ENTITY_TYPE_ID]"), seen_at=seen_at)
    if type_id != SMART_INVOICE_TYPE:
        return Ignored(code=code)
    meaning = Meaning(entity=EntityKind.INVOICE, type=RecordType.INVOICE, change=_VERBS[verb])
    return _read_record(meaning, fields, raw, seen_at)


def _read_address(code: str, fields: Mapping[str, Any], raw: Mapping[str, Any], seen_at: datetime) -> Reading:
    """An address is a part of its anchor's record: its coming and going are both changes of the anchor."""
    if positive_id(fields.get("ENTITY_TYPE_ID")) == _LEAD_TYPE:
        meaning = Meaning(entity=EntityKind.LEAD, type=RecordType.LEAD, change=Change.CHANGED)
        return _read_record(meaning, {"ID": fields.get("ENTITY_ID")}, raw, seen_at)
    anchor_type = positive_id(fields.get("ANCHOR_TYPE_ID"))
    if anchor_type is None:
        return bitrix24_misfit(raw, _no_id("data[FIELDS][ANCHOR_TYPE_ID]"), seen_at=seen_at, entity=EntityKind.CONTACT)
    if anchor_type not in _ANCHORS:
        return Ignored(code=code)
    meaning = Meaning(entity=EntityKind.CONTACT, type=_ANCHORS[anchor_type], change=Change.CHANGED, whole=True)
    return _read_record(meaning, {"ID": fields.get("ANCHOR_ID")}, raw, seen_at)


def _no_id(name: str) -> dict[str, list[str]]:
    return {name: ["missing, or not a positive integer"]}


def _fields(form: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(form.get("data")).get("FIELDS"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
