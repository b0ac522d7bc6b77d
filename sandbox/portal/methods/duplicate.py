"""crm.duplicate.findbycomm: who has this phone or e-mail.

Source: crm-duplicate-find-by-comm.md, read 2026-08.
"""

from __future__ import annotations

from typing import Any

from sandbox.portal.calls import Call, Methods
from sandbox.portal.entities import COMPANY, CONTACT, LEAD
from sandbox.portal.errors import RestError
from sandbox.portal.multifields import comparable
from sandbox.portal.params import as_list, php_array

_MOST_VALUES = 20


def register(methods: Methods) -> None:
    methods.add("crm.duplicate.findbycomm", find_by_communication)


def find_by_communication(call: Call) -> Any:
    """Answer {"CONTACT": [275]} with numbers; `[]` when nobody is found."""
    kind = str(call.get("type") or "").upper()
    if kind not in {"PHONE", "EMAIL"}:
        raise RestError("Communication type is not defined", "Parameter 'type' is required.")
    values = [str(value) for value in as_list(call.get("values")) if str(value).strip()]
    if not values:
        raise RestError("Communication values is not defined", "Parameter 'values' is required.")
    asked = str(call.get("entity_type") or "").upper()
    index = call.world.store.communications
    owners = {owner for value in values[:_MOST_VALUES] for owner in index.get((kind, comparable(kind, value)), ())}
    found: dict[str, list[int]] = {}
    for entity in (LEAD, CONTACT, COMPANY):
        ids = sorted(record_id for type_id, record_id in owners if type_id == entity.type_id)
        if ids and asked in {"", entity.name}:
            found[entity.name] = ids[:_MOST_VALUES]
        if len(ids) >= _MOST_VALUES and not asked:
            break  # the types that come later are dropped
    return php_array(found)
