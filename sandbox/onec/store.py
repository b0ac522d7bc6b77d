"""The base's objects in memory: one lock, one write counter, and the indexes that the contract's searches need."""

from __future__ import annotations

import threading
import uuid
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from sandbox.onec.changes import Changes
from sandbox.onec.cursors import Cursors
from sandbox.onec.formats import format_instant
from sandbox.onec.records import TYPES, Stored, index_keys, show_event_state, show_fields, show_record

_NUMBER_PREFIXES = {"leads": "ИН00-", "orders": "ТД00-", "invoices": "ТДЦБ-"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What a list call asks for. `keys` are joined by AND; times are seconds since 1970."""

    type: str
    keys: Mapping[str, str]
    changed_since: float | None = None
    with_deleted: bool = False
    after: int = 0
    limit: int = 100


class Store:
    """Whoever reads several things that must fit together, or writes, holds `lock`; it may be taken twice."""

    def __init__(self, *, clock: Callable[[], float], utc_offset_hours: int) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._utc_offset_hours = utc_offset_hours
        self.clear()

    def clear(self) -> None:
        """A new, empty base: its counters start again, and old cursors mean nothing to it."""
        with self.lock:
            self.sequence = 0
            self.cursors = Cursors()
            self.changes = Changes()
            self._objects: dict[str, dict[str, Stored]] = {type: {} for type in TYPES}
            self._index: dict[tuple[str, str, str], set[str]] = defaultdict(set)
            # (sequence, ref) of every write; a pair that is not its object's last one is passed over
            self._history: dict[str, list[tuple[int, str]]] = {type: [] for type in TYPES}
            self._numbers: dict[str, int] = defaultdict(int)

    def now(self) -> float:
        return self._clock()

    def format_time(self, at_seconds: float) -> str:
        return format_instant(at_seconds, utc_offset_hours=self._utc_offset_hours)

    def get(self, type: str, ref: str | None) -> Stored | None:
        return self._objects[type].get(ref) if ref else None

    def find_linked(self, type: str, external_id: str) -> Stored | None:
        """The one object that carries this external id."""
        refs = self._index.get((type, "external_id", external_id))
        return self._objects[type][next(iter(refs))] if refs else None

    def find_by_inn(self, inn: str) -> list[Stored]:
        return [self._objects["counterparties"][ref] for ref in self._index.get(("counterparties", "inn", inn), ())]

    def create(self, type: str, fields: Mapping[str, Any], *, external_id: str | None = None) -> Stored:
        """Add an object; its number is assigned here."""
        numbered = {**fields, "number": self._next_number(type)} if type in _NUMBER_PREFIXES else fields
        return self._put(
            Stored(
                type=type,
                ref=str(uuid.uuid4()),
                external_id=external_id,
                sequence=0,
                changed_at=0,
                deleted=False,
                fields=numbered,
            )
        )

    def write(self, stored: Stored, **attributes: Any) -> Stored:
        """Write an object again, with other attributes or with the same: 1C counts a write either way."""
        return self._put(replace(stored, **attributes))

    def show(self, stored: Stored) -> dict[str, Any]:
        return show_record(stored, get=self.get, format_time=self.format_time)

    def show_fields(self, stored: Stored) -> dict[str, Any]:
        return show_fields(stored, get=self.get)

    def show_event_state(self, stored: Stored, event_type: str) -> dict[str, Any] | None:
        return show_event_state(stored, event_type, get=self.get)

    def all(self, type: str) -> list[Stored]:
        """Every object of a type, marked ones too, oldest change first."""
        with self.lock:
            return list(self._in_order(type, after=0))

    def find(self, search: Search) -> tuple[list[Stored], int | None]:
        """One page, oldest change first, and the place after which the next begins, if there is one."""
        page: list[Stored] = []
        for stored in self._candidates(search):
            if not _fits(stored, search):
                continue
            if len(page) == search.limit:
                return page, page[-1].sequence
            page.append(stored)
        return page, None

    def _candidates(self, search: Search) -> Iterable[Stored]:
        indexed = [
            self._index.get((search.type, name, value.lower() if name == "email" else value), set())
            for name, value in search.keys.items()
            if name in ("external_id", "inn", "email", "order_ref")
        ]
        if "ref" in search.keys:
            indexed.append({search.keys["ref"]})
        if not indexed:
            return self._in_order(search.type, after=search.after)
        objects = self._objects[search.type]
        found = (objects[ref] for ref in set.intersection(*indexed) if ref in objects)
        return sorted((one for one in found if one.sequence > search.after), key=lambda one: one.sequence)

    def _in_order(self, type: str, *, after: int) -> Iterator[Stored]:
        history, objects = self._history[type], self._objects[type]
        for place in range(bisect_right(history, after, key=itemgetter(0)), len(history)):
            sequence, ref = history[place]
            if objects[ref].sequence == sequence:
                yield objects[ref]

    def _put(self, stored: Stored) -> Stored:
        with self.lock:
            before = self._objects[stored.type].get(stored.ref)
            self.sequence += 1
            after = replace(stored, sequence=self.sequence, changed_at=float(int(self._clock())))
            self._reindex(before, after)
            self._objects[after.type][after.ref] = after
            self._remember_order(after)
            return after

    def _reindex(self, before: Stored | None, after: Stored) -> None:
        for name, value in index_keys(before) if before else ():
            self._index[after.type, name, value].discard(after.ref)
        for name, value in index_keys(after):
            self._index[after.type, name, value].add(after.ref)

    def _remember_order(self, stored: Stored) -> None:
        history = self._history[stored.type]
        history.append((stored.sequence, stored.ref))
        if len(history) > 1000 + 4 * len(self._objects[stored.type]):
            self._history[stored.type] = [(one.sequence, one.ref) for one in self._in_order(stored.type, after=0)]

    def _next_number(self, type: str) -> str:
        self._numbers[type] += 1
        return f"{_NUMBER_PREFIXES[type]}{self._numbers[type]:06}"


def _fits(stored: Stored, search: Search) -> bool:
    if stored.deleted and not search.with_deleted:
        return False
    if search.changed_since is not None and stored.changed_at < search.changed_since:
        return False
    return "kpp" not in search.keys or stored.fields["kpp"] == search.keys["kpp"]
