"""crm.invoice.*: the old invoices (type 5), which crm.item.* does not know.

The pages give no response examples: shapes follow the other old methods.
Source: CRM/outdated/invoice/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.portal import filters, stages
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.errors import business, classic
from sandbox.portal.fields import Field, NotValidError, computed, describe, flag, of, read, text
from sandbox.portal.fields import classic as printed
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record
from sandbox.portal.world import World

USER_FIELD_ENTITY = "CRM_INVOICE"
PAID, REJECTED = "P", "D"
FIELDS: tuple[Field, ...] = (
    computed("integer", "ID"),
    text("ACCOUNT_NUMBER"),
    text("ORDER_TOPIC", required=True),
    of("crm_status", "STATUS_ID", required=True, status_type="INVOICE_STATUS"),
    text("COMMENTS"),
    text("USER_DESCRIPTION"),
    of("crm_currency", "CURRENCY", default="RUB"),
    of("double", "PRICE", read_only=True, default=0.0),
    of("double", "TAX_VALUE", read_only=True, default=0.0),
    flag("PAYED", read_only=True),
    of("datetime", "DATE_PAYED", read_only=True),
    of("date", "DATE_BILL"),
    of("date", "DATE_PAY_BEFORE"),
    of("datetime", "DATE_INSERT"),
    of("datetime", "DATE_UPDATE", read_only=True),
    of("datetime", "DATE_STATUS", read_only=True),
    of("date", "PAY_VOUCHER_DATE"),
    text("PAY_VOUCHER_NUM"),
    of("date", "DATE_MARKED"),
    text("REASON_MARKED"),
    of("user", "RESPONSIBLE_ID"),
    of("user", "CREATED_BY", read_only=True),
    of("user", "EMP_STATUS_ID", read_only=True),
    of("integer", "PERSON_TYPE_ID", required=True),
    of("integer", "PAY_SYSTEM_ID", required=True),
    text("XML_ID"),
    of("crm_entity", "UF_DEAL_ID"),
    of("crm_entity", "UF_QUOTE_ID"),
    of("crm_company", "UF_COMPANY_ID"),
    of("crm_contact", "UF_CONTACT_ID"),
    of("crm_company", "UF_MYCOMPANY_ID"),
    text("RESPONSIBLE_EMAIL", read_only=True),
)
_REQUIRED = ("ORDER_TOPIC", "STATUS_ID", "PERSON_TYPE_ID", "PAY_SYSTEM_ID", "PRODUCT_ROWS")


def register(methods: Methods) -> None:
    for verb, run in {
        "add": add,
        "update": update,
        "get": get,
        "list": list_,
        "delete": delete,
        "fields": fields,
    }.items():
        methods.add(f"crm.invoice.{verb}", run)


def known(world: World) -> Mapping[str, Field]:
    return {one.name: one for one in FIELDS} | world.user_fields(USER_FIELD_ENTITY)


def add(call: Call) -> int:
    given = call.array("fields")
    for name in _REQUIRED:
        if not given.get(name):
            raise business(f"The '{name}' field is required.")
    if not given.get("UF_COMPANY_ID") and not given.get("UF_CONTACT_ID"):
        raise business("The 'UF_COMPANY_ID' or 'UF_CONTACT_ID' field is required.")
    store, now = call.world.store, call.world.clock.now()
    record: Record = {one.name: one.default for one in FIELDS}
    record |= {"RESPONSIBLE_ID": call.user_id, "CREATED_BY": call.user_id, "DATE_INSERT": now, "DATE_BILL": now.date()}
    record |= _values(call, given)
    record["ACCOUNT_NUMBER"] = record["ACCOUNT_NUMBER"] or str(store.next_invoice_number)
    store.next_invoice_number += 1
    del record["ID"]
    record |= {"DATE_UPDATE": now} | _settled(call, record, given, before={})
    store.invoices.put(record)
    _announce(call.world, "ADD", record)
    return int(record["ID"])


def update(call: Call) -> bool:
    record, given = _record(call), call.array("fields")
    values = _values(call, given)
    values |= {"DATE_UPDATE": call.world.clock.now()} | _settled(call, record | values, given, before=record)
    status_before = record["STATUS_ID"]
    call.world.store.invoices.change(record, values)
    _announce(call.world, "UPDATE", record)
    if record["STATUS_ID"] != status_before:
        _announce(call.world, "SETSTATUS", record)
    return True


def get(call: Call) -> Record:
    return view(call.world, _record(call))


def delete(call: Call) -> bool:
    record = _record(call)
    call.world.store.invoices.remove(record["ID"])
    _announce(call.world, "DELETE", record)
    return True


def list_(call: Call) -> Listed:
    fields_now = known(call.world)
    asked = {str(name) for name in as_list(call.get("select")) if name not in (None, "")}
    names = None if not asked or "*" in asked else asked
    page = filters.page(
        call.world.store.invoices,
        filters.conditions(call.array("filter", optional=True), fields_now.get),
        order=filters.read_order(call.array("order", optional=True), fields_now.get),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, lambda record: _plain(call.world, record, names))


def fields(call: Call) -> Record:
    return {name: describe(one, title=name if one.dynamic else None) for name, one in known(call.world).items()}


def view(world: World, record: Record) -> Record:
    """Print an invoice with its rows and properties, as `get` does and lists do not."""
    properties = record.get("INVOICE_PROPERTIES") or []
    product_rows = [{name: str(value) for name, value in row.items()} for row in record.get("PRODUCT_ROWS") or []]
    return _plain(world, record, None) | {"INVOICE_PROPERTIES": properties, "PRODUCT_ROWS": product_rows}


def _plain(world: World, record: Record, names: set[str] | None) -> Record:
    return {
        name: printed(one, record.get(name)) for name, one in known(world).items() if names is None or name in names
    }


def _record(call: Call) -> Record:
    record = call.world.store.invoices.get(call.record_id())
    if record is None:
        raise classic("Not found")
    return record


def _values(call: Call, given: Mapping[str, Any]) -> Record:
    values: Record = {}
    for name, one in known(call.world).items():
        if name in given and not one.read_only:
            try:
                values[name] = read(one, given[name])
            except NotValidError:
                continue
    if as_map(given.get("INVOICE_PROPERTIES")) is not None:
        values["INVOICE_PROPERTIES"] = as_map(given["INVOICE_PROPERTIES"])
    return values


def _settled(call: Call, record: Record, given: Mapping[str, Any], *, before: Record) -> Record:
    """Compute what follows: rows and price, the payment, when the status moved."""
    if not stages.find(call.world.store, "INVOICE_STATUS", record["STATUS_ID"] or ""):
        raise business(f"The status {record['STATUS_ID']!r} does not exist.")
    now, settled = call.world.clock.now(), Record()
    if as_list(given.get("PRODUCT_ROWS")):
        rows = [_row(call, entry) for entry in map(as_map, as_list(given["PRODUCT_ROWS"])) if entry]
        settled["PRODUCT_ROWS"] = rows
        settled["PRICE"] = round(sum(row["PRICE"] * row["QUANTITY"] for row in rows), 2)
        settled["TAX_VALUE"] = round(sum(_tax(row) for row in rows), 2)
    if record["STATUS_ID"] != before.get("STATUS_ID"):
        is_paid = record["STATUS_ID"] == PAID
        settled |= {"DATE_STATUS": now, "EMP_STATUS_ID": call.user_id, "PAYED": "Y" if is_paid else "N"}
        settled["DATE_PAYED"] = now if is_paid else None
    return settled


def _row(call: Call, entry: Mapping[str, Any]) -> Record:
    row_id = as_int(entry.get("ID")) or call.world.store.rows.new_id()
    return {
        "ID": row_id,
        "PRODUCT_ID": as_int(entry.get("PRODUCT_ID")),
        "PRODUCT_NAME": str(entry.get("PRODUCT_NAME") or f"Товар {as_int(entry.get('PRODUCT_ID'))}"),
        "QUANTITY": float(entry.get("QUANTITY") or 1),
        "PRICE": float(entry.get("PRICE") or 0),
        "DISCOUNT_PRICE": float(entry.get("DISCOUNT_PRICE") or 0),
        "VAT_RATE": float(entry.get("VAT_RATE") or 0),
        "VAT_INCLUDED": str(entry.get("VAT_INCLUDED") or "Y"),
        "MEASURE_CODE": as_int(entry.get("MEASURE_CODE")) or 796,
        "MEASURE_NAME": str(entry.get("MEASURE_NAME") or "шт"),
    }


def _tax(row: Record) -> float:
    """The tax inside a row's price; VAT_RATE is a share (0.2), as old invoices have it."""
    amount: float = row["PRICE"] * row["QUANTITY"]
    net: float = amount / (1 + row["VAT_RATE"])
    return amount - net


def _announce(world: World, what: str, record: Record) -> None:
    world.events.fire(f"ONCRMINVOICE{what}", {"FIELDS": {"ID": str(record["ID"])}})
