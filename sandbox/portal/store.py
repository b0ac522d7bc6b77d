"""Where the portal keeps its records: tables in memory, ordered by id, indexed when a filter first needs it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.portal.entities import ENTITIES

Record = dict[str, Any]
Normalise = Callable[[Any], Any]


class Table:
    """Records of one kind. All changes go through `put`, `change` and `remove`, so that ids and indexes stay true."""

    def __init__(self) -> None:
        self.rows: dict[int, Record] = {}
        self.ids: list[int] = []  # ascending
        self._next_id = 1
        self._indexes: dict[tuple[str, bool], tuple[Normalise, dict[Any, set[int]]]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Record]:
        return (self.rows[one] for one in self.ids)

    def get(self, record_id: int) -> Record | None:
        return self.rows.get(record_id)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def put(self, record: Record) -> Record:
        """Add a record under its ID; one without gets the next."""
        record_id = record.setdefault("ID", self._next_id)
        self._next_id = max(self._next_id, record_id + 1)
        insort(self.ids, record_id)
        self.rows[record_id] = record
        self._index(record, add=True)
        return record

    def change(self, record: Record, values: Record) -> None:
        self._index(record, add=False)
        record.update(values)
        self._index(record, add=True)

    def remove(self, record_id: int) -> Record:
        record = self.rows.pop(record_id)
        del self.ids[bisect_left(self.ids, record_id)]
        self._index(record, add=False)
        return record

    def lookup(self, name: str, values: Iterable[Any], normalise: Normalise | None = None) -> list[int]:
        """Find the ids, ascending, whose field equals one of the values; both normalised, or compared as they are."""
        key = (name, normalise is None)
        if key not in self._indexes:
            self._indexes[key] = (normalise or (lambda value: value), defaultdict(set))
            for record in self.rows.values():
                self._note(key, record, add=True)
        index = self._indexes[key][1]
        return sorted({record_id for value in values for record_id in index.get(value, ())})

    def _index(self, record: Record, *, add: bool) -> None:
        for key in self._indexes:
            self._note(key, record, add=add)

    def _note(self, key: tuple[str, bool], record: Record, *, add: bool) -> None:
        normalise, index = self._indexes[key]
        ids = index[normalise(record.get(key[0]))]
        (ids.add if add else ids.discard)(record["ID"])


@dataclass(slots=True)
class Binding:
    """One end of a link as an object sees it."""

    target_id: int
    sort: int
    is_primary: bool = False


class Links:
    """Which objects of one kind hang on which of another: contacts of a deal, companies of a contact."""

    def __init__(self) -> None:
        self._of: dict[int, list[Binding]] = {}
        self._to: dict[int, list[int]] = defaultdict(list)

    def of(self, owner_id: int) -> list[Binding]:
        return sorted(self._of.get(owner_id, ()), key=lambda link: link.sort)

    def ids(self, owner_id: int) -> list[int]:
        return [link.target_id for link in self.of(owner_id)]

    def to(self, target_id: int) -> list[int]:
        """List who is linked to a target, in the order in which they were linked."""
        return list(self._to.get(target_id, ()))

    def primary(self, owner_id: int) -> int | None:
        return next((link.target_id for link in self.of(owner_id) if link.is_primary), None)

    def add(self, owner_id: int, target_id: int, *, sort: int | None = None, is_primary: bool = False) -> bool:
        """Link two objects; False if they were. The first link is primary; a later primary one takes over."""
        links = self._of.setdefault(owner_id, [])
        if any(link.target_id == target_id for link in links):
            return False
        links.append(Binding(target_id=target_id, sort=sort or max((link.sort for link in links), default=0) + 10))
        self._to[target_id].append(owner_id)
        if is_primary or len(links) == 1:
            self.make_primary(owner_id, target_id)
        return True

    def make_primary(self, owner_id: int, target_id: int) -> None:
        for link in self._of.get(owner_id, ()):
            link.is_primary = link.target_id == target_id

    def remove(self, owner_id: int, target_id: int) -> bool:
        """Unlink; False if they were not linked. The next link becomes primary."""
        links = self._of.get(owner_id, [])
        kept = [link for link in links if link.target_id != target_id]
        if len(kept) == len(links):
            return False
        self._of[owner_id] = kept
        self._to[target_id].remove(owner_id)
        if kept and not any(link.is_primary for link in kept):
            self.make_primary(owner_id, self.of(owner_id)[0].target_id)
        return True

    def replace(self, owner_id: int, links: Iterable[Binding]) -> None:
        """Replace the whole set; the first is primary if none is marked."""
        wanted = list(links)
        for target_id in self.ids(owner_id):
            self.remove(owner_id, target_id)
        for link in wanted:
            self.add(owner_id, link.target_id, sort=link.sort, is_primary=link.is_primary)

    def forget(self, *, owner_id: int | None = None, target_id: int | None = None) -> None:
        """Drop all links of a deleted object."""
        if owner_id is not None:
            self.replace(owner_id, ())
        if target_id is not None:
            for owner in self.to(target_id):
                self.remove(owner, target_id)


AddressKey = tuple[int, int, int]  # TYPE_ID, ENTITY_TYPE_ID, ENTITY_ID


@dataclass(slots=True)
class Store:
    """Everything a portal knows."""

    entities: dict[int, Table] = field(default_factory=lambda: {one.type_id: Table() for one in ENTITIES})
    requisites: Table = field(default_factory=Table)
    bank_details: Table = field(default_factory=Table)
    presets: Table = field(default_factory=Table)
    invoices: Table = field(default_factory=Table)  # the old ones
    comments: Table = field(default_factory=Table)
    users: Table = field(default_factory=Table)
    statuses: Table = field(default_factory=Table)
    stage_history: dict[int, Table] = field(default_factory=lambda: defaultdict(Table))
    user_fields: Table = field(default_factory=Table)
    rows: Table = field(default_factory=Table)  # product rows, with OWNER_TYPE and OWNER_ID
    addresses: dict[AddressKey, Record] = field(default_factory=dict)
    requisite_links: dict[tuple[int, int], Record] = field(default_factory=dict)
    categories: dict[int, list[Record]] = field(default_factory=dict)
    contact_companies: Links = field(default_factory=Links)
    contacts: dict[int, Links] = field(default_factory=lambda: defaultdict(Links))  # of leads, deals, invoices, by type
    communications: dict[tuple[str, str], set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    next_multifield_id: int = 1
    next_invoice_number: int = 1

    def table(self, type_id: int) -> Table:
        return self.entities[type_id]
