"""Two cards of one person or firm become one: the manager's "merge duplicates".

Source: reference 5.14, inferred: the portal deletes one id and updates the other, and announces just that. Phones,
e-mails, requisites and links of the loser go to the winner; what the winner has filled stays, what is blank is taken
over, user fields too.
"""

from __future__ import annotations

from typing import Any, Literal

from sandbox.portal import crm, linking, multifields
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, SMART_INVOICE, Entity
from sandbox.portal.errors import classic
from sandbox.portal.multifields import Edit
from sandbox.portal.store import Links, Record
from sandbox.portal.world import World

Told = Literal["update", "delete"]
_EMPTY: tuple[Any, ...] = (None, "", [], 0)
_HOLDERS = (LEAD, DEAL, SMART_INVOICE)


def merge(world: World, entity: Entity, *, winner: Record, loser: Record, author: int, told_first: Told) -> None:
    """Merge the loser into the winner. `told_first`: which of the two events leaves first; nobody may rely on either.

    RestError where there is nothing to merge.
    """
    if entity not in (CONTACT, COMPANY) or winner is loser:
        raise classic("Two different contacts or companies are needed to merge.")
    changes = _blanks_filled(world, entity, winner, loser)
    changes |= multifields.applied(world.store, winner, _missing_values(winner, loser), unknown_adds=False)
    _move_requisites(world, entity, winner, loser)
    _move_links(world, entity, winner["ID"], loser["ID"])
    crm.save(world, entity, winner, changes, author=author)
    steps = {
        "update": lambda: crm.announce(world, entity, "UPDATE", winner),
        "delete": lambda: crm.delete(world, entity, loser),
    }
    for name in (told_first, *(steps.keys() - {told_first})):
        steps[name]()


def _blanks_filled(world: World, entity: Entity, winner: Record, loser: Record) -> Record:
    names = [
        one.name for one in entity.fields if not one.read_only and one.name not in linking.LINK_FIELDS[entity.type_id]
    ]
    names += world.user_fields(entity.user_field_entity)
    return {name: loser[name] for name in names if winner.get(name) in _EMPTY and loser.get(name) not in _EMPTY}


def _missing_values(winner: Record, loser: Record) -> list[Edit]:
    """The loser's phones and e-mails that the winner has not; they get new ids."""
    edits = []
    for type_id in ("PHONE", "EMAIL"):
        known = {multifields.comparable(type_id, entry["VALUE"]) for entry in winner.get(type_id) or ()}
        edits += [
            Edit(what="add", type_id=type_id, value=entry["VALUE"], value_type=entry["VALUE_TYPE"])
            for entry in loser.get(type_id) or ()
            if multifields.comparable(type_id, entry["VALUE"]) not in known
        ]
    return edits


def _move_requisites(world: World, entity: Entity, winner: Record, loser: Record) -> None:
    """They keep their ids, and their addresses hang on them."""
    store = world.store
    for requisite_id in store.requisites.lookup("ENTITY_ID", [loser["ID"]]):
        requisite = store.requisites.rows[requisite_id]
        if requisite["ENTITY_TYPE_ID"] != entity.type_id:
            continue
        store.requisites.change(requisite, {"ENTITY_ID": winner["ID"]})
        for key, address in store.addresses.items():
            if key[1:] == (crm.REQUISITE_TYPE_ID, requisite_id):
                address["ANCHOR_ID"] = winner["ID"]


def _move_links(world: World, entity: Entity, winner_id: int, loser_id: int) -> None:
    """Companies, contacts, leads, deals and invoices of the loser are the winner's now."""
    store = world.store
    payer = f"UF_{entity.name}_ID"
    for invoice_id in store.invoices.lookup(payer, [loser_id]):
        store.invoices.change(store.invoices.rows[invoice_id], {payer: winner_id})
    if entity is CONTACT:
        for company_id in store.contact_companies.ids(loser_id):
            store.contact_companies.add(winner_id, company_id)
        for holder in _HOLDERS:
            _point_at(store.contacts[holder.type_id], winner_id, loser_id)
            for owner_id in store.contacts[holder.type_id].to(winner_id):
                linking.refresh(world, holder, owner_id)
        return
    _point_at(store.contact_companies, winner_id, loser_id)
    for contact_id in store.contact_companies.to(winner_id):
        linking.refresh(world, CONTACT, contact_id)
    for holder in _HOLDERS:
        table = store.table(holder.type_id)
        for owner_id in table.lookup("COMPANY_ID", [loser_id]):
            table.change(table.rows[owner_id], {"COMPANY_ID": winner_id})


def _point_at(links: Links, winner_id: int, loser_id: int) -> None:
    for owner_id in links.to(loser_id):
        was_primary = links.primary(owner_id) == loser_id
        links.add(owner_id, winner_id)
        links.remove(owner_id, loser_id)
        if was_primary:
            links.make_primary(owner_id, winner_id)
