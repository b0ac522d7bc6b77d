"""The bookkeeper's screens as plain HTML: lists, cards and forms. Every form works for a program as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sandbox.onec.formats import Invalid
from sandbox.onec.records import TYPES, Stored
from sandbox.onec.settings import ORDER_STATUSES

if TYPE_CHECKING:
    from sandbox.onec.base import Base

_TITLES = {
    "counterparties": "Counterparties (Контрагенты)",
    "leads": "Leads (Интересы)",
    "orders": "Customer orders (Заказы клиентов)",
    "invoices": "Invoices (Счета на оплату)",
}
_INVOICE_STATUSES = ("issued", "partly_paid", "paid", "cancelled")


def make_pages(base: Base) -> Blueprint:
    """The screens of this base."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    clerk = base.bookkeeper

    @pages.errorhandler(Invalid)
    def show_fault(fault: Invalid) -> tuple[AnyResponse, int]:
        return _refuse(f"{fault.field}: {fault.message}"), 400

    @pages.errorhandler(LookupError)
    def show_absence(absence: LookupError) -> tuple[AnyResponse, int]:
        return _refuse(str(absence)), 404

    @pages.get("/")
    def show_lists() -> str:
        lists = {type: list(reversed(base.store.all(type))) for type in TYPES}
        return render_template("onec_lists.html", lists=lists, titles=_TITLES, settings=base.settings)

    @pages.get("/ui/<any(counterparties, leads, orders, invoices):type>/<ref>")
    def show_card(type: str, ref: str) -> str:
        with base.store.lock:
            stored = base.store.get(type, ref)
            if stored is None:
                raise LookupError(f"no such object: {type}/{ref}")
            record = base.store.show(stored)
        return render_template(
            "onec_card.html",
            stored=stored,
            record=record,
            titles=_TITLES,
            settings=base.settings,
            order_statuses=ORDER_STATUSES if "statuses" in base.settings.capabilities else (),
            invoice_statuses=_INVOICE_STATUSES,
        )

    def add_route(rule: str, endpoint: str, act: Callable[..., Stored], *, status: int) -> None:
        def answer(**segments: Any) -> AnyResponse:
            return _show_done(act(**segments), status=status)

        pages.add_url_rule(rule, endpoint, answer, methods=["POST"])

    add_route("/ui/counterparties", "add_counterparty", lambda: clerk.add_counterparty(request.form), status=201)
    add_route("/ui/orders", "add_order", lambda: clerk.add_order(request.form), status=201)
    add_route("/ui/invoices", "add_invoice", lambda: clerk.add_invoice(request.form), status=201)
    add_route(
        "/ui/counterparties/<ref>",
        "edit_counterparty",
        lambda ref: clerk.edit_counterparty(ref, request.form),
        status=200,
    )
    add_route("/ui/orders/<ref>", "edit_order", lambda ref: clerk.edit_order(ref, request.form), status=200)
    add_route("/ui/invoices/<ref>", "edit_invoice", lambda ref: clerk.edit_invoice(ref, request.form), status=200)
    add_route("/ui/<type>/<ref>/delete", "delete", lambda type, ref: clerk.mark(type, ref, deleted=True), status=200)
    add_route(
        "/ui/<type>/<ref>/undelete", "restore", lambda type, ref: clerk.mark(type, ref, deleted=False), status=200
    )
    return pages


def _wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"


def _show_done(stored: Stored, *, status: int) -> AnyResponse:
    if not _wants_json():
        return redirect(url_for("pages.show_card", type=stored.type, ref=stored.ref), code=303)
    response = jsonify(ref=stored.ref, number=stored.number)
    response.status_code = status
    return response


def _refuse(message: str) -> AnyResponse:
    return jsonify(error=message) if _wants_json() else Response(message, content_type="text/plain; charset=utf-8")
