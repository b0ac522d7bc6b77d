"""crm.timeline.comment.*: what is written under a record.

Source: CRM/timeline/comments/*.md, read 2026-08. Only the lower-case `fields` is read (crm 23.100.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.portal import crm, filters
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.entities import BY_NAME, SMART_INVOICE
from sandbox.portal.errors import RestError, classic, missing_parameter
from sandbox.portal.fields import classic as printed
from sandbox.portal.fields import computed, describe, of, text
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record
from sandbox.portal.world import World

_FIELDS = (
    computed("integer", "ID"),
    of("integer", "ENTITY_ID", required=True, immutable=True),
    text("ENTITY_TYPE", required=True, immutable=True),
    computed("datetime", "CREATED"),
    text("COMMENT"),
    of("integer", "AUTHOR_ID", immutable=True),
)
_BY_NAME = {one.name: one for one in _FIELDS}
_DYNAMIC = re.compile(r"^dynamic_(\d+)$")


def register(methods: Methods) -> None:
    for verb, run in {"add": add, "get": get, "list": list_, "update": update, "delete": delete}.items():
        methods.add(f"crm.timeline.comment.{verb}", run)
    methods.add("crm.timeline.comment.fields", lambda _call: {one.name: describe(one) for one in _FIELDS})


def add(call: Call) -> int:
    given = as_map(call.params.get("fields"))
    if given is None:
        raise missing_parameter("fields")
    type_name, owner_id = str(given.get("ENTITY_TYPE") or ""), as_int(given.get("ENTITY_ID"))
    if not _has_owner(call.world, type_name, owner_id):
        raise RestError("OWNER_NOT_FOUND", "Owner was not found")
    return int(write(call.world, type_name, owner_id, _text(given), author=call.user_id)["ID"])


def write(world: World, type_name: str, owner_id: int, comment: str, *, author: int) -> Record:
    """Store a comment and announce it: its id stands in `data` itself, with no FIELDS level."""
    record = world.store.comments.put(
        {
            "ENTITY_ID": owner_id,
            "ENTITY_TYPE": type_name,
            "CREATED": world.clock.now(),
            "COMMENT": comment,
            "AUTHOR_ID": author,
        }
    )
    _announce(world, "ADD", record)
    return record


def update(call: Call) -> int:
    record = _record(call, RestError("NOT_FOUND", "Not found."))
    call.world.store.comments.change(record, {"COMMENT": _text(as_map(call.params.get("fields")) or {})})
    _announce(call.world, "UPDATE", record)
    return int(record["ID"])


def delete(call: Call) -> None:
    record = _record(call, RestError("NOT_FOUND", "Not found."))
    call.world.store.comments.remove(record["ID"])
    _announce(call.world, "DELETE", record)


def get(call: Call) -> Record:
    return view(_record(call, classic("Not found.")))


def list_(call: Call) -> Listed:
    asked = {str(name) for name in as_list(call.get("select")) if name not in (None, "")}
    names = None if not asked or "*" in asked else asked
    page = filters.page(
        call.world.store.comments,
        filters.conditions(call.array("filter", optional=True), _BY_NAME.get),
        order=filters.read_order(call.array("order", optional=True), _BY_NAME.get),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, lambda record: {k: v for k, v in view(record).items() if names is None or k in names})


def view(record: Record) -> Record:
    return {one.name: printed(one, record[one.name]) for one in _FIELDS} | {"FILES": {}}


def _record(call: Call, missing: RestError) -> Record:
    record = call.world.store.comments.get(as_int(call.get("id")))
    if record is None:
        raise missing
    return record


def _text(given: Mapping[str, Any]) -> str:
    comment = str(given.get("COMMENT") or "")
    if not comment.strip():
        raise RestError("INVALID_ARG_VALUE", "Empty comment message")
    return comment


def _has_owner(world: World, type_name: str, owner_id: int) -> bool:
    """Find the owner by its lower-case type: deal, contact, dynamic_31, or invoice for the old ones."""
    if type_name == "invoice":
        return world.store.invoices.get(owner_id) is not None
    dynamic = _DYNAMIC.match(type_name)
    entity = BY_NAME.get(type_name.upper()) if type_name.islower() else None
    if dynamic:
        entity = SMART_INVOICE if int(dynamic[1]) == SMART_INVOICE.type_id else None
    return entity is not None and crm.find(world, entity.type_id, owner_id) is not None


def _announce(world: World, what: str, record: Record) -> None:
    world.events.fire(f"ONCRMTIMELINECOMMENT{what}", {"ID": str(record["ID"])})
