"""crm.item.productrow.*, crm.deal.productrows.*, crm.lead.productrows.*: what is sold.

Source: CRM/universal/product-rows/*.md, crm-deal-productrows-*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.portal import crm, filters, rows
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.entities import BY_LETTER, DEAL, LEAD, Entity
from sandbox.portal.errors import RestError, classic, missing_parameter
from sandbox.portal.fields import describe
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record

_OWNER_KEYS = ("=ownerType", "=ownerId")


def register(methods: Methods) -> None:
    verbs = {"list": list_, "set": set_, "add": add, "update": update, "get": get, "delete": delete, "fields": fields}
    for verb, run in verbs.items():
        methods.add(f"crm.item.productrow.{verb}", run)
    for entity in (DEAL, LEAD):
        methods.add(f"crm.{entity.classic}.productrows.get", partial(classic_get, entity))
        methods.add(f"crm.{entity.classic}.productrows.set", partial(classic_set, entity))


def list_(call: Call) -> Listed:
    """List the rows of one owner, by pages of 50. The two owner keys need their `=`."""
    given = as_map(call.params.get("filter")) or {}
    if any(key not in given for key in _OWNER_KEYS):
        raise RestError("INVALID_ARG_VALUE", "Invalid filter: '=ownerType' and '=ownerId' are required in filter")
    owner_type, owner_id = _owner(call, given["=ownerType"], given["=ownerId"])
    page = filters.page_of(
        rows.of_owner(call.world.store, owner_type, owner_id),
        filters.conditions({key: value for key, value in given.items() if key not in _OWNER_KEYS}, rows.BY_ITEM.get),
        order=filters.read_order(call.params.get("order"), rows.BY_ITEM.get),
        start=filters.read_start(call.params.get("start")),
    )
    return listed(page, rows.item_view, wrap="productRows")


def set_(call: Call) -> Record:
    """Replace all rows of an owner."""
    owner_type, owner_id = _owner(call, call.params.get("ownerType"), call.params.get("ownerId"))
    if "productRows" not in call.params:
        raise missing_parameter("productRows")
    given = [_stored(entry) for entry in map(as_map, as_list(call.params["productRows"])) if entry is not None]
    if rows.replace(call.world.store, owner_type, owner_id, given):
        crm.recompute_amount(call.world, owner_type, owner_id, author=call.user_id)
    return {"productRows": [rows.item_view(row) for row in rows.of_owner(call.world.store, owner_type, owner_id)]}


def add(call: Call) -> Record:
    given = as_map(call.params.get("fields"))
    if given is None:
        raise missing_parameter("fields")
    owner_type, owner_id = _owner(call, given.get("ownerType"), given.get("ownerId"))
    row = rows.build(owner_type, owner_id, _stored(given))
    del row["ID"]
    call.world.store.rows.put(row)
    crm.recompute_amount(call.world, owner_type, owner_id, author=call.user_id)
    return {"productRow": rows.item_view(row)}


def update(call: Call) -> Record:
    row, given = _row(call), as_map(call.params.get("fields"))
    if given is None:
        raise missing_parameter("fields")
    changed = rows.build(row["OWNER_TYPE"], row["OWNER_ID"], _stored(given), before=row)
    call.world.store.rows.change(row, changed)
    crm.recompute_amount(call.world, row["OWNER_TYPE"], row["OWNER_ID"], author=call.user_id)
    return {"productRow": rows.item_view(row)}


def get(call: Call) -> Record:
    return {"productRow": rows.item_view(_row(call))}


def delete(call: Call) -> None:
    row = _row(call)
    call.world.store.rows.remove(row["ID"])
    crm.recompute_amount(call.world, row["OWNER_TYPE"], row["OWNER_ID"], author=call.user_id)


def fields(_call: Call) -> Record:
    return {
        "fields": {str(one.item): describe(one) for one in rows.FIELDS if one.name not in {"PRICE_ACCOUNT", "XML_ID"}}
    }


def classic_get(entity: Entity, call: Call) -> list[Record]:
    owner_id = _classic_owner(entity, call)
    return [rows.classic_view(row) for row in rows.of_owner(call.world.store, entity.letter, owner_id)]


def classic_set(entity: Entity, call: Call) -> bool:
    owner_id = _classic_owner(entity, call)
    given = [entry for entry in map(as_map, as_list(call.get("rows"))) if entry is not None]
    if rows.replace(call.world.store, entity.letter, owner_id, given):
        crm.recompute_amount(call.world, entity.letter, owner_id, author=call.user_id)
    return True


def _classic_owner(entity: Entity, call: Call) -> int:
    owner_id = as_int(call.get("id"))
    if owner_id <= 0:
        raise classic("The parameter id is invalid or not defined.")
    if call.world.store.table(entity.type_id).get(owner_id) is None:
        raise classic("Not found")
    return owner_id


def _owner(call: Call, owner_type: Any, owner_id: Any) -> tuple[str, int]:
    entity = BY_LETTER.get(str(owner_type))
    if entity is None or not entity.has_rows or crm.find(call.world, entity.type_id, as_int(owner_id)) is None:
        raise RestError("OWNER_NOT_FOUND", "Owner was not found")
    return entity.letter, as_int(owner_id)


def _row(call: Call) -> Record:
    row = call.world.store.rows.get(as_int(call.params.get("id")))
    if row is None:
        raise RestError("NOT_FOUND", "Item not found")
    return row


def _stored(given: Mapping[str, Any]) -> Record:
    return {rows.BY_ITEM[name].name: value for name, value in given.items() if name in rows.BY_ITEM}
