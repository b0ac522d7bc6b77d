"""crm.contact.*, crm.company.*, crm.lead.*, crm.deal.*: the old family, all of strings.

Source: CRM/contacts, companies, leads, deals of the REST documentation, read 2026-08.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sandbox.portal import crm, filters, views
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, MULTIFIELDS, Entity
from sandbox.portal.errors import RestError, business, classic
from sandbox.portal.fields import describe, of
from sandbox.portal.multifields import check, classic_edits
from sandbox.portal.params import as_int, as_list, is_true
from sandbox.portal.store import Record

# contacts and companies have a text of their own for a record that update does not find
_MISSING_ON_UPDATE = {CONTACT.type_id: "Contact is not found", COMPANY.type_id: "Company is not found"}


def register(methods: Methods) -> None:
    for entity in (CONTACT, COMPANY, LEAD, DEAL):
        verbs = {"add": add, "update": update, "get": get, "list": list_, "delete": delete, "fields": fields}
        for verb, run in verbs.items():
            methods.add(f"crm.{entity.classic}.{verb}", partial(run, entity))


def add(entity: Entity, call: Call) -> int:
    """Add a record; answer its id. Nobody looks for duplicates."""
    wish = _wish(entity, call)
    record = _in_classic_words(lambda: crm.create(call.world, entity, wish, author=call.user_id))
    if entity is LEAD and call.world.settings.simple_mode:
        _convert_at_once(call, record)
    return int(record["ID"])


def update(entity: Entity, call: Call) -> bool:
    """Change a record; what is not sent stays. An update that changes nothing is saved and announced all the same."""
    record_id = call.record_id()
    wish = _wish(entity, call)
    record = call.world.store.table(entity.type_id).get(record_id)
    if record is None:
        raise classic(_MISSING_ON_UPDATE.get(entity.type_id, "Not found"))
    _in_classic_words(lambda: crm.update(call.world, entity, record, wish, author=call.user_id))
    return True


def get(entity: Entity, call: Call) -> Record:
    record = call.world.store.table(entity.type_id).get(call.record_id())
    if record is None:
        raise classic("Not found")
    return views.classic_view(call.world, entity, record)


def delete(entity: Entity, call: Call) -> bool:
    record = call.world.store.table(entity.type_id).get(call.record_id())
    if record is None:
        raise business("Element not found")
    crm.delete(call.world, entity, record)
    return True


def list_(entity: Entity, call: Call) -> Listed:
    world = call.world
    given = filters.conditions(call.array("filter", optional=True), lambda name: _filterable(call, entity, name))
    order = filters.read_order(call.array("order", optional=True), lambda name: world.field(entity, name))
    names = views.selected(world, entity, as_list(call.get("select")))
    page = filters.page(
        world.store.table(entity.type_id), given, order=order, start=filters.read_start(call.get("start"))
    )
    return listed(page, lambda record: views.classic_view(world, entity, record, names))


def _filterable(call: Call, entity: Entity, name: str) -> Any:
    """CONTACT_IDS of deals can be neither selected nor filtered here: crm.item.list can."""
    return None if name == "CONTACT_IDS" else call.world.field(entity, name)


def fields(entity: Entity, call: Call) -> Record:
    described = {one.name: describe(one) for one in entity.fields if one.described}
    if entity.has_multifields:
        described |= {name: describe(of("crm_multifield", name, multiple=True)) for name in MULTIFIELDS}
    user_fields = call.world.user_fields(entity.user_field_entity)
    return described | {name: describe(one, title=name) for name, one in user_fields.items()}


def _wish(entity: Entity, call: Call) -> crm.Wish:
    given = call.array("fields")
    params = call.array("params", optional=True)
    edits = [
        edit
        for name in MULTIFIELDS
        if name in given and entity.has_multifields
        for edit in classic_edits(name, given[name])
    ]
    check(edits)
    return crm.Wish(values=given, edits=edits, with_stamps=is_true(params.get("IMPORT")))


def _in_classic_words(work: Any) -> Any:
    """The CRM's own checks have one code in the old methods."""
    try:
        return work()
    except RestError as refused:
        if str(refused.code).startswith("CRM_FIELD_ERROR"):
            raise business(refused.description) from refused
        raise


def _convert_at_once(call: Call, lead: Record) -> None:
    """Simple CRM mode has no leads: a new one becomes a deal, and cannot be found any more."""
    values = {name: lead.get(name) for name in ("TITLE", "OPPORTUNITY", "CURRENCY_ID", "COMPANY_ID", "CONTACT_ID")}
    crm.create(call.world, DEAL, crm.Wish(values=values), author=call.user_id)
    crm.delete(call.world, LEAD, lead)


def existing(call: Call, entity: Entity, *, missing: str = "Not found") -> Record:
    """Find the record that `id` names, for the methods that work on one."""
    record = call.world.store.table(entity.type_id).get(as_int(call.get("id")))
    if record is None:
        raise classic(missing)
    return record
