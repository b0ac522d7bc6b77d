"""Of whom the histories tell: a few parties, a few values of each field, and what the two sides may have agreed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.identity import System
from sync_worker.domain.merge import is_blank
from sync_worker.domain.rules import CounterpartyRules, Kind, Owner
from sync_worker.domain.values import is_inn
from sync_worker.entities.contact import DEFAULT_OWNERS, CounterpartyRecord
from tests.unit.sync.world import BRANCH_KPP, INN, KPP, PERSON_INN

CARD = ("name", "phones", "emails", "responsible", "comment")  # the rest stands in requisite and addresses
OTHER_INN, NO_INN = "7736050003", "7707083890"  # the second has a wrong check digit
IVAN, PETR, OFFICE = "ivan@example.com", "petr@example.com", "office@example.com"
UNKNOWN_HERE, UNKNOWN_THERE = "sklad@example.com", "robot@example.com"  # to the portal, to 1C
MOSCOW = {"kind": "legal", "city": "Москва", "street": "Тверская, 1"}
TULA = {"kind": "legal", "city": "Тула", "street": "Лесная, 5"}
POST = {"kind": "postal", "city": "Тула", "street": "а/я 7"}

VALUES: Mapping[str, tuple[Any, ...]] = {
    "name": ("Ромашка", "Ромашка и К", "Лютик", None),  # None on the portal only: 1C has no party without a name
    "full_name": (None, "ООО «Ромашка»", "ООО «Лютик»"),
    "inn": (INN, OTHER_INN, None, NO_INN, PERSON_INN),
    "kpp": (KPP, BRANCH_KPP, None),
    "ogrn": (None, "1027700132195", "1027700092661"),
    "addresses": ([], [MOSCOW], [TULA], [MOSCOW, POST], [POST]),
    "phones": ([], ["+74951234567"], ["+74951234567", "+74957654321"], ["+74957654321"]),
    "emails": ([], [IVAN], [PETR], [IVAN, PETR], [OFFICE]),
    "responsible": ("anna@example.com", "boris@example.com", None, UNKNOWN_HERE, UNKNOWN_THERE),
    "comment": (None, "звонить утром", "только письмом"),
}
FIELDS = tuple(VALUES)

PARTIES: tuple[tuple[Kind, Mapping[str, Any]], ...] = (
    (Kind.COMPANY, {"name": "Ромашка", "inn": INN, "kpp": KPP}),
    (Kind.PERSON, {"name": "Иванов Иван Иванович", "emails": [IVAN]}),
    (Kind.COMPANY, {"name": "Ромашка, филиал", "inn": INN, "kpp": BRANCH_KPP}),
    (Kind.SOLE_TRADER, {"name": "Петров Пётр Петрович", "inn": PERSON_INN, "emails": [PETR]}),
    (Kind.COMPANY, {"name": "Лютик", "inn": OTHER_INN}),
    (Kind.PERSON, {"name": "Петров Пётр Петрович", "emails": [PETR]}),
)

_LISTS_SHARED = {**DEFAULT_OWNERS, "phones": Owner.SHARED, "emails": Owner.SHARED, "addresses": Owner.SHARED}
_TURNED = {**DEFAULT_OWNERS, "name": Owner.ONEC, "comment": Owner.BITRIX24, "full_name": Owner.SHARED}
AGREEMENTS = (
    CounterpartyRules(owners=DEFAULT_OWNERS),
    CounterpartyRules(owners=_LISTS_SHARED),
    CounterpartyRules(owners=DEFAULT_OWNERS, fill_blank=False),
    CounterpartyRules(owners=_TURNED),
)


def field_of(number: int) -> str:
    return FIELDS[number % len(FIELDS)]


def value_of(system: System, field: str, number: int) -> Any:
    """One of the values that somebody may type into the field on that side."""
    values = VALUES[field]
    if field == "name" and system is System.ONEC:
        values = values[:-1]
    return values[number % len(values)]


def merged_fields(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the portal makes of two cards: blanks are filled, phones and e-mails united, the first requisite counts."""
    fields = {name: given[name] if is_blank(kept[name]) else kept[name] for name in CARD}
    fields |= {name: sorted({*(kept[name] or ()), *(given[name] or ())}) for name in ("phones", "emails")}
    of_requisite = kept if kept["inn"] or not given["inn"] else given
    return {**fields, **{name: of_requisite[name] for name in FIELDS if name not in CARD}}


def has_same_key(one: CounterpartyRecord, other: CounterpartyRecord) -> bool:
    """True for two that any bookkeeper takes for one: narrower than the exchange's own matching."""
    inn = one.fields.get("inn")
    if is_inn(inn):
        return bool(other.fields.get("inn") == inn and other.fields.get("kpp") == one.fields.get("kpp"))
    if one.kind is not Kind.PERSON or other.kind is not Kind.PERSON or inn:
        return False
    return bool(set(one.fields["emails"] or ()) & set(other.fields["emails"] or ()))
