"""The offline queue of the portal's local application: one row for each event of each object, until it is cleared.

A row that somebody has reserved is brought up to date no more: the next change of its object makes another row.
Source: EV/offline-events.md, EV/event-offline-*.md, read 2026-11.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sandbox.portal.clock import PortalClock, iso
from sandbox.portal.errors import RestError
from sandbox.portal.filters import split_key
from sandbox.portal.params import as_int, as_map

PAGE = 50
CRM_OBJECTS = ("CONTACT", "COMPANY", "LEAD", "DEAL", "REQUISITE", "INVOICE", "DYNAMICITEM", "TIMELINECOMMENT")
CODES = frozenset(
    {
        *(f"ONCRM{name}{verb}" for name in CRM_OBJECTS for verb in ("ADD", "UPDATE", "DELETE")),
        *("ONCRMDEALMOVETOCATEGORY", "ONCRMINVOICESETSTATUS", "ONCRMADDRESSREGISTER", "ONCRMADDRESSUNREGISTER"),
    }
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
GET_FIELDS = ("ID", "TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID")
LIST_FIELDS = (*GET_FIELDS, "PROCESS_ID", "ERROR")
_SORTED_BY = ("ID", "TIMESTAMP_X", "EVENT_NAME", "MESSAGE_ID", "PROCESS_ID", "ERROR")

Row = dict[str, Any]


@dataclass(slots=True)
class OfflineQueue:
    """Thread-safe."""

    clock: PortalClock
    rows: list[Row] = field(default_factory=list)  # as event.offline.list prints them
    bound: list[str] = field(default_factory=list)  # codes, in the order in which they were bound
    _ids: Iterable[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def bind(self, code: str) -> None:
        """Errors: RestError where it is bound already (EV/test-handler.md)."""
        with self._lock:
            if code in self.bound:
                raise RestError("ERROR_CORE", "Unable to set event handler: Handler already binded")
            self.bound.append(code)

    def unbind(self, code: str) -> int:
        with self._lock:
            count = self.bound.count(code)
            self.bound = [one for one in self.bound if one != code]
            return count

    def note(self, code: str, data: Mapping[str, Any]) -> None:
        """A change was made: bring its row up to date, or add one."""
        with self._lock:
            if code not in self.bound:
                return
            named = hashlib.md5(f"{code} {json.dumps(data, sort_keys=True)}".encode()).hexdigest()  # noqa: S324
            waiting = (row for row in self.rows if row["MESSAGE_ID"] == named and not row["PROCESS_ID"])
            row = next(waiting, None) or self._new_row(code, data, named)
            row["TIMESTAMP_X"] = iso(self.clock.real())

    def _new_row(self, code: str, data: Mapping[str, Any], named: str) -> Row:
        row: Row = {
            "ID": str(next(iter(self._ids))),
            "TIMESTAMP_X": "",
            "EVENT_NAME": code,
            "EVENT_DATA": json.loads(json.dumps(data)),
            "EVENT_ADDITIONAL": False,
            "MESSAGE_ID": named,
            "PROCESS_ID": "",
            "ERROR": "0",
        }
        self.rows.append(row)
        return row

    def take(
        self, given: Any, order: Any, *, limit: int, process_id: str | None, with_errors: bool, clear: bool
    ) -> tuple[str, list[Row]]:
        """Reserve rows, or with a `process_id` give those again that are reserved under it; `clear` removes them."""
        with self._lock:
            wanted = [row for row in self._found(given) if (row["ERROR"] == "1") is with_errors]
            if process_id is None:
                process_id = secrets.token_hex(16)
                chosen = _ordered([row for row in wanted if with_errors or not row["PROCESS_ID"]], order, "TIMESTAMP_X")
            else:
                chosen = _ordered([row for row in wanted if row["PROCESS_ID"] == process_id], order, "TIMESTAMP_X")
            for row in chosen[:limit]:
                row["PROCESS_ID"] = process_id
            if clear:
                self._remove(chosen[:limit])
            return process_id, [_shown(row, GET_FIELDS) for row in chosen[:limit]]

    def page(self, given: Any, order: Any, *, start: int) -> tuple[list[Row], int]:
        """One page, and how many there are in all."""
        with self._lock:
            found = _ordered(self._found(given), order, "ID")
            return [_shown(row, LIST_FIELDS) for row in found[start : start + PAGE]], len(found)

    def clear(self, process_id: str, *, ids: Sequence[str] | None, message_ids: Sequence[str] | None) -> None:
        """Without ids all that is reserved under `process_id`."""
        with self._lock:
            held = [row for row in self.rows if row["PROCESS_ID"] == process_id]
            self._remove([row for row in held if _is_meant(row, ids, message_ids)])

    def fail(self, process_id: str, message_ids: Sequence[str] | None) -> None:
        with self._lock:
            for row in self.rows:
                if row["PROCESS_ID"] == process_id and _is_meant(row, None, message_ids):
                    row["ERROR"] = "1"

    def empty(self) -> None:
        with self._lock:
            self.rows.clear()

    def _remove(self, gone: Sequence[Row]) -> None:
        ids = {row["ID"] for row in gone}
        self.rows[:] = [row for row in self.rows if row["ID"] not in ids]

    def _found(self, given: Any) -> list[Row]:
        tests = [_test(key, value) for key, value in (as_map(given) or {}).items()]
        return [row for row in self.rows if all(test(row) for test in tests)]


def _test(key: str, value: Any) -> Callable[[Row], bool]:
    sign, name = split_key(key)
    if sign not in _COMPARE or name not in _SORTED_BY:
        raise RestError("ERROR_ARGUMENT", f"Filtering by {key} is not allowed")
    compare, limit = _COMPARE[sign], _comparable(name, value)
    return lambda row: compare(_comparable(name, row[name]), limit)


def _comparable(name: str, value: Any) -> Any:
    return as_int(value) if name == "ID" else str(value)


def _ordered(rows: list[Row], order: Any, otherwise: str) -> list[Row]:
    wanted = as_map(order) or {otherwise: "ASC"}
    for name, direction in reversed(wanted.items()):
        if name not in _SORTED_BY:
            raise RestError("ERROR_ARGUMENT", f"Sorting by {name} is not allowed")
        rows = sorted(rows, key=partial(_value_of, name), reverse=str(direction).upper() == "DESC")
    return rows


def _value_of(name: str, row: Row) -> Any:
    return _comparable(name, row[name])


def _is_meant(row: Row, ids: Sequence[str] | None, message_ids: Sequence[str] | None) -> bool:
    """`id` wins over `message_id`; without either all are meant."""
    if ids is not None:
        return row["ID"] in ids
    return message_ids is None or row["MESSAGE_ID"] in message_ids


def _shown(row: Row, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}
