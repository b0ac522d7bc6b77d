"""crm.contact.company.*, crm.company.contact.*, crm.deal.contact.*, crm.lead.contact.*: who hangs on whom.

Source: CRM/contacts/company/*.md and its mirrors, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.portal import crm, linking
from sandbox.portal.calls import Call, Methods
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, Entity
from sandbox.portal.errors import classic
from sandbox.portal.fields import describe, of
from sandbox.portal.methods.classic import existing
from sandbox.portal.params import as_int, as_list, as_map, is_true
from sandbox.portal.store import Binding, Links, Record, Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """Links as one side sees them."""

    owner: Entity
    target: Entity
    links_of: Callable[[Store], Links]
    missing: str = "Not found"
    mirrored: bool = False  # the links are kept on the target's side

    @property
    def key(self) -> str:
        return f"{self.target.name}_ID"

    def bindings(self, store: Store, owner_id: int) -> list[Binding]:
        links = self.links_of(store)
        if not self.mirrored:
            return links.of(owner_id)
        return [
            Binding(target_id=one, sort=(index + 1) * 10, is_primary=index == 0)
            for index, one in enumerate(links.to(owner_id))
        ]

    def add(self, store: Store, owner_id: int, target_id: int, *, sort: int | None, is_primary: bool) -> bool:
        links = self.links_of(store)
        if self.mirrored:
            return links.add(target_id, owner_id)
        return links.add(owner_id, target_id, sort=sort, is_primary=is_primary)

    def remove(self, store: Store, owner_id: int, target_id: int) -> bool:
        links = self.links_of(store)
        return links.remove(target_id, owner_id) if self.mirrored else links.remove(owner_id, target_id)


RELATIONS = (
    Relation(owner=CONTACT, target=COMPANY, links_of=lambda store: store.contact_companies),
    Relation(owner=COMPANY, target=CONTACT, links_of=lambda store: store.contact_companies, mirrored=True),
    Relation(owner=DEAL, target=CONTACT, links_of=lambda store: store.contacts[DEAL.type_id], missing="Not found."),
    Relation(owner=LEAD, target=CONTACT, links_of=lambda store: store.contacts[LEAD.type_id], missing="Not found."),
)


def register(methods: Methods) -> None:
    verbs = {"add": add, "delete": delete, "fields": fields}
    for relation in RELATIONS:
        family = f"crm.{relation.owner.classic}.{relation.target.classic}"
        for verb, run in verbs.items():
            methods.add(f"{family}.{verb}", partial(run, relation))
        for verb, run in {"get": items_get, "set": items_set, "delete": items_delete}.items():
            methods.add(f"{family}.items.{verb}", partial(run, relation))


def add(relation: Relation, call: Call) -> bool:
    """Link two records; `false`, with HTTP 200, when they are linked already."""
    owner_id, given = _owner(relation, call), call.array("fields")
    target_id = _target(relation, call, given)
    added = relation.add(
        call.world.store,
        owner_id,
        target_id,
        sort=as_int(given.get("SORT")) or None,
        is_primary=is_true(given.get("IS_PRIMARY")),
    )
    if added:
        _save(relation, call, owner_id, [target_id])
    return added


def delete(relation: Relation, call: Call) -> bool:
    """Unlink; `false` when they were not linked."""
    owner_id, given = _owner(relation, call), call.array("fields")
    target_id = as_int(given.get(relation.key))
    removed = relation.remove(call.world.store, owner_id, target_id)
    if removed:
        _save(relation, call, owner_id, [target_id])
    return removed


def items_get(relation: Relation, call: Call) -> list[Record]:
    owner_id = _owner(relation, call)
    return [
        {relation.key: link.target_id, "SORT": link.sort, "ROLE_ID": 0, "IS_PRIMARY": "Y" if link.is_primary else "N"}
        for link in relation.bindings(call.world.store, owner_id)
    ]


def items_set(relation: Relation, call: Call) -> bool:
    """Replace all links."""
    owner_id = _owner(relation, call)
    items = [entry for entry in map(as_map, as_list(call.get("items"))) if entry]
    if not items:
        raise classic("Parameter 'items' must be array.")
    _replace(relation, call, owner_id, [_binding(relation, call, index, entry) for index, entry in enumerate(items)])
    return True


def items_delete(relation: Relation, call: Call) -> bool:
    _replace(relation, call, _owner(relation, call), [])
    return True


def fields(relation: Relation, _call: Call) -> Record:
    described = {
        relation.key: describe(of("integer", relation.key, required=True, title=relation.target.name.capitalize())),
        "SORT": describe(of("integer", "SORT", title="Sorting")),
        "IS_PRIMARY": describe(of("char", "IS_PRIMARY", title="Primary")),
    }
    return described


def _replace(relation: Relation, call: Call, owner_id: int, wanted: list[Binding]) -> None:
    store = call.world.store
    before = [link.target_id for link in relation.bindings(store, owner_id)]
    if relation.mirrored:
        for target_id in before:
            relation.remove(store, owner_id, target_id)
        for link in wanted:
            relation.add(store, owner_id, link.target_id, sort=None, is_primary=False)
    else:
        relation.links_of(store).replace(owner_id, wanted)
    _save(relation, call, owner_id, [*before, *(link.target_id for link in wanted)])


def _binding(relation: Relation, call: Call, index: int, entry: Record) -> Binding:
    target_id = _target(relation, call, entry)
    sort = as_int(entry.get("SORT")) or (index + 1) * 10
    return Binding(target_id=target_id, sort=sort, is_primary=is_true(entry.get("IS_PRIMARY")))


def _owner(relation: Relation, call: Call) -> int:
    if as_int(call.get("id")) <= 0:
        raise classic("The parameter 'ownerEntityID' is invalid or not defined.")
    return int(existing(call, relation.owner, missing=relation.missing)["ID"])


def _target(relation: Relation, call: Call, given: Record) -> int:
    target_id = as_int(given.get(relation.key))
    if call.world.store.table(relation.target.type_id).get(target_id) is None:
        raise classic(relation.missing)
    return target_id


def _save(relation: Relation, call: Call, owner_id: int, target_ids: list[int]) -> None:
    """A changed link is a save of its owner; the other side shows it without one."""
    world = call.world
    record: Any = world.store.table(relation.owner.type_id).get(owner_id)
    crm.save(world, relation.owner, record, {}, author=call.user_id)
    crm.announce(world, relation.owner, "UPDATE", record)
    for target_id in target_ids:
        if relation.owner in (CONTACT, COMPANY):
            linking.refresh(world, relation.target, target_id)
