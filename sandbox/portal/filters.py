"""Filters, order and pages of the list methods.

Source: crm-contact-list.md, crm-item-list.md, list-methods-pecularities.md, huge-data.md, read 2026-08.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from sandbox.portal.clock import MOSCOW
from sandbox.portal.fields import FLAGS, INTEGERS, Field, NotValidError, parse_when
from sandbox.portal.params import as_int, as_list, as_map, is_true
from sandbox.portal.store import Record, Table

PAGE_SIZE = 50
_KEY = re.compile(r"^(?P<operator>!=%|!%=|!=|!@|!%|!|>=|<=|>|<|=%|%=|=|%|@)?(?P<name>.+)$", re.DOTALL)
_INDEXED = INTEGERS | {"string", "crm_status"}

Test = Callable[[Record], bool]
FieldOf = Callable[[str], Field | None]  # finds a field by the name a filter uses; None: unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One line of a filter."""

    field: Field
    operator: str  # "" is "="
    value: Any

    @property
    def wanted(self) -> list[Any]:
        """The values for equality, normalised."""
        values = as_list(self.value) if isinstance(self.value, list | Mapping) else [self.value]
        return [comparable(self.field, value) for value in values]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One answer of a list method. `total` None when nobody counted."""

    records: list[Record]
    total: int
    next: int | None = None


def comparable(field: Field, value: Any) -> Any:
    """Normalise a stored or given value for comparing: nothing, "", [] and a reference to 0 are all None."""
    if value is None or value in ("", []):
        return None
    if field.kind in FLAGS:
        return "Y" if is_true(value) else "N"
    if field.kind in INTEGERS:
        return as_int(value) or None
    if field.kind == "double":
        return _as_float(value)
    if field.kind in {"datetime", "date"}:
        return _as_moment(value)
    return None if value is False else str(value).lower()


def _as_float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _as_moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=MOSCOW)
    try:
        return parse_when(value)
    except NotValidError:
        return None


def split_key(key: str) -> tuple[str, str]:
    """Split ">=DATE_MODIFY" into its operator and its field."""
    found = _KEY.match(key)
    return (found["operator"] or "", found["name"]) if found else ("", key)


def conditions(given: Any, field_of: FieldOf) -> list[Condition]:
    """Read a classic filter; a field that nobody knows is ignored."""
    found = []
    for key, value in (as_map(given) or {}).items():
        operator, name = split_key(key)
        field = field_of(name)
        if field is not None:
            found.append(Condition(field=field, operator=operator, value=value))
    return found


def test_of(condition: Condition) -> Test:
    """Make the question one condition asks of a record."""
    operator, field = condition.operator, condition.field
    name = field.name
    if field.kind == "crm_multifield":
        return _multifield_test(condition)
    if operator in {"", "=", "@", "!", "!=", "!@"}:
        return _equality_test(condition, negated=operator.startswith("!"))
    if "%" in operator:
        matches = _like(operator, condition.value)
        negated = operator.startswith("!")
        return lambda record: matches(str(record.get(name) or "")) is not negated
    return _range_test(condition)


def _equality_test(condition: Condition, *, negated: bool) -> Test:
    field, name = condition.field, condition.field.name
    wanted = set(condition.wanted)
    if field.multiple:
        return lambda record: bool(wanted & _parts(field, record.get(name))) is not negated
    return lambda record: (comparable(field, record.get(name)) in wanted) is not negated


def _parts(field: Field, values: Any) -> set[Any]:
    return {comparable(field, value) for value in values or ()} or {None}


def _range_test(condition: Condition) -> Test:
    field, name = condition.field, condition.field.name
    limit = comparable(field, condition.value)
    if limit is None and field.kind in INTEGERS:
        limit = 0
    if limit is None:
        return lambda _record: False
    compare: dict[str, Callable[[Any], bool]] = {
        ">": lambda value: value > limit,
        ">=": lambda value: value >= limit,
        "<": lambda value: value < limit,
        "<=": lambda value: value <= limit,
    }
    holds = compare[condition.operator]

    def test(record: Record) -> bool:
        value = comparable(field, record.get(name))
        return value is not None and holds(value)

    return test


def _like(operator: str, value: Any) -> Callable[[str], bool]:
    """`%` looks for a part; `=%` and `%=` take the caller's own % and _ signs."""
    wanted = str(value).lower()
    if operator.strip("!") == "%":
        return lambda text: wanted in text.lower()
    pattern = re.compile("".join({"%": ".*", "_": "."}.get(sign, re.escape(sign)) for sign in wanted), re.DOTALL)
    return lambda text: pattern.fullmatch(text.lower()) is not None


def _multifield_test(condition: Condition) -> Test:
    """Phones and e-mails filter on exact match only."""
    name, negated = condition.field.name, condition.operator.startswith("!")
    wanted = {str(value) for value in as_list(condition.value)}
    empty = not wanted

    def test(record: Record) -> bool:
        values = {entry["VALUE"] for entry in record.get(name) or []}
        return (not values if empty else bool(values & wanted)) is not negated

    return test


def candidates(table: Table, given: Iterable[Condition]) -> tuple[Sequence[int], list[Condition]]:
    """Narrow the ids by what the table can answer at once; return them, ascending, and what is left to ask."""
    ids: Sequence[int] = table.ids
    rest = []
    for condition in given:
        if condition.field.name == "ID" and condition.operator in {">", ">=", "<", "<="}:
            ids = _id_range(ids, condition.operator, as_int(condition.value))
        elif condition.operator in {"", "=", "@"} and _is_indexable(condition):
            ids = _id_lookup(table, ids, condition)
        else:
            rest.append(condition)
    return ids, rest


def _is_indexable(condition: Condition) -> bool:
    return condition.field.kind in _INDEXED and not condition.field.multiple


def _id_range(ids: Sequence[int], operator: str, limit: int) -> Sequence[int]:
    cut = bisect_right if operator in {">", "<="} else bisect_left
    at = cut(ids, limit)
    return ids[at:] if operator.startswith(">") else ids[:at]


def _id_lookup(table: Table, ids: Sequence[int], condition: Condition) -> Sequence[int]:
    field = condition.field
    if field.name == "ID":
        found = sorted({value for value in condition.wanted if value in table.rows})
    else:
        found = table.lookup(field.name, condition.wanted, lambda value: comparable(field, value))
    if ids is table.ids:
        return found
    allowed = set(ids)
    return [record_id for record_id in found if record_id in allowed]


def page(
    table: Table,
    given: Sequence[Condition],
    *,
    order: Sequence[tuple[Field, bool]],
    start: int,
    extra: Test | None = None,
) -> Page:
    """Answer a list call. `order` is (field, descending); `start` -1 counts nothing and gives the first page."""
    ids, rest = candidates(table, given)
    tests = [test_of(condition) for condition in rest] + ([extra] if extra else [])
    by_id = not order or order[0][0].name == "ID"
    if by_id and order and order[0][1]:
        ids = ids[::-1]
    if by_id and not tests:
        return _cut((table.rows[one] for one in islice(ids, max(start, 0), max(start, 0) + PAGE_SIZE)), len(ids), start)
    matches = (record for record in map(table.rows.__getitem__, ids) if all(test(record) for test in tests))
    if by_id and start < 0:
        return _cut(islice(matches, PAGE_SIZE), 0, start)
    found = list(matches) if by_id else ordered(list(matches), order)
    return _cut(found[max(start, 0) : max(start, 0) + PAGE_SIZE], len(found), start)


def page_of(
    records: Sequence[Record], given: Sequence[Condition], *, order: Sequence[tuple[Field, bool]], start: int
) -> Page:
    """Answer a list call over records that live in no table."""
    tests = [test_of(condition) for condition in given]
    found = ordered([record for record in records if all(test(record) for test in tests)], order)
    return _cut(found[max(start, 0) : max(start, 0) + PAGE_SIZE], len(found), start)


def _cut(records: Iterable[Record], total: int, start: int) -> Page:
    if start < 0:
        return Page(records=list(records), total=0)
    end = start + PAGE_SIZE
    return Page(records=list(records), total=total, next=end if end < total else None)


def ordered(records: list[Record], order: Sequence[tuple[Field, bool]]) -> list[Record]:
    """Sort by several fields, nothing first."""
    for field, descending in reversed(order):
        records.sort(key=lambda record, field=field: _rank(field, record), reverse=descending)  # type: ignore[misc]
    return records


def _rank(field: Field, record: Record) -> tuple[bool, Any]:
    value = None if field.multiple else comparable(field, record.get(field.name))
    return (value is not None, value if value is not None else 0)


def read_order(given: Any, field_of: FieldOf) -> list[tuple[Field, bool]]:
    """Read `order`; what nobody knows is ignored."""
    found = []
    for name, direction in (as_map(given) or {}).items():
        field = field_of(name)
        if field is not None:
            found.append((field, str(direction).upper() == "DESC"))
    return found


def read_start(value: Any) -> int:
    """Read `start`: -1 stays, anything else is a whole page's beginning or more."""
    start = as_int(value)
    return -1 if start < 0 else start
