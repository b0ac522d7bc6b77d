"""What every portal answers about itself, and what only applications may call.

Source: api-reference/common/**/*.md, EV/*.md, read 2026-08.
"""

from __future__ import annotations

from typing import Any

from sandbox.portal.calls import Call, Methods
from sandbox.portal.clock import iso
from sandbox.portal.errors import RestError, application_only
from sandbox.portal.store import Record

SCOPES = ("crm", "user", "userfieldconfig")
_APPLICATION_ONLY = (
    *("event.bind", "event.unbind", "event.get", "event.test", "events", "placement.bind"),
    *("event.offline.get", "event.offline.list", "event.offline.clear", "event.offline.error"),
    *("bizproc.robot.add", "bizproc.robot.list", "crm.automation.trigger.execute"),
)
_FEATURES = {"rest_offline_extended": "N", "rest_auth_connector": "N"}


def register(methods: Methods) -> None:
    methods.add("profile", profile, scope="")
    methods.add("scope", lambda _call: list(SCOPES), scope="")
    methods.add("method.get", lambda call: get_method(methods, call), scope="")
    methods.add("methods", lambda call: list_methods(methods, call), scope="")
    methods.add("server.time", lambda call: iso(call.world.clock.real()), scope="")
    methods.add("feature.get", get_feature, scope="")
    methods.add("app.info", refuse_application_info, scope="")
    for name in _APPLICATION_ONLY:
        methods.add(name, refuse_webhook, scope="")


def profile(call: Call) -> Record:
    user = call.world.store.users.rows[call.user_id]
    return {
        "ID": str(user["ID"]),
        "ADMIN": user["ADMIN"],
        "NAME": user["NAME"],
        "LAST_NAME": user["LAST_NAME"],
        "PERSONAL_GENDER": "",
        "TIME_ZONE": "",
    }


def get_method(methods: Methods, call: Call) -> Record:
    name = str(call.get("name") or "")
    is_known = name == "batch" or methods.find(name) is not None
    return {"isExisting": is_known, "isAvailable": is_known and name not in _APPLICATION_ONLY}


def list_methods(methods: Methods, call: Call) -> list[str]:
    scope = call.get("scope")
    return [name for name, entry in methods.entries.items() if scope in (None, "", entry.scope)]


def get_feature(call: Call) -> Record:
    code = str(call.get("CODE") or "")
    if not code:
        raise RestError("CODE_EMPTY", "CODE can't be empty")
    return {"value": _FEATURES.get(code, "N")}


def refuse_application_info(_call: Call) -> Any:
    raise RestError("ACCESS_DENIED", "Access denied! Application context required")


def refuse_webhook(_call: Call) -> Any:
    raise application_only()
