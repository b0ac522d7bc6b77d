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
# what an application may call, and no application of the sandbox has
_NOT_HERE = (
    *("event.test", "placement.bind", "bizproc.robot.add", "bizproc.robot.list", "crm.automation.trigger.execute"),
)
_APPLICATION_ONLY = (
    *("event.bind", "event.unbind", "event.get", "events", *_NOT_HERE),
    *("event.offline.get", "event.offline.list", "event.offline.clear", "event.offline.error"),
)


def register(methods: Methods) -> None:
    methods.add("profile", profile, scope="")
    methods.add("scope", lambda _call: list(SCOPES), scope="")
    methods.add("method.get", lambda call: get_method(methods, call), scope="")
    methods.add("methods", lambda call: list_methods(methods, call), scope="")
    methods.add("server.time", lambda call: iso(call.world.clock.real()), scope="")
    methods.add("feature.get", get_feature, scope="")
    methods.add("app.info", application_info, scope="")
    for name in _NOT_HERE:
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
    return {"isExisting": is_known, "isAvailable": is_known and (call.is_application or name not in _APPLICATION_ONLY)}


def list_methods(methods: Methods, call: Call) -> list[str]:
    scope = call.get("scope")
    return [name for name, entry in methods.entries.items() if scope in (None, "", entry.scope)]


def get_feature(call: Call) -> Record:
    code = str(call.get("CODE") or "")
    if not code:
        raise RestError("CODE_EMPTY", "CODE can't be empty")
    has_it = code == "rest_offline_extended" and call.world.settings.reserves_offline_rows
    return {"value": "Y" if has_it else "N"}


def application_info(call: Call) -> Record:
    if not call.is_application:
        raise RestError("ACCESS_DENIED", "Access denied! Application context required")
    application = call.world.settings.application
    licence = {"LICENSE": "ru_basic", "LICENSE_TYPE": "basic", "LICENSE_FAMILY": "basic", "LANGUAGE_ID": "ru"}
    state = {"STATUS": "L", "INSTALLED": True, "PAYMENT_EXPIRED": "N", "DAYS": None}
    return {"ID": 1, "CODE": application.client_id, "VERSION": 1, **state, **licence}


def refuse_webhook(_call: Call) -> Any:
    raise application_only()
