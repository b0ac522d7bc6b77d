"""crm.item.*: one family for leads, deals, contacts, companies and smart invoices, in camelCase and typed values.

Source: CRM/universal/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.portal import crm, filters, names, views
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.entities import BY_TYPE, Entity
from sandbox.portal.errors import RestError, missing_item, missing_parameter
from sandbox.portal.fields import Field, describe
from sandbox.portal.multifields import check_item, item_edits
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record

_UPPER_NAMES = {  # where crm.item.fields names a field otherwise than it is stored
    "createdTime": "CREATED_TIME",
    "updatedTime": "UPDATED_TIME",
    "createdBy": "CREATED_BY",
    "updatedBy": "UPDATED_BY",
    "movedBy": "MOVED_BY",
    "stageId": "STAGE_ID",
    "stageSemanticId": "STAGE_SEMANTIC_ID",
    "typeId": "TYPE_ID",
    "contactIds": "CONTACT_IDS",
}


def register(methods: Methods) -> None:
    verbs = {"add": add, "update": update, "get": get, "list": list_, "delete": delete, "fields": fields}
    for verb, run in verbs.items():
        methods.add(f"crm.item.{verb}", run)


def add(call: Call) -> Record:
    entity = entity_of(call)
    record = crm.create(call.world, entity, _wish(call, entity), author=call.user_id)
    return {"item": _view(call, entity, record)}


def update(call: Call) -> Record:
    """Change an item; when nothing differs from what is stored, nothing is saved and nobody hears of it."""
    entity = entity_of(call)
    record = _record(call, entity)
    crm.update(call.world, entity, record, _wish(call, entity), author=call.user_id, skip_unchanged=True)
    return {"item": _view(call, entity, record)}


def get(call: Call) -> Record:
    entity = entity_of(call)
    return {"item": _view(call, entity, _record(call, entity))}


def delete(call: Call) -> list[Any]:
    entity = entity_of(call)
    record = call.world.store.table(entity.type_id).get(_id(call))
    if record is None:
        raise RestError("NOT_FOUND", "Item not found")
    crm.delete(call.world, entity, record)
    return []


def list_(call: Call) -> Listed:
    entity = entity_of(call)
    known = _known(call, entity)
    given, test = _filter(call.params.get("filter"), known)
    order = filters.read_order(call.params.get("order"), lambda name: _allowed(known, name, "order"))
    asked = {str(name) for name in as_list(call.params.get("select")) if name not in (None, "")}
    wanted = None if not asked or "*" in asked else asked
    page = filters.page(
        call.world.store.table(entity.type_id),
        given,
        order=order,
        start=filters.read_start(call.params.get("start")),
        extra=test,
    )
    return listed(page, lambda record: _view(call, entity, record, wanted), wrap="items")


def fields(call: Call) -> Record:
    entity = entity_of(call)
    shown = views.item_fields(call.world, entity, original_names=_original(call))
    return {"fields": {name: _describe(name, one) for name, one in shown.items()}}


def _describe(name: str, one: Field) -> Record:
    upper = one.name if one.dynamic else _UPPER_NAMES.get(name, one.name)
    return describe(one) | {"upperName": upper}


def entity_of(call: Call) -> Entity:
    """Read entityTypeId, or refuse as the portal does: 5 is the old invoice, others are nothing here."""
    if "entityTypeId" not in call.params:
        raise missing_parameter("entityTypeId")
    type_id = as_int(call.params["entityTypeId"])
    if type_id == 5:
        raise RestError("ENTITY_TYPE_NOT_SUPPORTED", "Entity type INVOICE is not supported")
    entity = BY_TYPE.get(type_id)
    if entity is None:
        raise RestError("NOT_FOUND", "Smart process not found")
    return entity


def _id(call: Call) -> int:
    if "id" not in call.params:
        raise missing_parameter("id")
    return as_int(call.params["id"])


def _record(call: Call, entity: Entity) -> Record:
    record = call.world.store.table(entity.type_id).get(_id(call))
    if record is None:
        raise missing_item()
    return record


def _original(call: Call) -> bool:
    return str(call.params.get("useOriginalUfNames", "N")) == "Y"


def _view(call: Call, entity: Entity, record: Record, wanted: set[str] | None = None) -> Record:
    return views.item_view(call.world, entity, record, original_names=_original(call), names=wanted)


def _wish(call: Call, entity: Entity) -> crm.Wish:
    given = as_map(call.params.get("fields"))
    if given is None:
        raise missing_parameter("fields")
    known = views.item_fields(call.world, entity, original_names=_original(call))
    values = {known[name].name: value for name, value in given.items() if name in known}
    edits = item_edits(given.get("fm")) if entity.has_multifields else []
    check_item(edits)
    return crm.Wish(values=values, edits=edits, unknown_edits_add=True, strict=True)


def _known(call: Call, entity: Entity) -> Mapping[str, Field]:
    """Name the fields that a filter may use; upper case is taken as well."""
    shown = views.item_fields(call.world, entity, original_names=_original(call))
    by_upper = {_UPPER_NAMES.get(name, one.name): one for name, one in shown.items()}
    return by_upper | {one.name: one for one in shown.values()} | dict(shown)


def _allowed(known: Mapping[str, Field], name: str, where: str) -> Field:
    found = known.get(name) or known.get(names.upper(name))
    if found is None:
        raise RestError("INVALID_ARG_VALUE", f"Invalid {where}: field '{name}' is not allowed in {where}")
    return found


def _filter(given: Any, known: Mapping[str, Field]) -> tuple[list[filters.Condition], filters.Test | None]:
    """Read a filter that may nest: conditions of the top level, and a test for what stands under numbers."""
    plain: Record = {}
    nested = []
    for key, value in (as_map(given) or {}).items():
        if key == "logic":
            continue
        if key.isdigit():
            nested.extend([inner] if (inner := as_map(value)) is not None else [])
        else:
            plain[key] = value
    conditions = filters.conditions(plain, lambda name: _allowed(known, name, "filter"))
    logic_is_or = str((as_map(given) or {}).get("logic", "AND")).upper() == "OR"
    tests = [_nested_test(inner, known) for inner in nested]
    if not logic_is_or:
        return conditions, (lambda record: all(test(record) for test in tests)) if tests else None
    tests += [filters.test_of(condition) for condition in conditions]
    return [], lambda record: any(test(record) for test in tests)


def _nested_test(given: Mapping[str, Any], known: Mapping[str, Field]) -> filters.Test:
    conditions, inner = _filter(given, known)
    tests = [filters.test_of(condition) for condition in conditions] + ([inner] if inner else [])
    return lambda record: all(test(record) for test in tests)
