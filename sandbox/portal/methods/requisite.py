"""crm.requisite.*, its bank details, presets and links: the legal side of a contact or company.

Source: CRM/requisites/**/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sandbox.portal import crm, filters
from sandbox.portal.calls import Call, Listed, Methods, listed, no_value
from sandbox.portal.entities import COMPANY, CONTACT
from sandbox.portal.errors import classic
from sandbox.portal.fields import Field, NotValidError, computed, describe, flag, of, read, text
from sandbox.portal.fields import classic as printed
from sandbox.portal.params import as_int, as_list
from sandbox.portal.store import Record, Table

_STAMPS = (
    computed("datetime", "DATE_CREATE"),
    computed("datetime", "DATE_MODIFY", blank=""),
    computed("user", "CREATED_BY_ID"),
    computed("user", "MODIFY_BY_ID"),
)
_RQ_TEXTS = (
    *("NAME", "FIRST_NAME", "LAST_NAME", "SECOND_NAME", "COMPANY_ID", "COMPANY_NAME", "COMPANY_FULL_NAME"),
    *("COMPANY_REG_DATE", "DIRECTOR", "ACCOUNTANT", "CEO_NAME", "CEO_WORK_POS", "CONTACT", "EMAIL", "PHONE", "FAX"),
    *("IDENT_TYPE", "IDENT_DOC", "IDENT_DOC_SER", "IDENT_DOC_NUM", "IDENT_DOC_PERS_NUM", "IDENT_DOC_DATE"),
    *("IDENT_DOC_ISSUED_BY", "IDENT_DOC_DEP_CODE", "INN", "KPP", "USRLE", "IFNS", "OGRN", "OGRNIP", "OKPO", "OKTMO"),
    *("OKVED", "EDRPOU", "DRFO", "KBE", "IIN", "BIN", "ST_CERT_SER", "ST_CERT_NUM", "ST_CERT_DATE", "VAT_ID"),
    *("VAT_CERT_SER", "VAT_CERT_NUM", "VAT_CERT_DATE", "RESIDENCE_COUNTRY", "BASE_DOC", "REGON", "KRS", "PESEL"),
    *("LEGAL_FORM", "SIRET", "SIREN", "CAPITAL", "RCS", "CNPJ", "STATE_REG", "MNPL_REG", "CPF"),
)
REQUISITE_FIELDS: tuple[Field, ...] = (
    computed("integer", "ID"),
    of("integer", "ENTITY_TYPE_ID", required=True, immutable=True),
    of("integer", "ENTITY_ID", required=True, immutable=True),
    of("integer", "PRESET_ID", required=True, immutable=True),
    *_STAMPS,
    text("NAME"),
    text("CODE"),
    text("XML_ID"),
    text("ORIGINATOR_ID"),
    flag("ACTIVE", "Y"),
    flag("ADDRESS_ONLY"),
    of("integer", "SORT", default=500),
    *(text(f"RQ_{name}") for name in _RQ_TEXTS),
    flag("RQ_VAT_PAYER"),
)
_BANK_TEXTS = (
    *("BANK_NAME", "BANK_CODE", "BANK_ADDR", "BANK_ROUTE_NUM", "BIK", "MFO", "ACC_NAME", "ACC_NUM", "ACC_TYPE", "IIK"),
    *("ACC_CURRENCY", "COR_ACC_NUM", "IBAN", "SWIFT", "BIC", "CODEB", "CODEG", "RIB", "AGENCY_NAME"),
)
BANK_FIELDS: tuple[Field, ...] = (
    computed("integer", "ID"),
    of("integer", "ENTITY_ID", required=True, immutable=True),
    of("integer", "COUNTRY_ID", default=1),
    *_STAMPS,
    text("NAME", required=True),
    text("CODE"),
    text("XML_ID"),
    text("ORIGINATOR_ID"),
    flag("ACTIVE", "Y"),
    of("integer", "SORT", default=500),
    *(text(f"RQ_{name}") for name in _BANK_TEXTS),
    text("COMMENTS"),
)
PRESET_FIELDS: tuple[Field, ...] = (
    computed("integer", "ID"),
    of("integer", "ENTITY_TYPE_ID", immutable=True),
    of("integer", "COUNTRY_ID"),
    *_STAMPS,
    text("NAME"),
    text("XML_ID"),
    flag("ACTIVE", "Y"),
    of("integer", "SORT", default=500),
)
LINK_FIELDS = tuple(
    of("integer", name, required=True)
    for name in (
        "ENTITY_TYPE_ID",
        "ENTITY_ID",
        "REQUISITE_ID",
        "BANK_DETAIL_ID",
        "MC_REQUISITE_ID",
        "MC_BANK_DETAIL_ID",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A plain table behind crm.requisite-like methods."""

    path: str
    title: str  # as error texts say it
    fields: tuple[Field, ...]
    table: str  # attribute of the store
    event: str | None = None
    user_field_entity: str | None = None

    def rows(self, call: Call) -> Table:
        table: Table = getattr(call.world.store, self.table)
        return table

    def known(self, call: Call) -> Mapping[str, Field]:
        own = {one.name: one for one in self.fields}
        return own | (call.world.user_fields(self.user_field_entity) if self.user_field_entity else {})


REQUISITE = Family(
    path="crm.requisite",
    title="Requisite",
    fields=REQUISITE_FIELDS,
    table="requisites",
    event="REQUISITE",
    user_field_entity="CRM_REQUISITE",
)
BANK_DETAIL = Family(
    path="crm.requisite.bankdetail", title="BankDetail", fields=BANK_FIELDS, table="bank_details", event="BANKDETAIL"
)
PRESET = Family(path="crm.requisite.preset", title="Preset", fields=PRESET_FIELDS, table="presets")


def register(methods: Methods) -> None:
    for family in (REQUISITE, BANK_DETAIL, PRESET):
        for verb, run in {"get": get, "list": list_, "fields": fields}.items():
            methods.add(f"{family.path}.{verb}", partial(run, family))
    for family in (REQUISITE, BANK_DETAIL):
        for verb, change in {"add": add, "update": update, "delete": delete}.items():
            methods.add(f"{family.path}.{verb}", partial(change, family))
    links = {"register": register_link, "unregister": unregister_link, "get": get_link, "list": list_links}
    for verb, link in links.items():
        methods.add(f"crm.requisite.link.{verb}", link)


def add(family: Family, call: Call) -> int:
    given = call.array("fields")
    _check_owner(family, call, given)
    record: Record = {one.name: one.default for one in family.fields} | _values(family, call, given, immutable=True)
    record |= {"DATE_CREATE": call.world.clock.now(), "CREATED_BY_ID": call.user_id}
    del record["ID"]
    record = create(call, family, record)
    return int(record["ID"])


def create(call: Call, family: Family, record: Record) -> Record:
    """Store a new record of the family and announce it."""
    family.rows(call).put(record)
    call.world.events.fire(f"ONCRM{family.event}ADD", {"FIELDS": {"ID": str(record["ID"])}})
    return record


def update(family: Family, call: Call) -> bool:
    record = _record(family, call)
    values = _values(family, call, call.array("fields"), immutable=False)
    values |= {"DATE_MODIFY": call.world.clock.now(), "MODIFY_BY_ID": call.user_id}
    family.rows(call).change(record, values)
    call.world.events.fire(f"ONCRM{family.event}UPDATE", {"FIELDS": {"ID": str(record["ID"])}})
    return True


def delete(family: Family, call: Call) -> bool:
    record = _record(family, call)
    if family is REQUISITE:
        crm.drop_requisite(call.world, record["ID"])
    else:
        family.rows(call).remove(record["ID"])
    call.world.events.fire(f"ONCRM{family.event}DELETE", {"FIELDS": {"ID": str(record["ID"])}})
    return True


def get(family: Family, call: Call) -> Record:
    return view(family, call, _record(family, call))


def list_(family: Family, call: Call) -> Listed:
    known = family.known(call)
    names = _selected(known, as_list(call.get("select")))
    page = filters.page(
        family.rows(call),
        filters.conditions(call.array("filter", optional=True), known.get),
        order=filters.read_order(call.array("order", optional=True), known.get),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, lambda record: view(family, call, record, names))


def _selected(known: Mapping[str, Field], select: Iterable[Any]) -> set[str] | None:
    """Read `select`: nothing is everything (documented); `*` has no user fields, `UF_*` has them (inferred)."""
    asked = {str(name) for name in select if name not in (None, "")}
    if not asked:
        return None
    masked = {name for name, one in known.items() if ("UF_*" if one.dynamic else "*") in asked}
    return asked | masked


def fields(family: Family, call: Call) -> Record:
    return {name: describe(one, title=name if one.dynamic else None) for name, one in family.known(call).items()}


def view(family: Family, call: Call, record: Record, names: set[str] | None = None) -> Record:
    known = family.known(call)
    return {name: printed(one, record.get(name)) for name, one in known.items() if names is None or name in names}


def _record(family: Family, call: Call) -> Record:
    record_id = call.record_id()
    record = family.rows(call).get(record_id)
    if record is None:
        raise classic(f"The {family.title} with ID '{record_id}' is not found")
    return record


def _values(family: Family, call: Call, given: Mapping[str, Any], *, immutable: bool) -> Record:
    known = family.known(call)
    values: Record = {}
    for name, raw in given.items():
        one = known.get(name)
        if one is None or one.read_only or (one.immutable and not immutable):
            continue
        try:
            values[name] = read(one, raw)
        except NotValidError:
            continue
    return values


def _check_owner(family: Family, call: Call, given: Mapping[str, Any]) -> None:
    if family is BANK_DETAIL:
        if call.world.store.requisites.get(as_int(given.get("ENTITY_ID"))) is None:
            raise no_value("ENTITY_ID")
        return
    type_id, owner_id = as_int(given.get("ENTITY_TYPE_ID")), as_int(given.get("ENTITY_ID"))
    if type_id not in {CONTACT.type_id, COMPANY.type_id}:
        raise no_value("ENTITY_TYPE_ID")
    if owner_id <= 0:
        raise no_value("ENTITY_ID")
    if crm.find(call.world, type_id, owner_id) is None:
        raise classic("Entity not found.")
    if call.world.store.presets.get(as_int(given.get("PRESET_ID"))) is None:
        raise no_value("PRESET_ID")
    if not given.get("NAME"):
        raise no_value("NAME")


def register_link(call: Call) -> bool:
    """Choose the requisites that a deal or invoice uses."""
    given = {one.name: as_int(call.array("fields").get(one.name)) for one in LINK_FIELDS}
    if given["ENTITY_TYPE_ID"] <= 0:
        raise classic("entityTypeId is not defined or invalid.")
    if given["ENTITY_ID"] <= 0:
        raise classic("entityId is not defined or invalid.")
    if crm.find(call.world, given["ENTITY_TYPE_ID"], given["ENTITY_ID"]) is None:
        raise classic("Entity is not found")
    call.world.store.requisite_links[given["ENTITY_TYPE_ID"], given["ENTITY_ID"]] = given
    return True


def unregister_link(call: Call) -> bool:
    return call.world.store.requisite_links.pop(_link_key(call), None) is not None


def get_link(call: Call) -> Record:
    key = _link_key(call)
    link = call.world.store.requisite_links.get(key)
    if link is None:
        raise classic("Not found")
    shown: Record = {one.name: str(link[one.name]) for one in LINK_FIELDS}
    return shown | {"ENTITY_TYPE_ID": key[0], "ENTITY_ID": key[1]}


def list_links(call: Call) -> Listed:
    known = {one.name: one for one in LINK_FIELDS}
    page = filters.page_of(
        list(call.world.store.requisite_links.values()),
        filters.conditions(call.array("filter", optional=True), known.get),
        order=filters.read_order(call.array("order", optional=True), known.get),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, lambda link: {name: str(value) for name, value in link.items()})


def _link_key(call: Call) -> tuple[int, int]:
    key = as_int(call.get("entityTypeId")), as_int(call.get("entityId"))
    if key[0] <= 0:
        raise classic("entityTypeId is not defined or invalid.")
    if key[1] <= 0:
        raise classic("entityId is not defined or invalid.")
    return key
