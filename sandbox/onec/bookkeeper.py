"""What a person does in 1C by hand. Each save is a write, even one that changes nothing, and is announced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import phonenumbers

from sandbox.onec.changes import CONTENT, STATUS
from sandbox.onec.checks import Shape, read_fields
from sandbox.onec.events import Announcer
from sandbox.onec.fields import COUNTERPARTY, INVOICE, ORDER
from sandbox.onec.formats import Invalid
from sandbox.onec.records import TYPES, Stored
from sandbox.onec.settings import FIRST_STATUS, ORDER_STATUSES
from sandbox.onec.store import Store

Form = Mapping[str, str]
_COUNTERPARTY_TEXTS = ("kind", "name", "full_name", "inn", "kpp", "ogrn", "comment")
_NOT_NULL = ("kind", "name")
_YES = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


class Bookkeeper:
    """The base's own users. Invalid says what a form refuses; LookupError, that there is no such object."""

    def __init__(self, store: Store, announcer: Announcer, *, capabilities: Collection[str]) -> None:
        self._store = store
        self._announcer = announcer
        self._has_statuses = "statuses" in capabilities

    def add_counterparty(self, form: Form) -> Stored:
        with self._store.lock:
            fields = {**COUNTERPARTY.blanks, **_read_counterparty(form, COUNTERPARTY.blanks)}
            if "name" not in fields:
                raise Invalid("must be filled", field="name")
            return self._announced(self._store.create("counterparties", fields))

    def edit_counterparty(self, ref: str, form: Form) -> Stored:
        """Change the posted fields; a phone, an e-mail or an address takes the place of the first one."""
        with self._store.lock:
            stored = self._get("counterparties", ref)
            return self._save(stored, _read_counterparty(form, stored.fields))

    def add_order(self, form: Form) -> Stored:
        """An order that no deal stands behind."""
        with self._store.lock:
            sent = _read(ORDER, {name: form[name] for name in ("title", "counterparty_ref", "amount") if name in form})
            self._get("counterparties", sent.get("counterparty_ref", ""))
            status = FIRST_STATUS if self._has_statuses else None
            state = {"posted": False, "locked": False, "status": status}
            return self._announced(self._store.create("orders", {**ORDER.blanks, **state, **sent}))

    def edit_order(self, ref: str, form: Form) -> Stored:
        """Move the status, post, unpost, lock or unlock."""
        with self._store.lock:
            stored = self._get("orders", ref)
            changes: dict[str, Any] = {name: _read_yes(form, name) for name in ("posted", "locked") if name in form}
            if "status" in form:
                changes["status"] = self._read_status(form["status"])
            return self._save(stored, changes)

    def add_invoice(self, form: Form) -> Stored:
        """An invoice for an order, with its rows and, unless another is given, its sum; or for a counterparty alone."""
        with self._store.lock:
            order = self._get("orders", form["order_ref"]) if form.get("order_ref") else None
            payer_ref = order.fields["counterparty_ref"] if order else form.get("counterparty_ref", "")
            self._get("counterparties", payer_ref)
            sent = _read(INVOICE, _pick(form, "amount", "pay_before"))
            if order is None and "amount" not in sent:
                raise Invalid("must be filled", field="amount")
            fields = {
                "date": self._store.format_time(self._store.now())[:10],
                "pay_before": None,
                "amount": order.fields["amount"] if order else "0.00",
                "currency": order.fields["currency"] if order else "RUB",
                "status": "issued",
                "paid_amount": "0.00",
                "order_ref": order.ref if order else None,
                "counterparty_ref": payer_ref,
                "rows": order.fields["rows"] if order else [],
                "comment": None,
                **sent,
            }
            return self._announced(self._store.create("invoices", fields))

    def edit_invoice(self, ref: str, form: Form) -> Stored:
        """Change what is posted. A payment alone moves the status, and a status of paid alone is paid in full."""
        with self._store.lock:
            stored = self._get("invoices", ref)
            changes = _read(INVOICE, _pick(form, "status", "paid_amount", "amount", "pay_before", "comment"))
            return self._save(stored, _settle_payment(stored.fields, changes))

    def mark(self, type: str, ref: str, *, deleted: bool) -> Stored:
        """Set or take off the deletion mark."""
        with self._store.lock:
            return self._announced(self._store.write(self._get(type, ref), deleted=deleted))

    def _save(self, stored: Stored, changes: Mapping[str, Any]) -> Stored:
        changed = {name for name, value in changes.items() if stored.fields[name] != value}
        kinds = {STATUS} if stored.type == "orders" and changed == {"status"} else {CONTENT}
        if stored.type == "orders" and "status" in changed:
            kinds.add(STATUS)
        return self._announced(self._store.write(stored, fields={**stored.fields, **changes}), kinds)

    def _announced(self, stored: Stored, kinds: Collection[str] = (CONTENT,)) -> Stored:
        self._announcer.announce(stored, kinds)
        return stored

    def _get(self, type: str, ref: str) -> Stored:
        stored = self._store.get(type, ref) if type in TYPES else None
        if stored is None:
            raise LookupError(f"no such object: {type}/{ref}")
        return stored

    def _read_status(self, status: str) -> str:
        if not self._has_statuses or status not in dict(ORDER_STATUSES):
            raise Invalid("this base has no such status", field="status")
        return status


def _pick(form: Form, *names: str) -> dict[str, str | None]:
    """The posted ones of these fields; an empty one is null."""
    return {name: form[name].strip() or None for name in names if name in form}


def _read(shape: Shape, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a form; a sum that was left empty was not filled in."""
    return read_fields(shape, {name: value for name, value in sent.items() if value or "amount" not in name})


def _read_yes(form: Form, name: str) -> bool:
    if form[name].lower() not in _YES:
        raise Invalid("not yes or no", field=name)
    return _YES[form[name].lower()]


def _read_counterparty(form: Form, before: Mapping[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {**_pick(form, *_COUNTERPARTY_TEXTS)}
    sent |= {name: form[name].strip() for name in _NOT_NULL if name in form}
    for name, text in _pick(form, "phone", "email").items():
        value = _spell_phone(text) if name == "phone" and text else text
        sent[f"{name}s"] = _replace_first(before[f"{name}s"], value)
    for text in _pick(form, "legal_address").values():
        others = [address for address in before["addresses"] if address["kind"] != "legal"]
        sent["addresses"] = [{"kind": "legal", "text": text}, *others] if text else others
    return read_fields(COUNTERPARTY, sent)


def _replace_first(before: list[dict[str, Any]], value: str | None) -> list[dict[str, Any]]:
    kind = before[0]["kind"] if before else "work"
    return ([{"value": value, "kind": kind}] if value else []) + list(before[1:])


def _spell_phone(text: str) -> str:
    """E.164 where it can be told, else as it was typed."""
    try:
        number = phonenumbers.parse(text, "RU")
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number) or number.extension:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _settle_payment(before: Mapping[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A form sends all its fields: what counts is which of them differ from before."""
    after = {**before, **changes}
    moved = {name for name in ("status", "paid_amount", "amount") if after[name] != before[name]}
    if "status" in moved:
        paid_in_full = after["status"] == "paid" and "paid_amount" not in moved
        return {**changes, "paid_amount": after["amount"]} if paid_in_full else changes
    if not moved or after["status"] == "cancelled":
        return changes
    return {**changes, "status": _judge_payment(Decimal(after["paid_amount"]), Decimal(after["amount"]))}


def _judge_payment(paid: Decimal, amount: Decimal) -> str:
    if paid <= 0:
        return "issued"
    return "paid" if paid >= amount else "partly_paid"
