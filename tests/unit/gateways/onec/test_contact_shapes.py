"""Counterparties between the contract's JSON and the canonical record."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.errors import BadEvent, RemoteRejected
from sync_worker.gateways.onec.schemas.contact import (
    can_be_sought,
    counterparty_from_state,
    read_counterparty,
    read_fields,
    show_counterparty,
)

REF = "11111111-2222-3333-4444-555555555555"
RECORD: dict[str, Any] = {
    "ref": REF.upper(),
    "version": "AAAAAAAAAAE=",
    "sequence": 7,
    "external_id": "b24:company:7",
    "changed_at": "2026-11-21T10:00:00+03:00",
    "deleted": False,
    "kind": "company",
    "name": "ООО  Ромашка ",
    "full_name": "",
    "inn": "7707083893",
    "kpp": "7736ab001",
    "ogrn": None,
    "emails": [{"value": "Office@Example.COM.", "kind": "work"}],
    "phones": [{"value": "8 (495) 123-45-67 доб. 12", "kind": "work"}, {"value": "+79161234567", "kind": "mobile"}],
    "addresses": [
        {"kind": "legal", "text": "101000, Москва", "postal_code": "101000", "city": "Москва", "street": ""},
        {"kind": "actual", "text": "г. Тверь, ул. Новая, 1", "city": "", "street": ""},
        {"kind": "postal", "text": ""},
    ],
    "responsible": {"email": "Manager@example.com", "name": "Иван  Петров"},
    "comment": "первая\r\nвторая",
}


def show(fields: dict[str, Any], kinds: dict[str, str] | None = None, responsible_name: str | None = None) -> Any:
    return show_counterparty(fields, value_kinds=kinds or {}, responsible_name=responsible_name)


def test_a_record_is_read_into_canonical_fields() -> None:
    record = read_counterparty(RECORD)

    assert record.ref == onec_ref(RecordType.COUNTERPARTY, REF)
    assert record.kind is Kind.COMPANY
    assert record.fields == {
        "name": "ООО Ромашка",
        "full_name": None,
        "inn": "7707083893",
        "kpp": "7736AB001",
        "ogrn": None,
        "emails": ["office@example.com"],
        "phones": ["+74951234567;ext=12", "+79161234567"],
        "addresses": [
            {"kind": "actual", "street": "г. Тверь, ул. Новая, 1"},
            {"kind": "legal", "postal_code": "101000", "city": "Москва"},
        ],
        "responsible": "manager@example.com",
        "comment": "первая\nвторая",
    }
    assert record.value_kinds == {
        "office@example.com": "work",
        "+74951234567;ext=12": "work",
        "+79161234567": "mobile",
    }
    assert record.responsible_name == "Иван Петров"
    assert (record.other_ref, record.version, record.sequence) == ("b24:company:7", "AAAAAAAAAAE=", 7)
    assert not record.is_deleted


def test_a_field_that_the_base_has_not_is_absent_and_not_blank() -> None:
    assert read_fields({"name": "Ромашка", "inn": None}) == {"name": "Ромашка", "inn": None}


def test_a_deletion_has_no_fields_at_all() -> None:
    ref = onec_ref(RecordType.COUNTERPARTY, REF)

    record = counterparty_from_state(ref, data=None, version="2", sequence=9, external_id=None)

    assert record.is_deleted
    assert record.fields == {}
    assert record.other_ref is None


def test_a_kind_that_the_contract_has_not_is_a_bad_event() -> None:
    with pytest.raises(BadEvent, match="kind"):
        read_counterparty({**RECORD, "kind": "alien"})


def test_what_was_written_reads_back_the_same() -> None:
    fields = read_counterparty(RECORD).fields
    kinds = read_counterparty(RECORD).value_kinds

    shown = show(dict(fields), dict(kinds), "Иван Петров")

    assert read_fields(shown) == fields


def test_an_address_is_sent_in_parts_and_as_one_line() -> None:
    address = {"kind": "legal", "postal_code": "101000", "city": "Москва", "street": "Мясницкая, 1", "unit": "5"}

    shown = show({"addresses": [address]})

    assert shown == {"addresses": [{**address, "text": "101000, Москва, Мясницкая, 1, 5"}]}


def test_an_extension_is_written_as_a_bookkeeper_does() -> None:
    assert show({"phones": ["+74951234567;ext=12"]}, {"+74951234567;ext=12": "work"}) == {
        "phones": [{"value": "+74951234567 доб. 12", "kind": "work"}]
    }


def test_only_kinds_of_the_contract_are_sent() -> None:
    kinds = {"a@example.com": "mailing", "b@example.com": "home", "+79161234567": "pager"}

    shown = show({"emails": ["a@example.com", "b@example.com", "c@example.com"], "phones": ["+79161234567"]}, kinds)

    assert shown == {
        "emails": [
            {"value": "a@example.com", "kind": "other"},
            {"value": "b@example.com", "kind": "home"},
            {"value": "c@example.com"},
        ],
        "phones": [{"value": "+79161234567", "kind": "other"}],
    }


def test_blanks_are_null_where_the_contract_allows_it() -> None:
    blank = {"full_name": "", "inn": None, "kpp": "", "ogrn": None, "comment": None, "responsible": None}

    assert show({**blank, "emails": [], "phones": [], "addresses": []}) == {
        **dict.fromkeys(blank),
        "emails": [],
        "phones": [],
        "addresses": [],
    }


def test_the_responsible_person_has_e_mail_and_name() -> None:
    shown = show({"responsible": "manager@example.com"}, responsible_name="Иван Петров")

    assert shown == {"responsible": {"email": "manager@example.com", "name": "Иван Петров"}}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        pytest.param("name", None, "needs one", id="no name"),
        pytest.param("name", "Я" * 151, "151 characters", id="a name that 1C would cut"),
        pytest.param("inn", "770708389", "999999999", id="an inn of nine digits"),
        pytest.param("kpp", "77ABC0100", "99AAA9999", id="a kpp of another shape"),
        pytest.param("ogrn", "10277001321950", "99999999999999", id="an ogrn of fourteen digits"),
        pytest.param("emails", ["иван@пример.рф"], "AAAA@AAAAAA.AA", id="an e-mail that is no ASCII"),
    ],
)
def test_what_the_contract_forbids_is_refused_before_sending(field: str, value: Any, said: str) -> None:
    with pytest.raises(RemoteRejected) as caught:
        show({field: value})

    assert (caught.value.code, caught.value.field) == ("validation", field)
    assert said in str(caught.value)
    shown = value if isinstance(value, str) else "".join(value or ["nothing"])
    assert shown not in str(caught.value)


def test_a_name_of_150_characters_is_taken() -> None:
    assert show({"name": "Я" * 150}) == {"name": "Я" * 150}


def test_only_an_address_that_1c_can_hold_is_sought() -> None:
    assert can_be_sought("a+tag@example.com")
    assert not can_be_sought("иван@example.com")
