"""The portal as its people see it: lists, cards and forms in plain HTML. The forms work for programs as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from sandbox.portal import crm, manager, merging, rows, stages, views
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, SMART_INVOICE, Entity
from sandbox.portal.errors import RestError
from sandbox.portal.methods import invoice
from sandbox.portal.params import as_int
from sandbox.portal.seed import UF_1C_ID
from sandbox.portal.store import Record
from sandbox.portal.world import World

if TYPE_CHECKING:
    from sandbox.portal import Portal

KINDS: dict[str, Entity] = {
    "contacts": CONTACT,
    "companies": COMPANY,
    "leads": LEAD,
    "deals": DEAL,
    "smart_invoices": SMART_INVOICE,
}
TITLES = {
    "contacts": "Contacts",
    "companies": "Companies",
    "leads": "Leads",
    "deals": "Deals",
    "smart_invoices": "Smart invoices",
}
_LONGEST_LIST = 100
_KEY_FIELDS = {  # columns of a list: head -> stored field
    "contacts": {"Phone": "PHONE", "E-mail": "EMAIL", "Company": "COMPANY_ID"},
    "companies": {"Phone": "PHONE", "E-mail": "EMAIL"},
    "leads": {"Stage": "STATUS_ID", "Amount": "OPPORTUNITY", "Phone": "PHONE", "E-mail": "EMAIL"},
    "deals": {"Stage": "STAGE_ID", "Amount": "OPPORTUNITY", "Company": "COMPANY_ID", "Contact": "CONTACT_ID"},
    "smart_invoices": {"Stage": "STAGE_ID", "Amount": "OPPORTUNITY", "Deal": "PARENT_ID_2", "Company": "COMPANY_ID"},
}


def blueprint(portal: Portal) -> Blueprint:
    """Make the routes over one portal."""
    pages = Blueprint("pages", __name__)

    @pages.errorhandler(RestError)
    def show_refusal(refused: RestError) -> ResponseReturnValue:
        if _wants_json():
            return jsonify(refused.body()), 400
        return render_template("portal_refusal.html", refused=refused), 400

    @pages.get("/")
    def show_lists() -> ResponseReturnValue:
        with portal.world.lock:
            lists = {kind: _list(portal.world, kind) for kind in KINDS}
            old = [invoice.view(portal.world, one) for one in reversed(list(portal.store.invoices))][:_LONGEST_LIST]
            return render_template(
                "portal_lists.html",
                lists=lists,
                old_invoices=old,
                titles=TITLES,
                columns=_KEY_FIELDS,
                **_choices(portal.world),
            )

    @pages.get("/ui/<kind>/<int:record_id>")
    def show_card(kind: str, record_id: int) -> ResponseReturnValue:
        with portal.world.lock:
            record = _find(portal.world, kind, record_id)
            return render_template("portal_card.html", **_card(portal.world, kind, record), **_choices(portal.world))

    @pages.post("/ui/<kind>")
    def add(kind: str) -> ResponseReturnValue:
        with portal.world.lock:
            record = manager.add(portal.world, _entity(kind), request.form.to_dict(flat=False))
        return _done(kind, record["ID"], status=201)

    @pages.post("/ui/<kind>/merge")
    def merge(kind: str) -> ResponseReturnValue:
        """Merge `loser` into `winner`; `told_first` is which of the two events leaves first, update or delete."""
        with portal.world.lock:
            winner, loser = (_find(portal.world, kind, as_int(request.form.get(name))) for name in ("winner", "loser"))
            told_first: merging.Told = "delete" if request.form.get("told_first") == "delete" else "update"
            merging.merge(
                portal.world,
                _entity(kind),
                winner=winner,
                loser=loser,
                author=manager.MANAGER_ID,
                told_first=told_first,
            )
        return _done(kind, winner["ID"], status=200)

    @pages.post("/ui/<kind>/<int:record_id>")
    def edit(kind: str, record_id: int) -> ResponseReturnValue:
        with portal.world.lock:
            record = _find(portal.world, kind, record_id)
            manager.edit(portal.world, _entity(kind), record, request.form.to_dict(flat=False))
        return _done(kind, record_id, status=200)

    @pages.post("/ui/<kind>/<int:record_id>/delete")
    def delete(kind: str, record_id: int) -> ResponseReturnValue:
        with portal.world.lock:
            if not manager.remove(portal.world, _entity(kind), record_id):
                abort(404)
        return jsonify({"id": record_id}) if _wants_json() else redirect("/", code=303)

    return pages


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted.accept_json and not accepted.accept_html


def _done(kind: str, record_id: int, *, status: int) -> ResponseReturnValue:
    if _wants_json():
        return jsonify({"id": record_id}), status
    return redirect(f"/ui/{kind}/{record_id}", code=303)


def _entity(kind: str) -> Entity:
    return KINDS.get(kind) or abort(404)


def _find(world: World, kind: str, record_id: int) -> Record:
    return world.store.table(_entity(kind).type_id).get(record_id) or abort(404)


def name_of(record: Record) -> str:
    """Say what people call a record."""
    person = " ".join(filter(None, (record.get("LAST_NAME"), record.get("NAME"), record.get("SECOND_NAME"))))
    return str(record.get("TITLE") or person or f"№ {record['ID']}")


def _list(world: World, kind: str) -> list[dict[str, Any]]:
    """Gather the newest records of a kind with their key fields."""
    table = world.store.table(KINDS[kind].type_id)
    newest = [table.rows[record_id] for record_id in table.ids[: -_LONGEST_LIST - 1 : -1]]
    return [
        {
            "id": record["ID"],
            "name": name_of(record),
            "onec": record.get(UF_1C_ID) or "",
            "cells": [_cell(world, KINDS[kind], record, stored) for stored in _KEY_FIELDS[kind].values()],
        }
        for record in newest
    ]


def _cell(world: World, entity: Entity, record: Record, stored: str) -> str:
    value = record.get(stored)
    if isinstance(value, list):
        return ", ".join(entry["VALUE"] for entry in value)
    if stored == entity.stage_field:
        return stage_name(world, entity, record)
    if stored == "OPPORTUNITY":
        return f"{value:,.2f} {record.get('CURRENCY_ID') or ''}".replace(",", "\N{NO-BREAK SPACE}")
    linked = {"COMPANY_ID": COMPANY, "CONTACT_ID": CONTACT, "PARENT_ID_2": DEAL}.get(stored)
    other = crm.find(world, linked.type_id, value) if linked and value else None
    return name_of(other) if other else str(value or "")


def stage_name(world: World, entity: Entity, record: Record) -> str:
    stage_id = record[str(entity.stage_field)]
    status = stages.find(world.store, entity.directory(record.get("CATEGORY_ID") or 0), stage_id)
    return f"{status['NAME']} ({stage_id})" if status else str(stage_id)


def _card(world: World, kind: str, record: Record) -> dict[str, Any]:
    """Gather what a card shows."""
    entity = KINDS[kind]
    owners = {entity.name.lower(), f"dynamic_{entity.type_id}"}
    mine = [one for one in world.store.comments if one["ENTITY_ID"] == record["ID"] and one["ENTITY_TYPE"] in owners]
    requisite = manager.requisite_of(world, entity, record["ID"]) if entity in (CONTACT, COMPANY) else None
    return {
        "kind": kind,
        "title": name_of(record),
        "record": record,
        "shown": _shown(world, entity, record),
        "values": _form_values(world, entity, record, requisite),
        "requisite": {key: value for key, value in (requisite or {}).items() if value and key.startswith("RQ_")},
        "legal_address": manager.legal_address(world, requisite["ID"]) if requisite else "",
        "rows": rows.of_owner(world.store, entity.letter, record["ID"]) if entity.has_rows else [],
        "comments": mine,
        "stage": stage_name(world, entity, record) if entity.stage_field else "",
    }


def _shown(world: World, entity: Entity, record: Record) -> list[tuple[str, Any]]:
    """List the fields that are filled, by their REST names."""
    if entity.classic:
        told = views.classic_view(world, entity, record)
    else:
        told = views.item_view(world, entity, record, original_names=True)
    plain = [(name, value) for name, value in told.items() if value not in (None, "", [], "N", "0", "0.00")]
    return [(name, _flat(value)) for name, value in plain]


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one.get("VALUE", one)) if isinstance(one, dict) else str(one) for one in value)
    return str(value)


def _form_values(world: World, entity: Entity, record: Record, requisite: Record | None) -> dict[str, Any]:
    values = {name: record.get(stored) for name, stored in manager.FORMS[entity.type_id].items()}
    for name, type_id in manager.COMMUNICATIONS.items():
        if entity.has_multifields:
            values[name] = next((entry["VALUE"] for entry in record.get(type_id) or ()), "")
    if entity is COMPANY:
        values |= {name: (requisite or {}).get(stored) for name, stored in manager.REQUISITE_FORM.items()}
        values["address"] = manager.legal_address(world, requisite["ID"]) if requisite else ""
    return {name: "" if value is None else value for name, value in values.items()}


def _choices(world: World) -> dict[str, Any]:
    """List what the forms let a person choose from."""
    store = world.store
    pipelines = [(one["id"], one["name"]) for one in reversed(store.categories[DEAL.type_id])]
    deal_stages = [
        (one["STATUS_ID"], one["NAME"])
        for number, _name in pipelines
        for one in stages.of_directory(store, DEAL.directory(number))
    ]
    invoice_directory = SMART_INVOICE.directory(stages.default_category(store, SMART_INVOICE))
    return {
        "pipelines": pipelines,
        "deal_stages": deal_stages,
        "lead_statuses": [(one["STATUS_ID"], one["NAME"]) for one in stages.of_directory(store, "STATUS")],
        "invoice_stages": [(one["STATUS_ID"], one["NAME"]) for one in stages.of_directory(store, invoice_directory)],
        "companies": _names(world, COMPANY),
        "contacts": _names(world, CONTACT),
    }


def _names(world: World, entity: Entity) -> list[tuple[int, str]]:
    table = world.store.table(entity.type_id)
    return [(record_id, name_of(table.rows[record_id])) for record_id in table.ids[: -_LONGEST_LIST - 1 : -1]]
