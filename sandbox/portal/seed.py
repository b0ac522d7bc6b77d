"""What a fresh portal has: two employees, its pipelines and directories, requisite presets, its own company."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.portal import userfields
from sandbox.portal.entities import COMPANY, CONTACT, DEAL, LEAD, SMART_INVOICE, SMART_INVOICE_CATEGORY
from sandbox.portal.store import Record, Store

if TYPE_CHECKING:
    from sandbox.portal.world import World

UF_1C_ID = "UF_CRM_1C_ID"
_STAGE_COLOR = "#39A8EF"

# STATUS_ID, NAME, SEMANTICS
LEAD_STATUSES = (
    ("NEW", "Не обработан", None),
    ("IN_PROCESS", "В работе", None),
    ("PROCESSED", "Обработан", None),
    ("CONVERTED", "Качественный лид", "S"),
    ("JUNK", "Некачественный лид", "F"),
)
DEAL_STAGES = (
    ("NEW", "Новая", None),
    ("PREPARATION", "Подготовка документов", None),
    ("PREPAYMENT_INVOICE", "Счёт на предоплату", None),
    ("EXECUTING", "В работе", None),
    ("FINAL_INVOICE", "Финальный счёт", None),
    ("WON", "Сделка успешна", "S"),
    ("LOSE", "Сделка провалена", "F"),
    ("APOLOGY", "Анализ причины провала", "F"),
)
SMART_INVOICE_STAGES = (
    ("N", "Новый", None),
    ("S", "Отправлен клиенту", None),
    ("P", "Оплачен", "S"),
    ("D", "Не оплачен", "F"),
)
OLD_INVOICE_STATUSES = (
    ("N", "Новый", None),
    ("S", "Отправлен", None),
    ("A", "Подтверждён", None),
    ("P", "Оплачен", "S"),
    ("D", "Отклонён", "F"),
)
DIRECTORIES: dict[str, tuple[tuple[str, str, str | None], ...]] = {
    "SOURCE": (("CALL", "Звонок", None), ("EMAIL", "Электронная почта", None), ("WEB", "Веб-сайт", None)),
    "CONTACT_TYPE": (("CLIENT", "Клиенты", None), ("SUPPLIER", "Поставщики", None), ("PARTNER", "Партнёры", None)),
    "COMPANY_TYPE": (("CUSTOMER", "Клиент", None), ("SUPPLIER", "Поставщик", None), ("PARTNER", "Партнёр", None)),
    "DEAL_TYPE": (("SALE", "Продажа", None), ("COMPLEX", "Комплексная продажа", None), ("SERVICE", "Услуги", None)),
    "INDUSTRY": (("IT", "Информационные технологии", None), ("TELECOM", "Телекоммуникации", None)),
    "EMPLOYEES": (("EMPLOYEES_1", "менее 50", None), ("EMPLOYEES_2", "50-250", None)),
    "HONORIFIC": (("HNR_RU_1", "г-н", None), ("HNR_RU_2", "г-жа", None)),
}
PRESETS = (
    (1, "Организация", "#CRM_REQUISITE_PRESET_DEF_RU_COMPANY#"),
    (3, "ИП", "#CRM_REQUISITE_PRESET_DEF_RU_INDIVIDUAL#"),
    (5, "Физ. лицо", "#CRM_REQUISITE_PRESET_DEF_RU_PERSON#"),
)
USERS = (
    {"ID": 1, "NAME": "Обмен", "LAST_NAME": "Администраторов", "EMAIL": "exchange@example.com", "ADMIN": True},
    {"ID": 2, "NAME": "Мария", "LAST_NAME": "Менеджерова", "EMAIL": "manager@example.com", "ADMIN": False},
)


def plant(world: World) -> None:
    """Fill an empty store."""
    store = world.store
    for user in USERS:
        store.users.put(dict(user, SECOND_NAME="", ACTIVE=True, WORK_POSITION="", UF_DEPARTMENT=[1]))
    _plant_directories(store)
    _plant_categories(store)
    for sort, (preset_id, name, xml_id) in enumerate(PRESETS, start=1):
        store.presets.put(_preset(world, preset_id, name, xml_id, sort * 100))
    if world.settings.with_user_fields:
        plant_user_fields(world)
    _plant_own_company(world)


def plant_user_fields(world: World) -> None:
    """Declare UF_CRM_1C_ID as the exchange's `setup` would."""
    kinds = [entity.user_field_entity for entity in (CONTACT, COMPANY, LEAD, DEAL, SMART_INVOICE)]
    for user_field_entity in (*kinds, "CRM_INVOICE"):
        record = userfields.build(
            world.store,
            user_field_entity,
            {"USER_TYPE_ID": "string", "FIELD_NAME": UF_1C_ID, "LABEL": "Ссылка 1С", "SHOW_FILTER": "Y"},
        )
        world.store.user_fields.put(record)
    world.forget_user_fields()


def _plant_directories(store: Store) -> None:
    _plant_stages(store, "STATUS", LEAD_STATUSES, extra=True)
    _plant_stages(store, "DEAL_STAGE", DEAL_STAGES, extra=True)
    opt = tuple((f"C1:{stage}", name, semantics) for stage, name, semantics in DEAL_STAGES)
    _plant_stages(store, "DEAL_STAGE_1", opt, category=1, extra=True)
    category = SMART_INVOICE_CATEGORY
    invoice = tuple((f"DT31_{category}:{stage}", name, semantics) for stage, name, semantics in SMART_INVOICE_STAGES)
    _plant_stages(store, f"SMART_INVOICE_STAGE_{category}", invoice, category=category)
    _plant_stages(store, "INVOICE_STATUS", OLD_INVOICE_STATUSES)
    for directory, entries in DIRECTORIES.items():
        _plant_stages(store, directory, entries)


def _plant_stages(
    store: Store,
    directory: str,
    entries: tuple[tuple[str, str, str | None], ...],
    *,
    category: int | None = None,
    extra: bool = False,
) -> None:
    for sort, (status_id, name, semantics) in enumerate(entries, start=1):
        status: Record = {
            "ENTITY_ID": directory,
            "STATUS_ID": status_id,
            "NAME": name,
            "NAME_INIT": name if semantics or sort == 1 else "",
            "SORT": sort * 10,
            "SYSTEM": "Y" if semantics in ("S", "F") or sort == 1 else "N",
            "CATEGORY_ID": category,
            "COLOR": _STAGE_COLOR,
            "SEMANTICS": semantics,
        }
        if extra:  # only leads, deals and quotes have it: read SEMANTICS
            status["EXTRA"] = {"SEMANTICS": _extra(status_id, semantics), "COLOR": _STAGE_COLOR}
        store.statuses.put(status)


def _extra(status_id: str, semantics: str | None) -> str:
    if status_id.endswith("APOLOGY"):
        return "apology"
    return {"S": "success", "F": "failure", None: "process"}[semantics]


def _plant_categories(store: Store) -> None:
    store.categories[DEAL.type_id] = [
        _category(1, "Опт", 200, DEAL.type_id) | {"originId": "", "originatorId": ""},
        _category(0, "Общая", 300, DEAL.type_id, default=True),
    ]
    invoices = SMART_INVOICE.type_id
    store.categories[invoices] = [_category(SMART_INVOICE_CATEGORY, "Общая", 500, invoices, default=True)]


def _category(category_id: int, name: str, sort: int, type_id: int, *, default: bool = False) -> Record:
    return {
        "id": category_id,
        "name": name,
        "sort": sort,
        "entityTypeId": type_id,
        "isDefault": "Y" if default else "N",
    }


def _preset(world: World, preset_id: int, name: str, xml_id: str, sort: int) -> Record:
    return {
        "ID": preset_id,
        "ENTITY_TYPE_ID": 8,
        "COUNTRY_ID": 1,
        "DATE_CREATE": world.clock.now(),
        "DATE_MODIFY": None,
        "CREATED_BY_ID": 1,
        "MODIFY_BY_ID": None,
        "NAME": name,
        "XML_ID": xml_id,
        "ACTIVE": "Y",
        "SORT": sort,
    }


def _plant_own_company(world: World) -> None:
    """Our own seller: it must never reach the other side."""
    from sandbox.portal import crm  # noqa: PLC0415  (crm works on a world, and a world is planted with crm)

    values: dict[str, Any] = {"TITLE": "ООО «Наша компания»", "IS_MY_COMPANY": "Y", "OPENED": "Y"}
    crm.create(world, COMPANY, crm.Wish(values=values), author=1, silent=True)
