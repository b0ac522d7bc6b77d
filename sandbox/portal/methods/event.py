"""event.*: what a local application listens to, and its offline queue. Online handlers of applications are not here.

Source: EV/*.md, read 2026-11. What the portal answers to `clear` 0 where the plan has no reservation is not
documented; here it is an ACCESS_DENIED.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sandbox.portal.calls import Call, Listed, Methods
from sandbox.portal.errors import RestError, application_only
from sandbox.portal.offline import CODES, PAGE
from sandbox.portal.params import as_int, as_list
from sandbox.portal.store import Record


def register(methods: Methods) -> None:
    families: dict[str, Callable[[Call], Any]] = {
        "events": lambda _call: sorted(CODES),
        "event.bind": bind,
        "event.unbind": unbind,
        "event.get": get,
        "event.offline.get": offline_get,
        "event.offline.list": offline_list,
        "event.offline.clear": offline_clear,
        "event.offline.error": offline_error,
    }
    for name, run in families.items():
        methods.add(name, partial(_of_application, run), scope="")


def _of_application(run: Callable[[Call], Any], call: Call) -> Any:
    if not call.is_application:
        raise application_only()
    return run(call)


def bind(call: Call) -> bool:
    code = _code(call)
    if not _is_offline(call):
        raise RestError("ERROR_CORE", "Unable to set event handler: the sandbox binds offline events only")
    _need_admin(call, "Offline events binding requires administrator access rights")
    call.world.events.offline.bind(code)
    return True


def unbind(call: Call) -> Record:
    code = _code(call)
    if not _is_offline(call):
        return {"count": 0}
    _need_admin(call, "Offline events unbinding requires administrator access rights")
    return {"count": call.world.events.offline.unbind(code)}


def get(call: Call) -> list[Record]:
    bound = call.world.events.offline.bound
    return [{"event": code, "handler": "", "auth_type": "0", "offline": 1} for code in bound]


def offline_get(call: Call) -> Record:
    _need_admin(call)
    clear = _is_set(call, "clear", otherwise=True)
    if not clear and not call.world.settings.reserves_offline_rows:
        raise RestError("ACCESS_DENIED", "Access denied! Extended offline events are not available", status=403)
    limit = as_int(call.get("limit", PAGE))
    if limit <= 0:
        raise RestError("ERROR_ARGUMENT", "Value must be positive integer")
    given_id = call.get("process_id")
    process_id, rows = call.world.events.offline.take(
        call.get("filter"),
        call.get("order"),
        limit=limit,
        process_id=str(given_id) if given_id else None,
        with_errors=_is_set(call, "error", otherwise=False),
        clear=clear,
    )
    return {"process_id": None if clear else process_id, "events": rows}


def offline_list(call: Call) -> Listed:
    _need_admin(call)
    start = max(as_int(call.get("start", 0)), 0)
    rows, total = call.world.events.offline.page(call.get("filter"), call.get("order"), start=start)
    return Listed(result=rows, total=total, next=start + PAGE if start + PAGE < total else None)


def offline_clear(call: Call) -> bool:
    _need_admin(call)
    ids, message_ids = _texts(call, "id"), _texts(call, "message_id")
    call.world.events.offline.clear(_process_id(call), ids=ids, message_ids=message_ids)
    return True


def offline_error(call: Call) -> bool:
    _need_admin(call)
    call.world.events.offline.fail(_process_id(call), _texts(call, "message_id"))
    return True


def _code(call: Call) -> str:
    code = str(call.get("event") or "").upper()
    if code not in CODES:
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found")
    return code


def _is_offline(call: Call) -> bool:
    return str(call.get("event_type") or "online").lower() == "offline"


def _is_set(call: Call, name: str, *, otherwise: bool) -> bool:
    value = call.get(name)
    return otherwise if value in (None, "") else as_int(value) == 1


def _texts(call: Call, name: str) -> list[str] | None:
    value = call.get(name)
    return None if value in (None, "") else [str(one) for one in as_list(value)]


def _process_id(call: Call) -> str:
    process_id = str(call.get("process_id") or "")
    if not process_id:
        raise RestError("ERROR_ARGUMENT", "Argument 'PROCESS_ID' is null or empty")
    return process_id


def _need_admin(call: Call, why: str = "") -> None:
    if not call.is_admin:
        raise RestError("ACCESS_DENIED", f"Access denied! {why}".strip(), status=403)
