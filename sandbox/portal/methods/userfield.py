"""crm.*.userfield.* and userfieldconfig.*: declaring user fields, which takes an administrator.

Source: CRM/contacts/userfield/*.md, CRM/universal/userfieldconfig/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.portal import filters, names, userfields
from sandbox.portal.calls import Call, Listed, Methods, denied_unless_admin, listed
from sandbox.portal.errors import classic
from sandbox.portal.fields import computed, of, text
from sandbox.portal.params import as_int, as_map
from sandbox.portal.store import Record

_FAMILIES = ("contact", "company", "lead", "deal", "requisite", "invoice")
_PLAIN = (
    computed("integer", "ID"),
    *(text(name) for name in ("ENTITY_ID", "FIELD_NAME", "USER_TYPE_ID", "XML_ID")),
    of("integer", "SORT"),
    *(text(name) for name in ("MULTIPLE", "MANDATORY", "SHOW_FILTER", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")),
)
_BY_NAME = {one.name: one for one in _PLAIN}
_BY_ITEM = {str(one.item): one for one in _PLAIN}


def register(methods: Methods) -> None:
    for family in _FAMILIES:
        verbs = {"add": add, "get": get, "list": list_, "update": update, "delete": delete}
        for verb, run in verbs.items():
            methods.add(f"crm.{family}.userfield.{verb}", partial(run, f"CRM_{family.upper()}"))
    methods.add("userfieldconfig.add", add_config, scope="userfieldconfig")
    methods.add("userfieldconfig.get", get_config, scope="userfieldconfig")
    methods.add("userfieldconfig.list", list_configs, scope="userfieldconfig")


def add(user_field_entity: str, call: Call) -> int:
    denied_unless_admin(call)
    return int(_create(call, user_field_entity, call.array("fields"))["ID"])


def _create(call: Call, user_field_entity: str, given: Mapping[str, Any]) -> Record:
    record = call.world.store.user_fields.put(userfields.build(call.world.store, user_field_entity, given))
    call.world.forget_user_fields()
    _announce(call, "ADD", record)
    return record


def update(user_field_entity: str, call: Call) -> bool:
    denied_unless_admin(call)
    record = _record(call, user_field_entity)
    changeable = {"MANDATORY", "SHOW_FILTER", "SETTINGS", "SORT", "EDIT_IN_LIST", *userfields.LABELS}
    given = {name: value for name, value in call.array("fields").items() if name in changeable}
    call.world.store.user_fields.change(record, given)
    call.world.forget_user_fields()
    _announce(call, "UPDATE", record)
    return True


def delete(user_field_entity: str, call: Call) -> bool:
    denied_unless_admin(call)
    record = _record(call, user_field_entity)
    call.world.store.user_fields.remove(record["ID"])
    call.world.forget_user_fields()
    _announce(call, "DELETE", record)
    return True


def get(user_field_entity: str, call: Call) -> Record:
    record = _record(call, user_field_entity)
    languages = {label: dict.fromkeys(("ru", "en"), record[label]) for label in userfields.LABELS}
    return _plain(record) | languages


def list_(user_field_entity: str, call: Call) -> Listed:
    """List the fields of an object; filters match exactly; labels come only with filter[LANG]."""
    given = call.array("filter", optional=True)
    with_labels = bool(given.get("LANG"))
    known = filters.conditions(given, _BY_NAME.get)
    tests = [filters.test_of(condition) for condition in known]
    found = userfields.of_entity(call.world.store, user_field_entity)
    found = [record for record in found if all(test(record) for test in tests)]
    found = filters.ordered(found, filters.read_order(call.array("order", optional=True), _BY_NAME.get))
    return Listed(result=[_view(record, with_labels=with_labels) for record in found], total=len(found))


def _view(record: Record, *, with_labels: bool) -> Record:
    return _plain(record) | ({label: _label(record[label]) for label in userfields.LABELS} if with_labels else {})


def _plain(record: Record) -> Record:
    told = {name: None if record[name] is None else str(record[name]) for name in _BY_NAME}
    return told | {"SETTINGS": record["SETTINGS"]}


def _label(value: Any) -> Any:
    texts = as_map(value)
    return (texts.get("ru") or next(iter(texts.values()), None)) if texts is not None else value


def _record(call: Call, user_field_entity: str) -> Record:
    record = call.world.store.user_fields.get(call.record_id())
    if record is None or record["ENTITY_ID"] != user_field_entity:
        raise classic("Not found")
    return record


def add_config(call: Call) -> Record:
    """Declare a field of any object by camelCase keys: the way for smart invoices."""
    denied_unless_admin(call)
    field = as_map(call.params.get("field")) or {}
    given = {names.upper(name): value for name, value in field.items()}
    return {"field": _config(_create(call, str(given.get("ENTITY_ID") or ""), given))}


def get_config(call: Call) -> Record:
    record = call.world.store.user_fields.get(as_int(call.params.get("id")))
    if record is None:
        raise classic("Not found")
    return {"field": _config(record)}


def list_configs(call: Call) -> Listed:
    page = filters.page(
        call.world.store.user_fields,
        filters.conditions(as_map(call.params.get("filter")), _BY_ITEM.get),
        order=filters.read_order(call.params.get("order"), _BY_ITEM.get),
        start=filters.read_start(call.params.get("start")),
    )
    return listed(page, _config, wrap="fields")


def _config(record: Record) -> Record:
    told = {names.camel(name): value for name, value in _plain(record).items()}
    labels = {names.camel(label): {"ru": _label(record[label])} for label in userfields.LABELS}
    return told | {"languageId": {"ru": "ru"}} | labels


def _announce(call: Call, what: str, record: Record) -> None:
    kind = record["ENTITY_ID"].removeprefix("CRM_")
    told = {"ID": str(record["ID"]), "ENTITY_ID": record["ENTITY_ID"], "FIELD_NAME": record["FIELD_NAME"]}
    call.world.events.fire(f"ONCRM{kind}USERFIELD{what}", {"FIELDS": told})
