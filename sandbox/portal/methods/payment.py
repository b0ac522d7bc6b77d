"""crm.persontype.list, crm.paysystem.list: who pays an old invoice, and how. Lists that nobody edits by REST.

Source: CRM/outdated/invoice/*.md, read 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sandbox.portal import filters
from sandbox.portal.calls import Call, Listed, Methods, listed
from sandbox.portal.fields import Field, flag, of, text
from sandbox.portal.fields import classic as printed
from sandbox.portal.store import Record

PERSON_TYPES: Sequence[Record] = ({"ID": 1, "NAME": "CRM_CONTACT"}, {"ID": 2, "NAME": "CRM_COMPANY"})
PAY_SYSTEMS: Sequence[Record] = (
    {"ID": 3, "NAME": "Банковский перевод", "PERSON_TYPE_ID": 1, "ACTIVE": "N"},
    {"ID": 4, "NAME": "Наличный расчёт", "PERSON_TYPE_ID": 1, "ACTIVE": "Y"},
    {"ID": 5, "NAME": "Банковский перевод", "PERSON_TYPE_ID": 2, "ACTIVE": "Y"},
)
_PERSON_TYPE_FIELDS = (of("integer", "ID"), text("NAME"))
_PAY_SYSTEM_FIELDS = (*_PERSON_TYPE_FIELDS, of("integer", "PERSON_TYPE_ID"), flag("ACTIVE"))


def register(methods: Methods) -> None:
    methods.add("crm.persontype.list", partial(list_, PERSON_TYPES, {one.name: one for one in _PERSON_TYPE_FIELDS}))
    methods.add("crm.paysystem.list", partial(list_, PAY_SYSTEMS, {one.name: one for one in _PAY_SYSTEM_FIELDS}))


def list_(records: Sequence[Record], known: Mapping[str, Field], call: Call) -> Listed:
    page = filters.page_of(
        records,
        filters.conditions(call.array("filter", optional=True), known.get),
        order=filters.read_order(call.array("order", optional=True), known.get),
        start=filters.read_start(call.get("start")),
    )
    return listed(page, lambda record: {name: printed(one, record[name]) for name, one in known.items()})
