"""Phones, e-mails and the like: lists with ids of their own, and rules that surprise.

Source: crm-contact-update.md and how-to-change-email-or-phone.md, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.portal.entities import MULTIFIELDS
from sandbox.portal.errors import RestError, business
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record, Store

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
_DEFAULT_KIND = {"PHONE": "WORK", "EMAIL": "WORK", "WEB": "WORK", "IM": "OTHER", "LINK": "USER"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One wish about one entry: add (no id), change or delete (with id)."""

    what: Literal["add", "change", "delete"]
    type_id: str
    entry_id: int = 0
    value: str = ""
    value_type: str | None = None


def classic_edits(type_id: str, entries: Any) -> list[Edit]:
    """Read `fields.PHONE`: no ID adds, an ID changes; DELETE, an empty VALUE or no VALUE deletes. Omission keeps."""
    edits = []
    for raw in as_list(entries):
        entry = as_map(raw) if not isinstance(raw, str) else {"VALUE": raw}
        if entry is not None:
            edit = _classic_edit(type_id, entry)
            edits.extend([edit] if edit else [])
    return edits


def _classic_edit(type_id: str, entry: Mapping[str, Any]) -> Edit | None:
    entry_id = as_int(entry.get("ID"))
    value = str(entry.get("VALUE") or "").strip()
    if entry_id and (entry.get("DELETE") == "Y" or not value):
        return Edit(what="delete", type_id=type_id, entry_id=entry_id)
    if not value:
        return None
    kind = entry.get("VALUE_TYPE")
    return Edit(what="change" if entry_id else "add", type_id=type_id, entry_id=entry_id, value=value, value_type=kind)


def item_edits(fm: Any) -> list[Edit]:
    """Read `fields.fm` of crm.item.*: without typeId nothing happens; a list appends; a text is ignored."""
    entries = (
        [(f"n{index}", entry) for index, entry in enumerate(fm)] if isinstance(fm, list) else (as_map(fm) or {}).items()
    )
    edits = []
    for key, raw in entries:
        entry = as_map(raw)
        if entry and entry.get("typeId"):
            edit = _item_edit(str(key), entry)
            edits.extend([edit] if edit else [])
    return edits


def _item_edit(key: str, entry: Mapping[str, Any]) -> Edit | None:
    value = str(entry.get("value") or "").strip()
    type_id, kind = str(entry["typeId"]), entry.get("valueType")
    if key.isdigit() and not value:
        return Edit(what="delete", type_id=type_id, entry_id=int(key))
    if not value:
        return None
    what: Literal["add", "change"] = "change" if key.isdigit() else "add"
    return Edit(what=what, type_id=type_id, entry_id=as_int(key), value=value, value_type=kind)


def check(edits: Iterable[Edit]) -> None:
    """Refuse an e-mail that is none."""
    for edit in edits:
        if edit.type_id == "EMAIL" and edit.value and not _EMAIL.match(edit.value):
            raise business(f"Invalid e-mail: {edit.value}")


def check_item(edits: Iterable[Edit]) -> None:
    """The same in the words of crm.item.*."""
    try:
        check(edits)
    except RestError as refused:
        raise RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", refused.description) from refused


def applied(store: Store, record: Record, edits: Iterable[Edit], *, unknown_adds: bool) -> Record:
    """Say what the lists become. An unknown id adds an entry in crm.item.*, and is ignored by the classic methods."""
    lists: Record = {}
    for edit in edits:
        entries = lists.setdefault(edit.type_id, [dict(entry) for entry in record.get(edit.type_id) or []])
        found = next((entry for entry in entries if entry["ID"] == edit.entry_id), None)
        if edit.what == "add" or (edit.what == "change" and found is None and unknown_adds):
            entries.append(_entry(store, edit))
        elif found is not None and edit.what == "change":
            found.update(VALUE=edit.value, VALUE_TYPE=edit.value_type or found["VALUE_TYPE"])
        elif found is not None:
            entries.remove(found)
    return {type_id: entries for type_id, entries in lists.items() if entries != (record.get(type_id) or [])}


def _entry(store: Store, edit: Edit) -> Record:
    store.next_multifield_id += 1
    kind = edit.value_type or _DEFAULT_KIND.get(edit.type_id, "OTHER")
    return {"ID": store.next_multifield_id - 1, "VALUE_TYPE": kind, "VALUE": edit.value}


def flags(record: Record) -> Record:
    return {"HAS_PHONE": _yes(record.get("PHONE")), "HAS_EMAIL": _yes(record.get("EMAIL")), "HAS_IMOL": "N"}


def _yes(entries: Any) -> str:
    return "Y" if entries else "N"


def classic_lists(record: Record, names: Iterable[str] = MULTIFIELDS) -> Record:
    """Print for the classic methods: strings, and no key where there is nothing."""
    return {
        name: [
            {"ID": str(entry["ID"]), "VALUE_TYPE": entry["VALUE_TYPE"], "VALUE": entry["VALUE"], "TYPE_ID": name}
            for entry in record[name]
        ]
        for name in names
        if record.get(name)
    }


def item_list(record: Record) -> list[Record]:
    """Print `fm`."""
    return [
        {"id": entry["ID"], "valueType": entry["VALUE_TYPE"], "value": entry["VALUE"], "typeId": name}
        for name in _type_ids(record)
        for entry in record.get(name) or []
    ]


def _type_ids(record: Record) -> list[str]:
    """Known kinds first; crm.item.* stores unknown ones as they are."""
    strange = [name for name, value in record.items() if isinstance(value, list) and _is_entries(value)]
    return [*MULTIFIELDS, *(name for name in strange if name not in MULTIFIELDS)]


def _is_entries(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], dict) and "VALUE_TYPE" in value[0]


def shortcuts(record: Record) -> Record:
    """Print the single phone and e-mail keys that crm.item.* adds beside `fm`."""

    def first(name: str, kind: str | None = None) -> str:
        found = (entry["VALUE"] for entry in record.get(name) or [] if kind in (None, entry["VALUE_TYPE"]))
        return next(found, "")

    keys: Record = {}
    for name, kinds in (("PHONE", ("MOBILE", "WORK", "MAILING")), ("EMAIL", ("HOME", "WORK", "MAILING"))):
        keys |= {f"{name.lower()}{kind.capitalize()}": first(name, kind) for kind in kinds}
    return keys | {"imol": "", "email": first("EMAIL"), "phone": first("PHONE")}


def comparable(type_id: str, value: str) -> str:
    """What makes two phones or e-mails the same: digits only (extensions ignored), letters of any case."""
    if type_id == "PHONE":
        return re.sub(r"\D", "", re.split(r"[,;]|доб|ext", value.lower())[0])
    return value.strip().lower()


def note_communications(store: Store, entity_type_id: int, record: Record, *, present: bool) -> None:
    """Keep the index by which duplicates are found."""
    owner = (entity_type_id, record["ID"])
    for type_id in ("PHONE", "EMAIL"):
        for entry in record.get(type_id) or []:
            owners = store.communications[type_id, comparable(type_id, entry["VALUE"])]
            (owners.add if present else owners.discard)(owner)
