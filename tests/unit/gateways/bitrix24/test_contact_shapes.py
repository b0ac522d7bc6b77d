"""A counterparty's kind and addresses out of the portal's rows."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.gateways.bitrix24.schemas.contact import card_fields, kind_of, partner_fields, read_addresses

COMPANY, CONTACT = bitrix24_ref(RecordType.COMPANY, 1), bitrix24_ref(RecordType.CONTACT, 1)
SOLE_TRADER_PRESET = 3


def rows(**streets: str) -> list[dict[str, Any]]:
    return [{"TYPE_ID": type_id.strip("t"), "ADDRESS_1": street} for type_id, street in streets.items()]


@pytest.mark.parametrize(
    ("ref", "requisite", "kind"),
    [
        (COMPANY, None, Kind.COMPANY),
        (COMPANY, {"PRESET_ID": "1", "RQ_INN": "7707083893"}, Kind.COMPANY),
        (COMPANY, {"PRESET_ID": "3", "RQ_INN": None}, Kind.SOLE_TRADER),
        (COMPANY, {"PRESET_ID": "1", "RQ_INN": "500 100 732 259"}, Kind.SOLE_TRADER),
        (CONTACT, None, Kind.PERSON),
        (CONTACT, {"PRESET_ID": "5", "RQ_INN": ""}, Kind.PERSON),
        (CONTACT, {"PRESET_ID": "3", "RQ_INN": ""}, Kind.SOLE_TRADER),
        (CONTACT, {"PRESET_ID": "5", "RQ_INN": "500100732259"}, Kind.SOLE_TRADER),
    ],
)
def test_kind_by_card_preset_and_inn(ref, requisite, kind):
    assert kind_of(ref, requisite, SOLE_TRADER_PRESET) is kind


@pytest.mark.parametrize(
    ("type_", "kind", "found", "legal"),
    [
        (RecordType.COMPANY, Kind.COMPANY, {"t4": "прописка", "t6": "юридический"}, "юридический"),
        (RecordType.COMPANY, Kind.COMPANY, {"t4": "прописка"}, None),
        (RecordType.COMPANY, Kind.SOLE_TRADER, {"t4": "прописка", "t6": "юридический"}, "юридический"),
        (RecordType.COMPANY, Kind.SOLE_TRADER, {"t4": "прописка"}, "прописка"),
        (RecordType.CONTACT, Kind.PERSON, {"t4": "прописка", "t6": "юридический"}, "прописка"),
        (RecordType.CONTACT, Kind.PERSON, {"t6": "юридический"}, "юридический"),
        (RecordType.CONTACT, Kind.PERSON, {"t4": "", "t6": "юридический"}, "юридический"),
        (RecordType.CONTACT, Kind.SOLE_TRADER, {"t4": "прописка", "t6": "юридический"}, "юридический"),
    ],
)
def test_registered_address_is_legal_for_people_only(type_, kind, found, legal):
    read = {address["kind"]: address["street"] for address in read_addresses(type_, kind, rows(**found))}
    assert read.get("legal") == legal


def test_types_that_1c_has_not_are_left_alone():
    read = read_addresses(RecordType.COMPANY, Kind.COMPANY, rows(t11="склад", t9="бенефициар", t1="офис", t8="а/я"))
    assert [(address["kind"], address["street"]) for address in read] == [("actual", "офис"), ("postal", "а/я")]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Иванов Иван Иванович", ("Иванов", "Иван", "Иванович")),
        ("Иванов Иван", ("Иванов", "Иван", "")),
        ("Иванов", ("Иванов", "", "")),
        ("Мамедов Али Вагиф оглы", ("Мамедов", "Али", "Вагиф оглы")),
    ],
)
def test_name_of_a_person_is_taken_apart(name, fields):
    written = card_fields(RecordType.CONTACT, {"name": name}, responsible_id=None)
    assert (written["LAST_NAME"], written["NAME"], written["SECOND_NAME"]) == fields


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ({"UF_CRM_1C_ID": None}, {"UF_CRM_1C_ID"}),
        ({"UF_CRM_1C_ID": "old", "ORIGIN_ID": "x"}, {"UF_CRM_1C_ID"}),
        ({"ORIGIN_ID": None}, {"UF_CRM_1C_ID", "ORIGINATOR_ID", "ORIGIN_ID"}),
    ],
)
def test_origin_stands_in_where_the_portal_has_not_our_field(card, names):
    assert set(partner_fields(card, "ref")) == names
