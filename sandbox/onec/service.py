"""The exchange service itself: the contract's paths, its queries and bodies. The platform around it is elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.onec.checks import Check, pattern, text
from sandbox.onec.events import Announcer
from sandbox.onec.formats import Invalid, parse_email, parse_instant, parse_uuid
from sandbox.onec.platform_errors import Answer, show_exception, show_json, show_problem
from sandbox.onec.settings import ORDER_STATUSES, BaseSettings
from sandbox.onec.store import Search, Store
from sandbox.onec.upserts import Upserts

_REF = text(parse_uuid)
_LINK = pattern("b24:(contact|company|lead|deal):[1-9][0-9]*")
_KEYS: Mapping[str, Mapping[str, Check]] = {
    "counterparties": {
        "ref": _REF,
        "external_id": _LINK,
        "inn": pattern("([0-9]{10}|[0-9]{12})"),
        "kpp": pattern("[0-9]{4}[0-9A-Z]{2}[0-9]{3}"),
        "email": text(parse_email),
    },
    "leads": {"ref": _REF, "external_id": _LINK},
    "orders": {"ref": _REF, "external_id": _LINK},
    "invoices": {"ref": _REF, "order_ref": _REF},
}
_DEFAULT_LIMIT = 100
_LARGEST_LIMIT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as the platform hands it to the service. `path` begins after /v1."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


class Service:
    """Answers calls. Every refusal of a whole request is a Problem."""

    def __init__(self, settings: BaseSettings, store: Store, upserts: Upserts, announcer: Announcer) -> None:
        self._settings = settings
        self._store = store
        self._upserts = upserts
        self._announcer = announcer
        self._routes: dict[str, dict[str, Callable[[Call], Answer]]] = {
            "/about": {"GET": self._about},
            "/counterparties": {"GET": self._list, "POST": self._upsert},
            "/leads": {"GET": self._list, "POST": self._upsert},
            "/orders": {"GET": self._list, "POST": self._upsert},
            "/invoices": {"GET": self._list},
            "/changes": {"GET": self._changes},
            "/changes/confirm": {"POST": self._confirm},
        }

    def answer(self, call: Call) -> Answer:
        """Do the call. 404 in the platform's shape for no template, 405 for a wrong verb."""
        route = self._routes.get(call.path)
        if route is None:
            return show_exception(404, "Не найден шаблон URL", method=call.method, path=call.path)
        if call.method not in route:
            return Answer(status=405, headers={"Allow": ", ".join(route)}, content_type="text/plain; charset=utf-8")
        offer = call.path.split("/")[1]
        if offer != "about" and offer not in self._settings.capabilities:
            return show_problem(404, "not_found", f"this base does not offer {offer}")
        try:
            return route[call.method](call)
        except Invalid as fault:
            return show_problem(400, "malformed", f"{fault.field}: {fault.message}")

    def _about(self, _call: Call) -> Answer:
        settings = self._settings
        statuses = ORDER_STATUSES if "statuses" in settings.capabilities else ()
        return show_json(
            200,
            {
                "configuration": settings.configuration,
                "configuration_version": "11.5.20.98",
                "crm_version": "3.0.32.6",
                "platform_version": "8.3.25.1394",
                "contract_version": "1.0",
                "capabilities": list(settings.capabilities),
                "order_statuses": [{"code": code, "name": name} for code, name in statuses],
                "limits": {"max_batch": settings.max_batch, "max_sessions": settings.max_sessions},
                "now": self._store.format_time(self._store.now()),
            },
        )

    def _list(self, call: Call) -> Answer:
        type = call.path.removeprefix("/")
        with self._store.lock:
            found, place = self._store.find(self._read_search(type, call.query))
            items = [self._store.show(stored) for stored in found]
        cursor = None if place is None else self._store.cursors.seal(type, place)
        return show_json(200, {"items": items, "next": cursor}, items=len(items))

    def _upsert(self, call: Call) -> Answer:
        items = _read_object(call.body).get("items")
        if not isinstance(items, list) or not items:
            raise Invalid("must be a list with something in it", field="items")
        if len(items) > self._settings.max_batch:
            return show_problem(413, "too_many", f"at most {self._settings.max_batch} items at once")
        type = call.path.removeprefix("/")
        results = [self._upserts.upsert(type, item, index=index) for index, item in enumerate(items)]
        return show_json(200, {"results": results}, items=len(items))

    def _changes(self, call: Call) -> Answer:
        page = self._announcer.page(_read_limit(call.query))
        return show_json(200, page, items=len(page["events"]))

    def _confirm(self, call: Call) -> Answer:
        cursor = _read_object(call.body).get("cursor")
        if not isinstance(cursor, str) or not self._announcer.confirm(cursor):
            raise Invalid("not a cursor of this base", field="cursor")
        return Answer(status=204)

    def _read_search(self, type: str, query: Mapping[str, str]) -> Search:
        return Search(
            type=type,
            keys={name: _read(name, check, query[name]) for name, check in _KEYS[type].items() if name in query},
            changed_since=_read("changed_since", parse_instant, query["changed_since"])
            if "changed_since" in query
            else None,
            with_deleted=_read("deleted", _parse_boolean, query.get("deleted", "false")),
            after=self._read_after(type, query),
            limit=_read_limit(query),
        )

    def _read_after(self, type: str, query: Mapping[str, str]) -> int:
        if "after" not in query:
            return 0
        place = self._store.cursors.open(type, query["after"])
        if place is None:
            raise Invalid("not a cursor of this base", field="after")
        return place


def _read(name: str, check: Check, value: str) -> Any:
    try:
        return check(value)
    except Invalid as fault:
        raise fault.inside(name) from None


def _read_limit(query: Mapping[str, str]) -> int:
    limit: int = _read("limit", _parse_limit, query.get("limit", str(_DEFAULT_LIMIT)))
    return limit


def _parse_limit(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9 or not 1 <= int(value) <= _LARGEST_LIMIT:
        raise Invalid(f"not a number from 1 to {_LARGEST_LIMIT}")
    return int(value)


def _parse_boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise Invalid("not true or false")
    return value == "true"


def _read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, with or without a byte order mark."""
    try:
        content = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Invalid("not JSON", field="body") from error
    if not isinstance(content, dict):
        raise Invalid("not an object", field="body")
    return content
