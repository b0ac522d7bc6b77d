"""Objects as the two families of methods print them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sandbox.portal import linking, multifields, userfields
from sandbox.portal.entities import COMPANY, MULTIFIELDS, Entity
from sandbox.portal.fields import Field, classic, typed
from sandbox.portal.store import Record
from sandbox.portal.world import World


def classic_view(world: World, entity: Entity, record: Record, names: Collection[str] | None = None) -> Record:
    """Print for crm.contact.get and its like: strings or null, multifields absent when empty. `names`: only these."""
    user_fields = world.user_fields(entity.user_field_entity)
    told: Record = {}
    for one in (*entity.fields, *user_fields.values()):
        if one.shown and (names is None or one.name in names):
            told[one.name] = classic(one, record.get(one.name))
    if entity.has_multifields:
        wanted = MULTIFIELDS if names is None else [name for name in MULTIFIELDS if name in names]
        told |= multifields.classic_lists(record, wanted)
    return told


def selected(world: World, entity: Entity, select: Any) -> set[str]:
    """Read `select` of the classic lists: `*` is all but user fields and multifields, which must be named."""
    user_fields = world.user_fields(entity.user_field_entity)
    plain = {one.name for one in entity.fields if one.shown}
    asked = [str(name) for name in select if name not in (None, "")]
    if not asked:
        return plain | set(user_fields)
    names: set[str] = set()
    for name in asked:
        if name == "*":
            names |= plain
        elif name == "UF_*":
            names |= set(user_fields)
        else:
            names.add(name)
    return names


def item_fields(world: World, entity: Entity, *, original_names: bool) -> dict[str, Field]:
    """List the fields of crm.item.* by the names it uses."""
    user_fields = world.user_fields(entity.user_field_entity)
    shown = userfields.item_names(world.store, entity) if user_fields and not original_names else {}
    return entity.by_item | {shown.get(name, name): one for name, one in user_fields.items()}


def item_view(
    world: World, entity: Entity, record: Record, *, original_names: bool, names: Collection[str] | None = None
) -> Record:
    """Print for crm.item.*: typed values, `fm`, keys that are never filled. `names`: only these."""
    told: Record = dict.fromkeys(entity.item_nulls)
    if entity.has_multifields:
        told |= multifields.shortcuts(record) | {"fm": multifields.item_list(record)}
    told["entityTypeId"] = entity.type_id
    if names is not None:
        told = {name: value for name, value in told.items() if name in names and name != "fm"}
    for name, one in item_fields(world, entity, original_names=original_names).items():
        if names is None or name in names:
            told[name] = typed(one, record.get(one.name))
    if entity is COMPANY and "contactIds" in told:
        told["contactIds"] = linking.contacts_of_company(world, record["ID"])
    return told
