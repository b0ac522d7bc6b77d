"""crm.address.*: addresses have no id of their own; type, owner's type and owner's id are the key.

Source: CRM/requisites/addresses/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.portal import crm, filters
from sandbox.portal.calls import Call, Listed, Methods, listed, no_value
from sandbox.portal.entities import LEAD
from sandbox.portal.errors import RestError, classic
from sandbox.portal.fields import Field, computed, describe, of, text
from sandbox.portal.fields import classic as printed
from sandbox.portal.params import as_int, as_list
from sandbox.portal.store import AddressKey, Record
from sandbox.portal.world import World

TEXTS = ("ADDRESS_1", "ADDRESS_2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE")
FIELDS: tuple[Field, ...] = (
    *(of("integer", name, required=True, immutable=True) for name in ("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID")),
    *(text(name) for name in TEXTS),
    of("integer", "LOC_ADDR_ID"),
    computed("integer", "ANCHOR_TYPE_ID"),
    computed("integer", "ANCHOR_ID"),
)
_BY_NAME = {one.name: one for one in FIELDS}


def register(methods: Methods) -> None:
    for verb, run in {"add": add, "update": update, "delete": delete, "list": list_, "fields": fields}.items():
        methods.add(f"crm.address.{verb}", run)


def add(call: Call) -> bool:
    given = call.array("fields")
    key = _key(call.world, given)
    if key in call.world.store.addresses:
        raise classic("TypeAddress exists")
    write(call.world, key, given)
    return True


def update(call: Call) -> bool:
    """Change an address. As soon as one text is sent, only the texts that are sent remain."""
    given = call.array("fields")
    key = _key(call.world, given)
    if key not in call.world.store.addresses:
        raise classic("TypeAddress not found")
    write(call.world, key, given)
    return True


def delete(call: Call) -> bool:
    key = _key(call.world, call.array("fields"))
    address = call.world.store.addresses.pop(key, None)
    if address is None:
        raise classic("TypeAddress not found.")
    _announce(call.world, "UNREGISTER", address)
    return True


def list_(call: Call) -> Listed:
    asked = {str(name) for name in as_list(call.get("select")) if name not in (None, "")}
    names = None if not asked or "*" in asked else asked
    try:
        page = filters.page_of(
            _near(call.world, call.array("filter", optional=True)),
            filters.conditions(call.array("filter", optional=True), _BY_NAME.get),
            order=filters.read_order(call.array("order", optional=True), _BY_NAME.get),
            start=filters.read_start(call.get("start")),
        )
    except RestError as refused:
        raise RestError(0, refused.description) from refused
    return listed(page, lambda address: _view(address, names))


def _near(world: World, given: Mapping[str, Any]) -> list[Record]:
    """Look up the addresses of one owner without walking through all."""
    owner, owner_type = given.get("ENTITY_ID"), given.get("ENTITY_TYPE_ID")
    if isinstance(owner, dict | list) or not as_int(owner) or not as_int(owner_type):
        return list(world.store.addresses.values())
    keys = ((type_id, as_int(owner_type), as_int(owner)) for type_id in crm.ADDRESS_TYPES)
    return [world.store.addresses[key] for key in keys if key in world.store.addresses]


def fields(_call: Call) -> Record:
    return {one.name: describe(one) for one in FIELDS}


def write(world: World, key: AddressKey, given: Mapping[str, Any]) -> None:
    """Store an address over what was there, and announce it."""
    before = world.store.addresses.get(key) or dict.fromkeys(_BY_NAME)
    values = {name: str(given[name]) for name in TEXTS if given.get(name) not in (None, "")}
    kept = dict.fromkeys(TEXTS) if any(name in given for name in TEXTS) else {name: before[name] for name in TEXTS}
    address: Record = before | kept | values
    address |= dict(zip(("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID"), key, strict=True)) | _anchor(world, key)
    if "LOC_ADDR_ID" in given:
        address["LOC_ADDR_ID"] = as_int(given["LOC_ADDR_ID"])
    world.store.addresses[key] = address
    _announce(world, "REGISTER", address)


def _anchor(world: World, key: AddressKey) -> Record:
    """Name the contact or company behind a requisite's address."""
    _type_id, owner_type, owner_id = key
    if owner_type == crm.REQUISITE_TYPE_ID:
        requisite = world.store.requisites.rows[owner_id]
        return {"ANCHOR_TYPE_ID": requisite["ENTITY_TYPE_ID"], "ANCHOR_ID": requisite["ENTITY_ID"]}
    return {"ANCHOR_TYPE_ID": owner_type, "ANCHOR_ID": owner_id}


def _key(world: World, given: Mapping[str, Any]) -> AddressKey:
    type_id, owner_type = as_int(given.get("TYPE_ID")), as_int(given.get("ENTITY_TYPE_ID"))
    owner_id = as_int(given.get("ENTITY_ID"))
    if type_id not in crm.ADDRESS_TYPES:
        raise no_value("TYPE_ID")
    if owner_type not in {crm.REQUISITE_TYPE_ID, LEAD.type_id}:
        raise no_value("ENTITY_TYPE_ID")
    if owner_id <= 0:
        raise no_value("ENTITY_ID")
    owners = world.store.requisites if owner_type == crm.REQUISITE_TYPE_ID else world.store.table(LEAD.type_id)
    if owners.get(owner_id) is None:
        raise classic("Entity not found.")
    return type_id, owner_type, owner_id


def _view(address: Record, names: set[str] | None = None) -> Record:
    return {one.name: printed(one, address[one.name]) for one in FIELDS if names is None or one.name in names}


def view(address: Record) -> Record:
    """Print a whole address."""
    return _view(address)


def _announce(world: World, what: str, address: Record) -> None:
    keys = ("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID", "ANCHOR_ID", "ANCHOR_TYPE_ID")
    world.events.fire(f"ONCRMADDRESS{what}", {"FIELDS": {key: str(address[key]) for key in keys}})
