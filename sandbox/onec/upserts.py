"""One item of an upsert, from what was sent to one result. A bad item changes nothing and spoils no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.onec.checks import read_fields
from sandbox.onec.fields import KEY, SHAPES, total_of
from sandbox.onec.formats import Invalid
from sandbox.onec.matching import Rejected, find_target, refuse_double
from sandbox.onec.records import Stored
from sandbox.onec.settings import FIRST_STATUS
from sandbox.onec.store import Store

_EXTERNAL_IDS = {
    "counterparties": re.compile(r"b24:(contact|company):[1-9][0-9]*"),
    "leads": re.compile(r"b24:lead:[1-9][0-9]*"),
    "orders": re.compile(r"b24:deal:[1-9][0-9]*"),
}
# Fields that point at a counterparty: it has to be in the base.
_REFERENCES = {"leads": ("counterparty_ref",), "orders": ("counterparty_ref", "contact_ref")}


class Upserts:
    """Creates and updates objects for the exchange. These writes are not registered as changes."""

    def __init__(self, store: Store, *, has_statuses: bool) -> None:
        self._store = store
        self._has_statuses = has_statuses

    def upsert(self, type: str, item: Any, *, index: int) -> dict[str, Any]:
        """Do one item and say how it went, as UpsertResult."""
        sent_id = item.get("external_id") if isinstance(item, dict) else None
        result: dict[str, Any] = {"index": index, "external_id": sent_id if isinstance(sent_id, str) else None}
        with self._store.lock:
            try:
                outcome, stored = self._apply(type, item)
            except Rejected as refusal:
                return {**result, "outcome": "rejected", **_point_at(refusal.about), "error": _show_refusal(refusal)}
        return {**result, "outcome": outcome, **_point_at(stored)}

    def _apply(self, type: str, item: Any) -> tuple[str, Stored]:
        external_id, key, sent = _read_item(type, item)
        target = find_target(self._store, type, external_id, key)
        self._check_references(type, sent)
        stored = target.stored
        if stored is None:
            return "created", self._create(type, external_id, key, sent)
        fields = _merge(type, stored.fields, sent)
        if fields == stored.fields and stored.external_id == external_id:
            return "unchanged", stored
        return "updated", self._update(stored, fields, external_id=external_id, key=key, loser=target.loser)

    def _create(self, type: str, external_id: str, key: Mapping[str, Any], sent: Mapping[str, Any]) -> Stored:
        shape = SHAPES[type]
        for name in shape.required:
            if name not in sent:
                raise Rejected("validation", "is needed for a new object", field=name)
        if "if_version" in key:
            raise Rejected("version_conflict", "there is no object of this version")
        fields = _merge(type, {**shape.blanks, **self._first_state(type)}, sent)
        if type == "counterparties":
            refuse_double(self._store, None, fields, key.get("not_duplicate_of", []))
        return self._store.create(type, fields, external_id=external_id)

    def _update(
        self,
        stored: Stored,
        fields: Mapping[str, Any],
        *,
        external_id: str,
        key: Mapping[str, Any],
        loser: Stored | None,
    ) -> Stored:
        _refuse_frozen(stored, key.get("if_version"))
        if stored.type == "counterparties":
            refuse_double(self._store, stored, fields, key.get("not_duplicate_of", []))
        if loser is not None:
            self._store.write(loser, external_id=None)
        return self._store.write(stored, external_id=external_id, fields=fields)

    def _first_state(self, type: str) -> dict[str, Any]:
        if type != "orders":
            return {}
        return {"posted": False, "locked": False, "status": FIRST_STATUS if self._has_statuses else None}

    def _check_references(self, type: str, sent: Mapping[str, Any]) -> None:
        for name in _REFERENCES.get(type, ()):
            ref = sent.get(name)
            if ref is not None and self._store.get("counterparties", ref) is None:
                raise Rejected("validation", "no such counterparty", field=name)


def _read_item(type: str, item: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The external id, the rest of the key, and the fields that were sent, all checked."""
    if not isinstance(item, dict):
        raise Rejected("validation", "not an object")
    external_id = item.get("external_id")
    if not isinstance(external_id, str) or not _EXTERNAL_IDS[type].fullmatch(external_id):
        raise Rejected("validation", f"does not match {_EXTERNAL_IDS[type].pattern}", field="external_id")
    try:
        return external_id, read_fields(KEY, item), read_fields(SHAPES[type], item)
    except Invalid as fault:
        raise Rejected("validation", fault.message, field=fault.field) from fault


def _merge(type: str, before: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Absent fields stay. An order with rows has the total of its rows, as a 1C document has."""
    fields = {**before, **sent}
    if type == "orders" and fields["rows"]:
        fields["amount"] = total_of(fields["rows"])
    return fields


def _refuse_frozen(stored: Stored, if_version: str | None) -> None:
    if stored.deleted:
        raise Rejected("deleted", "the object is marked for deletion", about=stored)
    if stored.fields.get("locked"):
        raise Rejected("locked", "the order is posted or closed, and may not change", about=stored)
    if if_version is not None and if_version != stored.version:
        raise Rejected("version_conflict", "the object was written since", about=stored)


def _point_at(stored: Stored | None) -> dict[str, Any]:
    return {
        "ref": stored.ref if stored else None,
        "number": stored.number if stored else None,
        "version": stored.version if stored else None,
        "sequence": stored.sequence if stored else None,
    }


def _show_refusal(refusal: Rejected) -> dict[str, Any]:
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "field": refusal.field}
    return error if refusal.candidates is None else {**error, "candidates": refusal.candidates}
