"""Directories: crm.status.*, crm.category.*, crm.stagehistory.list, crm.enum.*, crm.currency.list, crm.type.list.

Source: CRM/status/*.md, CRM/universal/category/*.md, crm-stage-history-list.md, read 2026-08.
"""

from __future__ import annotations

from typing import Any

from sandbox.portal import filters, stages
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.entities import BY_TYPE, DEAL, LEAD, SMART_INVOICE
from sandbox.portal.errors import RestError, missing_item, missing_parameter
from sandbox.portal.fields import classic, computed, describe, of, text, typed
from sandbox.portal.params import as_int, as_list, as_map
from sandbox.portal.store import Record

_STATUS_FIELDS = (
    computed("integer", "ID"),
    text("ENTITY_ID", required=True, immutable=True),
    text("STATUS_ID", required=True, immutable=True),
    text("NAME", required=True),
    text("NAME_INIT", read_only=True),
    of("integer", "SORT"),
    of("char", "SYSTEM", read_only=True),
    of("integer", "CATEGORY_ID", immutable=True),
    text("COLOR"),
    text("SEMANTICS", immutable=True),
)
_STATUS_BY_NAME = {one.name: one for one in _STATUS_FIELDS}
_HISTORY = {
    one.name: one
    for one in (
        *(of("integer", name) for name in ("ID", "TYPE_ID", "OWNER_ID", "CATEGORY_ID")),
        of("datetime", "CREATED_TIME"),
        *(text(name) for name in ("STAGE_SEMANTIC_ID", "STAGE_ID", "STATUS_SEMANTIC_ID", "STATUS_ID")),
    )
}
_ADDRESS_TYPES = {
    11: "Адрес доставки",
    1: "Фактический адрес",
    6: "Юридический адрес",
    4: "Адрес регистрации",
    8: "Почтовый адрес",
    9: "Адрес бенефициара",
}
_OWNER_TYPES = (
    (1, "Лид", "LEAD", "L"),
    (2, "Сделка", "DEAL", "D"),
    (3, "Контакт", "CONTACT", "C"),
    (4, "Компания", "COMPANY", "CO"),
    (5, "Счёт (старая версия)", "INVOICE", "I"),
    (31, "Счёт", "SMART_INVOICE", "SI"),
    (8, "Реквизиты", "REQUISITE", "RQ"),
)


def register(methods: Methods) -> None:
    methods.add("crm.status.list", list_statuses)
    methods.add("crm.status.get", get_status)
    methods.add("crm.status.fields", lambda _call: {one.name: describe(one) for one in _STATUS_FIELDS})
    methods.add("crm.status.entity.items", entity_items)
    methods.add("crm.status.entity.types", entity_types)
    methods.add("crm.category.list", list_categories)
    methods.add("crm.category.get", get_category)
    methods.add("crm.stagehistory.list", list_history)
    methods.add("crm.settings.mode.get", lambda call: 2 if call.world.settings.simple_mode else 1)
    methods.add("crm.type.list", lambda _call: Listed(result={"types": []}, total=0))
    methods.add("crm.enum.addresstype", lambda _call: [_enum(key, name) for key, name in _ADDRESS_TYPES.items()])
    methods.add("crm.enum.ownertype", lambda _call: [_enum(*owner) for owner in _OWNER_TYPES])
    methods.add("crm.currency.list", list_currencies)


def list_statuses(call: Call) -> Listed:
    """List whole: directories are not paged."""
    given = filters.conditions(call.array("filter", optional=True), _STATUS_BY_NAME.get)
    order = filters.read_order(call.array("order", optional=True), _STATUS_BY_NAME.get)
    tests = [filters.test_of(condition) for condition in given]
    found = [status for status in call.world.store.statuses if all(test(status) for test in tests)]
    found = filters.ordered(found, order or [(_STATUS_BY_NAME["SORT"], False)])
    return Listed(result=[_status(status) for status in found], total=len(found))


def get_status(call: Call) -> Record:
    status = call.world.store.statuses.get(as_int(call.get("id")))
    if status is None:
        raise RestError("Status is not found.", "Directory item not found.")
    return _status(status)


def _status(status: Record) -> Record:
    told = {one.name: classic(one, status[one.name]) for one in _STATUS_FIELDS}
    return told | ({"EXTRA": status["EXTRA"]} if "EXTRA" in status else {})


def entity_items(call: Call) -> list[Record]:
    directory = str(call.get("entityId") or "")
    if not directory:
        raise RestError(
            "The parameter entityId is not defined or invalid.", "The directory ID is not specified or is incorrect."
        )
    found = stages.of_directory(call.world.store, directory)
    return [{"NAME": one["NAME"], "SORT": one["SORT"], "STATUS_ID": one["STATUS_ID"]} for one in found]


def entity_types(call: Call) -> list[Record]:
    types: list[Record] = [
        {
            "ID": "STATUS",
            "NAME": "Стадии лида",
            "SEMANTIC_INFO": _final("NEW", "CONVERTED", "JUNK"),
            "ENTITY_TYPE_ID": 1,
        }
    ]
    types += [_deal_stages(category) for category in call.world.store.categories[DEAL.type_id]]
    types += [_invoice_stages(category) for category in call.world.store.categories[SMART_INVOICE.type_id]]
    known = {one["ID"] for one in types}
    others = dict.fromkeys(status["ENTITY_ID"] for status in call.world.store.statuses)
    return types + [{"ID": directory, "NAME": directory.capitalize()} for directory in others if directory not in known]


def _deal_stages(category: Record) -> Record:
    number = category["id"]
    prefix = f"C{number}:" if number else ""
    told: Record = {
        "ID": DEAL.directory(number),
        "NAME": f"Стадии сделки: {category['name']}",
        "SEMANTIC_INFO": _final(f"{prefix}NEW", f"{prefix}WON", f"{prefix}LOSE"),
        "FIELD_ATTRIBUTE_SCOPE": f"category_{number}" if number else "",
        "ENTITY_TYPE_ID": DEAL.type_id,
        "CATEGORY_ID": str(number) if number else 0,
    }
    return told | ({"PARENT_ID": "DEAL_STAGE", "PREFIX": f"C{number}"} if number else {})


def _invoice_stages(category: Record) -> Record:
    number = category["id"]
    return {
        "ID": SMART_INVOICE.directory(number),
        "NAME": "Стадии счёта",
        "SEMANTIC_INFO": [],
        "PREFIX": f"DT31_{number}",
        "FIELD_ATTRIBUTE_SCOPE": f"category_{number}",
        "ENTITY_TYPE_ID": SMART_INVOICE.type_id,
        "IS_ENABLED": True,
        "CATEGORY_ID": number,
    }


def _final(start: str, won: str, lost: str) -> Record:
    return {"START_FIELD": start, "FINAL_SUCCESS_FIELD": won, "FINAL_UNSUCCESS_FIELD": lost, "FINAL_SORT": 0}


def list_categories(call: Call) -> Listed:
    categories = _categories(call)
    return Listed(result={"categories": categories}, total=len(categories))


def get_category(call: Call) -> Record:
    wanted = as_int(call.params.get("id"))
    found = next((category for category in _categories(call) if category["id"] == wanted), None)
    if found is None:
        raise missing_item()
    return {"category": found}


def _categories(call: Call) -> list[Record]:
    if "entityTypeId" not in call.params:
        raise missing_parameter("entityTypeId")
    type_id = as_int(call.params["entityTypeId"])
    if type_id not in BY_TYPE:
        raise RestError("NOT_FOUND", "Smart process not found")
    return call.world.store.categories.get(type_id, [])


def list_history(call: Call) -> Listed:
    """List the stages that objects went through: numbers are numbers, and `items` wraps the list."""
    entity = BY_TYPE.get(as_int(call.params.get("entityTypeId")))
    if entity not in (LEAD, DEAL, SMART_INVOICE):
        raise RestError(0, f"{entity.name if entity else 'Unknown'} entity is not supported")
    asked = {str(name) for name in as_list(call.params.get("select")) if name not in (None, "")}
    page = filters.page(
        call.world.store.stage_history[entity.type_id],
        filters.conditions(as_map(call.params.get("filter")), _HISTORY.get),
        order=filters.read_order(as_map(call.params.get("order")), _HISTORY.get),
        start=filters.read_start(call.params.get("start")),
    )
    return listed(page, lambda record: _history(record, asked), wrap="items")


def _history(record: Record, asked: set[str]) -> Record:
    shown = {name: typed(_HISTORY[name], value) for name, value in record.items()}
    return {name: value for name, value in shown.items() if not asked or "*" in asked or name in asked}


def list_currencies(call: Call) -> Listed:
    rouble: Record = {
        "CURRENCY": "RUB",
        "AMOUNT_CNT": "1",
        "AMOUNT": "1.0000",
        "SORT": "100",
        "BASE": "Y",
        "FULL_NAME": "Российский рубль",
        "LID": "ru",
        "FORMAT_STRING": "# &#8381;",
        "DEC_POINT": ".",
        "THOUSANDS_SEP": "&nbsp;",
        "DECIMALS": "2",
        "DATE_UPDATE": call.world.clock.now().isoformat(),
    }
    return Listed(result=[rouble], total=0)


def _enum(key: int, name: str, code: str | None = None, short: str | None = None) -> dict[str, Any]:
    return {"ID": key, "NAME": name, "SYMBOL_CODE": code, "SYMBOL_CODE_SHORT": short}
