"""Which record an event names; the documented forms are read in tests/ingress/test_bitrix24.py."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.doorbell import CODES, Bell, Meaning, NoId, codes_to_hear, positive_id, read_doorbell
from sync_worker.domain.identity import EntityKind, RecordType

CONTACT, INVOICE = EntityKind.CONTACT, EntityKind.INVOICE


@pytest.mark.parametrize(("value", "id_"), [("7", "7"), (" 007 ", "7"), (7, "7"), (10**18, str(10**18))])
def test_an_id_is_a_positive_number_in_a_form_or_in_json(value: object, id_: str) -> None:
    assert positive_id(value) == id_


@pytest.mark.parametrize("value", ["", "0", "-5", "1e3", "٣", "9" * 20, 0, -5, 7.0, True, None, [], {"0": "1"}])
def test_anything_else_is_none(value: object) -> None:
    assert positive_id(value) is None


@pytest.mark.parametrize(
    ("code", "fields", "meaning", "id_"),
    [
        ("ONCRMCONTACTUPDATE", {"ID": "4"}, Meaning(entity=CONTACT, type=RecordType.CONTACT), "4"),
        ("ONCRMCOMPANYDELETE", {"ID": 4}, Meaning(entity=CONTACT, type=RecordType.COMPANY, is_deleted=True), "4"),
        (
            "ONCRMDYNAMICITEMDELETE",
            {"ID": 4, "ENTITY_TYPE_ID": 31},
            Meaning(entity=INVOICE, type=RecordType.INVOICE, is_deleted=True),
            "4",
        ),
        ("ONCRMDYNAMICITEMUPDATE_31", {"ID": "4"}, Meaning(entity=INVOICE, type=RecordType.INVOICE), "4"),
        (
            "ONCRMADDRESSREGISTER",
            {"ANCHOR_TYPE_ID": 4, "ANCHOR_ID": 9},
            Meaning(entity=CONTACT, type=RecordType.COMPANY, whole=True),
            "9",
        ),
        (
            "ONCRMADDRESSUNREGISTER",
            {"ENTITY_TYPE_ID": "1", "ENTITY_ID": "5"},
            Meaning(entity=EntityKind.LEAD, type=RecordType.LEAD),
            "5",
        ),
    ],
)
def test_a_code_and_its_fields_name_a_record(code: str, fields: dict[str, Any], meaning: Meaning, id_: str) -> None:
    assert read_doorbell(code, fields) == Bell(meaning=meaning, id=id_)


@pytest.mark.parametrize(
    ("code", "fields", "missing"),
    [
        ("ONCRMDEALADD", {}, NoId(field="ID", entity=EntityKind.DEAL)),
        ("ONCRMDYNAMICITEMADD", {"ID": 1}, NoId(field="ENTITY_TYPE_ID")),
        ("ONCRMADDRESSREGISTER", {"ANCHOR_ID": 1}, NoId(field="ANCHOR_TYPE_ID", entity=CONTACT)),
        ("ONCRMADDRESSREGISTER", {"ANCHOR_TYPE_ID": 3}, NoId(field="ID", entity=CONTACT)),
    ],
)
def test_an_event_of_ours_without_its_id_says_which_is_missing(
    code: str, fields: dict[str, Any], missing: NoId
) -> None:
    assert read_doorbell(code, fields) == missing


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("ONCRMACTIVITYADD", {"ID": 1}),
        ("ONCRMDYNAMICITEMADD", {"ID": 1, "ENTITY_TYPE_ID": 128}),
        ("ONCRMADDRESSREGISTER", {"ANCHOR_TYPE_ID": 2, "ANCHOR_ID": 9}),
        ("", {}),
    ],
)
def test_what_nobody_handles_is_nothing(code: str, fields: dict[str, Any]) -> None:
    assert read_doorbell(code, fields) is None


@pytest.mark.parametrize("smart", [True, False])
def test_what_is_listened_to_is_what_can_be_read_with_one_kind_of_invoices(smart: bool) -> None:
    codes = codes_to_hear(smart_invoices=smart)

    ids = {"ID": 1, "ENTITY_TYPE_ID": 31, "ANCHOR_TYPE_ID": 3, "ANCHOR_ID": 1}
    assert all(isinstance(read_doorbell(code, ids), Bell) for code in codes)
    assert ("ONCRMDYNAMICITEMDELETE" in codes) is smart
    assert ("ONCRMINVOICESETSTATUS" in codes) is not smart
    assert "ONCRMDEALMOVETOCATEGORY" in codes
    assert len(set(codes)) == len(codes) >= len(CODES)
