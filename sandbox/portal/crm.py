"""Adding, changing and deleting the objects of the CRM: defaults, checks, links, stages, stamps, events."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sandbox.portal import linking, moves, multifields, rows
from sandbox.portal.entities import BY_LETTER, BY_TYPE, COMPANY, CONTACT, DEAL, SMART_INVOICE, Entity, stamp
from sandbox.portal.errors import invalid_value, required_value
from sandbox.portal.fields import NotValidError, read
from sandbox.portal.multifields import Edit
from sandbox.portal.store import Record
from sandbox.portal.world import World

REQUISITE_TYPE_ID = 8
ADDRESS_TYPES = (1, 4, 6, 8, 9, 11)  # physical, registered, legal, mailing, beneficiary, shipping


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a caller wants an object to be. `values` by stored names, raw; what the object has not is ignored."""

    values: Mapping[str, Any] = field(default_factory=dict)
    edits: Sequence[Edit] = ()  # of phones, e-mails and the like
    unknown_edits_add: bool = False  # crm.item.* makes a new entry of an unknown id
    strict: bool = False  # crm.item.* refuses a bad number; the classic methods make it 0
    with_stamps: bool = False  # IMPORT=Y: dates and authors are writable


def create(world: World, entity: Entity, wish: Wish, *, author: int, silent: bool = False) -> Record:
    """Add an object and announce it; return it."""
    values = writable(world, entity, wish, record=None)
    record: Record = {one.name: one.default for one in entity.fields} | {"ASSIGNED_BY_ID": author}
    record |= _opened(world, entity, values, author)
    table = world.store.table(entity.type_id)
    record["ID"] = table.new_id()
    record |= {name: value for name, value in values.items() if name not in linking.LINK_FIELDS[entity.type_id]}
    record |= _titled(entity, record) | moves.settled(world, entity, record, values, before=None)
    _check_name(entity, record)
    _check_mandatory(world, entity, record)
    linking.write(world, entity, record["ID"], values)
    record |= linking.view(world, entity, record["ID"])
    record |= multifields.applied(world.store, record, wish.edits, unknown_adds=wish.unknown_edits_add)
    if entity.has_multifields:
        record |= multifields.flags(record)
        multifields.note_communications(world.store, entity.type_id, record, present=True)
    table.put(record)
    moves.note(world, entity, record, type_id=1)
    if not silent:
        announce(world, entity, "ADD", record)
    return record


def update(
    world: World, entity: Entity, record: Record, wish: Wish, *, author: int, skip_unchanged: bool = False
) -> bool:
    """Change an object and announce it. With `skip_unchanged` (crm.item.*) a change that is none is not even saved."""
    values = writable(world, entity, wish, record=record)
    changes = {name: value for name, value in values.items() if name not in linking.LINK_FIELDS[entity.type_id]}
    _check_name(entity, record | changes)
    _check_mandatory(world, entity, changes, names=changes)
    changes |= moves.settled(world, entity, record | changes, values, before=record)
    changes |= _amount(world, entity, record | changes)
    changes |= multifields.applied(world.store, record, wish.edits, unknown_adds=wish.unknown_edits_add)
    linked = linking.write(world, entity, record["ID"], values)
    changed = linked or any(_differs(record.get(name), value) for name, value in changes.items())
    if skip_unchanged and not changed:
        return False
    moved_to = changes.get("CATEGORY_ID", record.get("CATEGORY_ID"))
    has_moved = entity is DEAL and moved_to != record["CATEGORY_ID"]
    stage_moved = entity.stage_field is not None and changes.get(entity.stage_field) != record[entity.stage_field]
    save(world, entity, record, changes, author=author)
    if stage_moved:
        moves.note(world, entity, record, type_id=5 if has_moved else None)
    # the move to another pipeline is announced to applications only, and no update beside it
    announce(world, entity, "MOVETOCATEGORY" if has_moved else "UPDATE", record)
    return changed


def _differs(before: Any, after: Any) -> bool:
    """Compare as a save does: nothing, an empty text and an empty list are the same."""
    return before != after and not (before in (None, "", []) and after in (None, "", []))


def save(world: World, entity: Entity, record: Record, changes: Record, *, author: int) -> None:
    """Store changes with the stamps of a save, keeping what depends on them true."""
    now = world.clock.now()
    changes = changes | linking.view(world, entity, record["ID"])
    changes[stamp(entity, "updated_at")] = now
    changes[stamp(entity, "updated_by")] = author
    if entity.stage_field and changes.get(entity.stage_field, record[entity.stage_field]) != record[entity.stage_field]:
        changes |= {"MOVED_TIME": now, stamp(entity, "moved_by"): author}
    if entity.has_multifields:
        changes |= multifields.flags(record | changes)
        multifields.note_communications(world.store, entity.type_id, record, present=False)
    world.store.table(entity.type_id).change(record, changes)
    if entity.has_multifields:
        multifields.note_communications(world.store, entity.type_id, record, present=True)


def delete(world: World, entity: Entity, record: Record) -> None:
    """Delete an object with what hangs on it, and announce it."""
    store, record_id = world.store, record["ID"]
    store.table(entity.type_id).remove(record_id)
    multifields.note_communications(store, entity.type_id, record, present=False)
    rows.replace(store, entity.letter, record_id, [])
    linking.drop(world, entity, record_id)
    for requisite_id in store.requisites.lookup("ENTITY_ID", [record_id]):
        if store.requisites.rows[requisite_id]["ENTITY_TYPE_ID"] == entity.type_id:
            drop_requisite(world, requisite_id)
    announce(world, entity, "DELETE", record)


def drop_requisite(world: World, requisite_id: int) -> None:
    """Take a requisite away with its addresses and bank details; who announces it is up to the caller."""
    world.store.requisites.remove(requisite_id)
    for type_id in ADDRESS_TYPES:
        world.store.addresses.pop((type_id, REQUISITE_TYPE_ID, requisite_id), None)
    for detail_id in world.store.bank_details.lookup("ENTITY_ID", [requisite_id]):
        world.store.bank_details.remove(detail_id)


def announce(world: World, entity: Entity, what: str, record: Record) -> None:
    """Fire the event of a change."""
    told: Record = {"ID": str(record["ID"])}
    if entity is SMART_INVOICE:
        told["ENTITY_TYPE_ID"] = str(entity.type_id)
    if what == "MOVETOCATEGORY":
        told |= {"CATEGORY_ID": str(record["CATEGORY_ID"]), "STAGE_ID": record["STAGE_ID"]}
    world.events.fire(f"ONCRM{entity.event}{what}", {"FIELDS": told}, to_webhooks=what != "MOVETOCATEGORY")


def writable(world: World, entity: Entity, wish: Wish, *, record: Record | None) -> Record:
    """Read the values that may be written; unknown fields are ignored, in silence."""
    values: Record = {}
    for name, raw in wish.values.items():
        one = entity.by_name.get(name) or world.user_fields(entity.user_field_entity).get(name)
        stamps = wish.with_stamps and name in {"DATE_CREATE", "DATE_MODIFY", "CREATED_BY_ID", "MODIFY_BY_ID"}
        if one is None or (one.read_only and not stamps) or (one.immutable and record is not None and not wish.strict):
            continue
        try:
            values[name] = read(one, raw, strict=wish.strict)
        except NotValidError as refused:
            if not wish.strict:
                continue  # the classic methods drop what they cannot read
            raise invalid_value(one.label) from refused
    return values


def _opened(world: World, entity: Entity, values: Record, author: int) -> Record:
    """Fill what a new object starts with, unless it is being imported with stamps of its own."""
    now = world.clock.now()
    start: Record = {stamp(entity, name): now for name in ("created_at", "updated_at")}
    start |= {stamp(entity, name): author for name in ("created_by", "updated_by")}
    start |= {"LAST_ACTIVITY_TIME": now, "LAST_ACTIVITY_BY": author}
    if entity.stage_field:
        start |= {"MOVED_TIME": now, stamp(entity, "moved_by"): author}
    if entity in (DEAL, SMART_INVOICE):
        today = now.date()
        start |= {"BEGINDATE": values.get("BEGINDATE") or today}
        start |= {"CLOSEDATE": values.get("CLOSEDATE") or today + timedelta(days=7)}
    for name in ("BEGINDATE", "CLOSEDATE"):
        if values.get(name, "") is None:
            del values[name]
    if entity is SMART_INVOICE:
        start |= {"ACCOUNT_NUMBER": str(world.store.next_invoice_number), "MYCOMPANY_ID": _own_company(world)}
        world.store.next_invoice_number += 1
    return start


def _own_company(world: World) -> int | None:
    companies = world.store.table(COMPANY.type_id)
    return next((company["ID"] for company in companies if company["IS_MY_COMPANY"] == "Y"), None)


def _titled(entity: Entity, record: Record) -> Record:
    """Name an object that came without a title, as the portal does."""
    if entity is CONTACT or record.get("TITLE"):
        return {}
    return {"TITLE": f"{entity.default_title} #{record['ID']}"}


def _check_name(entity: Entity, record: Record) -> None:
    """Refuse a contact with neither first nor last name."""
    if entity is CONTACT and not (record.get("NAME") or record.get("LAST_NAME")):
        raise required_value("Name")


def _check_mandatory(world: World, entity: Entity, record: Record, names: Container[str] | None = None) -> None:
    """Refuse a mandatory user field that is empty. `names`: only these, which an update touches."""
    for name, one in world.user_fields(entity.user_field_entity).items():
        if one.required and (names is None or name in names) and record.get(name) in (None, "", []):
            raise required_value(name)


def _amount(world: World, entity: Entity, record: Record) -> Record:
    """An amount that is not typed by hand follows the rows, whatever is written into it."""
    if not entity.has_rows or record["IS_MANUAL_OPPORTUNITY"] == "Y":
        return {}
    found = rows.of_owner(world.store, entity.letter, record["ID"])
    return {"OPPORTUNITY": rows.totals(found)[0]} if found else {}


def recompute_amount(world: World, owner_type: str, owner_id: int, *, author: int) -> None:
    """After rows changed: the owner's amount follows them unless it is typed by hand, and the owner counts as saved."""
    entity = BY_LETTER[owner_type]
    record = world.store.table(entity.type_id).rows[owner_id]
    amount, tax = rows.totals(rows.of_owner(world.store, owner_type, owner_id))
    changes: Record = {"TAX_VALUE": tax} if "TAX_VALUE" in entity.by_name else {}
    if record["IS_MANUAL_OPPORTUNITY"] != "Y":
        changes["OPPORTUNITY"] = amount
    save(world, entity, record, changes, author=author)
    announce(world, entity, "UPDATE", record)


def find(world: World, entity_type_id: int, record_id: int) -> Record | None:
    """Find an object by its type and id."""
    entity = BY_TYPE.get(entity_type_id)
    return world.store.table(entity.type_id).get(record_id) if entity else None
