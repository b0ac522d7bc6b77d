"""Links between objects: contacts of a company, deal, lead or invoice, companies of a contact."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, SMART_INVOICE, Entity
from sandbox.portal.store import Binding, Links, Record
from sandbox.portal.world import World

_OWNERS_OF_CONTACTS = (LEAD, DEAL, SMART_INVOICE)

# fields that are links to other objects, kept apart from the record
LINK_FIELDS: dict[int, frozenset[str]] = {
    CONTACT.type_id: frozenset(("COMPANY_ID", "COMPANY_IDS")),
    COMPANY.type_id: frozenset(("CONTACT_ID",)),
    LEAD.type_id: frozenset(("CONTACT_ID", "CONTACT_IDS")),
    DEAL.type_id: frozenset(("CONTACT_ID", "CONTACT_IDS")),
    SMART_INVOICE.type_id: frozenset(("CONTACT_ID", "CONTACT_IDS")),
}


def write(world: World, entity: Entity, record_id: int, values: Record) -> bool:
    """Write the links that a wish names; say whether any is different now."""
    store = world.store
    if entity is COMPANY:
        return _bind_contacts_of_company(world, record_id, values)
    links, target, one, many = (
        (store.contact_companies, COMPANY, "COMPANY_ID", "COMPANY_IDS")
        if entity is CONTACT
        else (store.contacts[entity.type_id], CONTACT, "CONTACT_ID", "CONTACT_IDS")
    )
    before = [(link.target_id, link.is_primary) for link in links.of(record_id)]
    known = store.table(target.type_id).rows
    if many in values:
        wanted = [target_id for target_id in dict.fromkeys(values[many]) if target_id in known]
        links.replace(
            record_id, [Binding(target_id=target_id, sort=(n + 1) * 10) for n, target_id in enumerate(wanted)]
        )
    if one in values:
        _bind_one(links, record_id, values[one], known, keeps_others=entity is CONTACT)
    return before != [(link.target_id, link.is_primary) for link in links.of(record_id)]


def _bind_one(
    links: Links, owner_id: int, target_id: int | None, known: Mapping[int, Record], *, keeps_others: bool
) -> None:
    """Make one target the primary; nothing (0, "") takes the primary away."""
    if target_id in known:
        links.add(owner_id, int(target_id or 0))
        links.make_primary(owner_id, int(target_id or 0))
        return
    primary = links.primary(owner_id)
    if not target_id and primary is not None:
        links.remove(owner_id, primary)
        if not keeps_others:
            links.replace(owner_id, ())


def _bind_contacts_of_company(world: World, company_id: int, values: Record) -> bool:
    if "CONTACT_ID" not in values:
        return False
    links, known = world.store.contact_companies, world.store.table(CONTACT.type_id).rows
    before, wanted = links.to(company_id), [one for one in values["CONTACT_ID"] if one in known]
    for contact_id in set(before) - set(wanted):
        links.remove(contact_id, company_id)
    for contact_id in wanted:
        links.add(contact_id, company_id)
    for contact_id in {*before, *wanted}:
        refresh(world, CONTACT, contact_id)
    return set(before) != set(wanted)


def view(world: World, entity: Entity, record_id: int) -> Record:
    """Say what the link fields of an object show now."""
    store = world.store
    if entity is COMPANY:
        return {}  # a company may have thousands: `contacts_of_company` looks when somebody asks
    if entity is CONTACT:
        links = store.contact_companies
        return {"COMPANY_ID": links.primary(record_id), "COMPANY_IDS": links.ids(record_id)}
    links = store.contacts[entity.type_id]
    return {"CONTACT_ID": links.primary(record_id), "CONTACT_IDS": links.ids(record_id)}


def contacts_of_company(world: World, company_id: int) -> list[int]:
    return world.store.contact_companies.to(company_id)


def refresh(world: World, entity: Entity, record_id: int) -> None:
    """Make an object show its links as they are, without a save of its own."""
    table = world.store.table(entity.type_id)
    record = table.get(record_id)
    if record is not None:
        table.change(record, view(world, entity, record_id))


def drop(world: World, entity: Entity, record_id: int) -> None:
    """Cut all links of a deleted object, and let the others show it."""
    store = world.store
    if entity is CONTACT:
        store.contact_companies.forget(owner_id=record_id)
        for owner in _OWNERS_OF_CONTACTS:
            owners = store.contacts[owner.type_id].to(record_id)
            store.contacts[owner.type_id].forget(target_id=record_id)
            for owner_id in owners:
                refresh(world, owner, owner_id)
    elif entity is COMPANY:
        contacts = store.contact_companies.to(record_id)
        store.contact_companies.forget(target_id=record_id)
        for contact_id in contacts:
            refresh(world, CONTACT, contact_id)
    else:
        store.contacts[entity.type_id].forget(owner_id=record_id)
