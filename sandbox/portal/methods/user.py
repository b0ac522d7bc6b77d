"""user.get, user.current, user.search: the portal's employees.

Source: api-reference/user/*.md, read 2026-08.
"""

from __future__ import annotations

from typing import Any

from sandbox.portal import filters
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.fields import of, text
from sandbox.portal.params import as_map, is_true
from sandbox.portal.store import Record

_FIELDS = {
    one.name: one
    for one in (
        of("integer", "ID"),
        of("integer", "UF_DEPARTMENT", multiple=True),
        *(text(name) for name in ("NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_POSITION")),
        of("boolean", "ACTIVE"),
    )
}


def register(methods: Methods) -> None:
    methods.add("user.get", get, scope="user")
    methods.add("user.search", get, scope="user")
    methods.add("user.current", current, scope="user")


def get(call: Call) -> Listed:
    """List employees. Filters stand in FILTER or beside it; a text with % looks for a part."""
    given = {key: value for key, value in call.params.items() if filters.split_key(key)[1] in _FIELDS}
    given |= as_map(call.get("filter")) or {}
    page = filters.page(
        call.world.store.users,
        [_with_signs(one) for one in filters.conditions(given, _FIELDS.get)],
        order=_order(call),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, view)


def current(call: Call) -> Record:
    return view(call.world.store.users.rows[call.user_id])


def view(user: Record) -> Record:
    """Print an employee: the id is a string, ACTIVE a boolean, and two dates come as empty objects."""
    return {
        "ID": str(user["ID"]),
        "ACTIVE": user["ACTIVE"],
        "NAME": user["NAME"],
        "LAST_NAME": user["LAST_NAME"],
        "SECOND_NAME": user["SECOND_NAME"],
        "EMAIL": user["EMAIL"],
        "LAST_LOGIN": "2026-08-21T09:00:00+03:00",
        "DATE_REGISTER": "2026-01-12T03:00:00+03:00",
        "TIME_ZONE": "",
        "IS_ONLINE": "Y",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": "",
        "PERSONAL_WWW": "",
        "PERSONAL_BIRTHDAY": "",
        "PERSONAL_MOBILE": "",
        "PERSONAL_CITY": "",
        "WORK_PHONE": "",
        "WORK_POSITION": user["WORK_POSITION"],
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": user["UF_DEPARTMENT"],
        "USER_TYPE": "employee",
    }


def _with_signs(condition: filters.Condition) -> filters.Condition:
    if condition.field.kind == "boolean":
        return filters.Condition(field=condition.field, operator=condition.operator, value=is_true(condition.value))
    if condition.operator in {"", "="} and isinstance(condition.value, str) and "%" in condition.value:
        return filters.Condition(field=condition.field, operator="=%", value=condition.value)
    return condition


def _order(call: Call) -> list[tuple[Any, bool]]:
    """Read SORT (a field) and ORDER (asc, desc), as this family has them."""
    order = call.get("order")
    if as_map(order) is not None:
        return filters.read_order(order, _FIELDS.get)
    field = _FIELDS.get(str(call.get("sort") or "ID").upper())
    return [(field or _FIELDS["ID"], str(order or "ASC").upper() == "DESC")]
