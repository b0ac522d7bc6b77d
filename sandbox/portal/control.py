"""/_sandbox/...: what a test or a demonstration may see and turn. No real portal has this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from sandbox.portal import rows, views
from sandbox.portal.entities import ENTITIES
from sandbox.portal.events import HANDLER_TIMEOUT_SECONDS, flatten
from sandbox.portal.methods import address, invoice, timeline, user
from sandbox.portal.methods.requisite import REQUISITE
from sandbox.portal.store import Record
from sandbox.portal.world import World

if TYPE_CHECKING:
    from sandbox.portal import Portal

_PLURALS = {1: "leads", 2: "deals", 3: "contacts", 4: "companies", 31: "smart_invoices"}
_DOCUMENTS = {"DEAL": "CCrmDocumentDeal", "LEAD": "CCrmDocumentLead", "CONTACT": "CCrmDocumentContact"}


def blueprint(portal: Portal) -> Blueprint:
    """Make the routes over one portal."""
    pages = Blueprint("control", __name__, url_prefix="/_sandbox")

    @pages.get("/faults")
    def show_faults() -> ResponseReturnValue:
        return jsonify({"faults": portal.faults.describe()})

    @pages.post("/faults")
    def change_faults() -> ResponseReturnValue:
        try:
            portal.faults.replace(str(_body().get("spec") or ""))
        except ValueError as wrong:
            return jsonify({"error": str(wrong)}), 400
        return jsonify({"faults": portal.faults.describe()})

    @pages.get("/state")
    def show_state() -> ResponseReturnValue:
        with portal.world.lock:
            return jsonify(state(portal.world))

    @pages.get("/journal")
    def show_journal() -> ResponseReturnValue:
        """All calls, or with ?last=N the newest ones, and the counters."""
        told = portal.journal_log.as_json(last=request.args.get("last", type=int))
        return jsonify(told | {"counters": counters(portal)})

    @pages.get("/counters")
    def show_counters() -> ResponseReturnValue:
        return jsonify(counters(portal))

    @pages.post("/counters/reset")
    def reset_counters() -> ResponseReturnValue:
        """Begin journal and counters anew: records, limits and events stay."""
        portal.journal_log.clear()
        return jsonify(counters(portal))

    @pages.post("/handlers")
    def change_handlers() -> ResponseReturnValue:
        portal.events.handler_urls = tuple(str(url) for url in _body().get("urls") or ())
        return jsonify({"urls": list(portal.events.handler_urls)})

    @pages.get("/handlers")
    def show_handlers() -> ResponseReturnValue:
        return jsonify({"urls": list(portal.events.handler_urls)})

    @pages.get("/events")
    def show_events() -> ResponseReturnValue:
        return jsonify({"events": [fired.as_json() for fired in list(portal.events.log)]})

    @pages.post("/reset")
    def reset() -> ResponseReturnValue:
        portal.reset()
        return jsonify({"reset": True})

    @pages.post("/robot")
    def run_robot() -> ResponseReturnValue:
        told = _body()
        entity, record_id = str(told.get("entity") or "DEAL").upper(), told.get("id")
        if entity not in _DOCUMENTS or not told.get("url") or not record_id:
            return jsonify({"error": "send url, entity (DEAL, LEAD, CONTACT) and id"}), 400
        return jsonify(post_robot(portal, str(told["url"]), entity, int(record_id)))

    return pages


def counters(portal: Portal) -> dict[str, Any]:
    """Give the journal's counters and how full the bucket is."""
    return portal.journal_log.totals() | {"bucket_level": portal.rest.bucket.level}


def _body() -> dict[str, Any]:
    return request.get_json(force=True, silent=True) or {}


def post_robot(portal: Portal, url: str, entity: str, record_id: int) -> dict[str, Any]:
    """Post what the "outgoing webhook" robot posts; say how it was received."""
    document = {"0": "crm", "1": _DOCUMENTS[entity], "2": f"{entity}_{record_id}"}
    form = [*flatten("document_id", document), *flatten("auth", portal.events.auth())]
    try:
        answer = requests.post(url, data=dict(form), timeout=HANDLER_TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return {"status": None, "error": type(error).__name__}
    return {"status": answer.status_code}


def state(world: World) -> dict[str, Any]:
    """Show all records by type: as the classic methods print them, smart invoices as crm.item.* does."""
    store = world.store
    told: dict[str, Any] = {}
    for entity in ENTITIES:
        table = store.table(entity.type_id)
        if entity.classic:
            told[_PLURALS[entity.type_id]] = [
                views.classic_view(world, entity, record) | _links(record) for record in table
            ]
        else:
            told[_PLURALS[entity.type_id]] = [
                views.item_view(world, entity, record, original_names=True) for record in table
            ]
    told["invoices"] = [invoice.view(world, record) for record in store.invoices]
    told["requisites"] = [_filled(record) for record in store.requisites]
    told["addresses"] = [address.view(record) for record in store.addresses.values()]
    told["comments"] = [timeline.view(record) for record in store.comments]
    told["rows"] = _rows(world)
    told["users"] = [user.view(record) for record in store.users]
    told["user_fields"] = [
        {key: record[key] for key in ("ID", "ENTITY_ID", "FIELD_NAME")} for record in store.user_fields
    ]
    return told


def _links(record: Record) -> Record:
    return {name: record[name] for name in ("CONTACT_IDS", "COMPANY_IDS") if name in record}


def _filled(record: Record) -> Record:
    """Show a requisite by what it has: most of its 70 fields are empty."""
    known = {one.name: one for one in REQUISITE.fields}
    return {
        name: (value.isoformat() if hasattr(value, "isoformat") else value)
        for name, value in record.items()
        if value is not None and (name in known or name.startswith("UF_"))
    }


def _rows(world: World) -> dict[str, list[Record]]:
    told: dict[str, list[Record]] = {}
    for row in world.store.rows:
        told.setdefault(f"{row['OWNER_TYPE']}:{row['OWNER_ID']}", []).append(rows.item_view(row))
    return told
