"""Whom a counterparty is recognised by, who travels, and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Contacts, CounterpartyRules, Kind, Owner
from sync_worker.entities.contact import (
    DEFAULT_OWNERS,
    CounterpartyRecord,
    MatchKeys,
    address_line,
    best_candidates,
    bitrix24_type,
    canonical_addresses,
    match_keys,
    same_party,
    syncs,
)

INN, PERSON_INN = "7707083893", "500100732259"
KPP, BRANCH_KPP = "773601001", "540602001"
CONTACT, COMPANY = bitrix24_ref(RecordType.CONTACT, 42), bitrix24_ref(RecordType.COMPANY, 7)


def party(name: str = "a", *, kind: Kind = Kind.COMPANY, is_deleted: bool = False, **fields: Any) -> CounterpartyRecord:
    ref = onec_ref(RecordType.COUNTERPARTY, name)
    return CounterpartyRecord(ref=ref, kind=kind, fields=fields, is_deleted=is_deleted)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(party(inn=INN, kpp=KPP), MatchKeys(inn=INN, kpp=KPP), id="company by ИНН and КПП"),
        pytest.param(party(inn=INN, emails=["a@b"]), MatchKeys(inn=INN), id="never by both"),
        pytest.param(
            party(kind=Kind.PERSON, inn=PERSON_INN, emails=["a@b"]), MatchKeys(inn=PERSON_INN), id="person with ИНН"
        ),
        pytest.param(
            party(kind=Kind.PERSON, emails=["a@b", "c@d"]), MatchKeys(emails=("a@b", "c@d")), id="person by e-mail"
        ),
        pytest.param(party(kind=Kind.PERSON, emails=None), MatchKeys(), id="person without anything"),
        pytest.param(party(emails=["a@b"]), MatchKeys(), id="company without ИНН by nothing"),
        pytest.param(party(kind=Kind.SOLE_TRADER, emails=["a@b"]), MatchKeys(), id="sole trader without ИНН"),
        pytest.param(party(inn="7707083894"), MatchKeys(), id="a mistyped ИНН is no key"),
        pytest.param(party(inn="0000000000"), MatchKeys(), id="zeros are no key"),
    ],
)
def test_match_keys(record: CounterpartyRecord, expected: MatchKeys) -> None:
    assert match_keys(record) == expected


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (MatchKeys(inn=INN, kpp=KPP), (f"inn:{INN}",)),  # branches share an ИНН, so they wait for each other
        (MatchKeys(emails=("a@b", "c@d")), ("email:a@b", "email:c@d")),
        (MatchKeys(), ()),
    ],
)
def test_lock_names(keys: MatchKeys, names: tuple[str, ...]) -> None:
    assert keys.lock_names() == names


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param(KPP, KPP, True, id="equal"),
        pytest.param(KPP, BRANCH_KPP, False, id="another branch"),
        pytest.param(KPP, None, True, id="theirs says nothing"),
        pytest.param(None, KPP, True, id="ours says nothing"),
        pytest.param(None, None, True, id="neither says anything"),
    ],
)
def test_kpp_tells_branches_apart_where_both_have_one(ours: str | None, theirs: str | None, expected: bool) -> None:
    assert same_party(MatchKeys(inn=INN, kpp=ours), party(inn=INN, kpp=theirs)) is expected


@pytest.mark.parametrize(
    ("keys", "candidate", "expected"),
    [
        pytest.param(MatchKeys(inn=INN), party(inn=PERSON_INN), False, id="another ИНН"),
        pytest.param(MatchKeys(inn=INN), party(), False, id="no ИНН"),
        pytest.param(MatchKeys(emails=("a@b", "c@d")), party(emails=["c@d"]), True, id="one e-mail in common"),
        pytest.param(MatchKeys(emails=("a@b",)), party(emails=["c@d"]), False, id="other e-mails"),
        pytest.param(MatchKeys(emails=("a@b",)), party(emails=None), False, id="no e-mails"),
        pytest.param(MatchKeys(), party(inn=None, emails=[]), False, id="nothing matches nothing"),
    ],
)
def test_same_party(keys: MatchKeys, candidate: CounterpartyRecord, expected: bool) -> None:
    assert same_party(keys, candidate) is expected


def test_the_very_kpp_is_better_than_none() -> None:
    head, exact, other = party("a", inn=INN), party("b", inn=INN, kpp=KPP), party("c", inn=INN, kpp=BRANCH_KPP)

    assert best_candidates(MatchKeys(inn=INN, kpp=KPP), [head, exact, other]) == [exact]


def test_without_the_very_kpp_all_that_may_be_meant_are_candidates() -> None:
    head, other = party("a", inn=INN), party("c", inn=INN, kpp=BRANCH_KPP)

    assert best_candidates(MatchKeys(inn=INN, kpp=KPP), [head, other]) == [head]
    assert best_candidates(MatchKeys(inn=INN), [head, other]) == [head, other]


def test_what_is_marked_for_deletion_is_no_candidate() -> None:
    assert best_candidates(MatchKeys(inn=INN), [party(inn=INN, is_deleted=True)]) == []


# --- who travels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contacts", "company_id", "expected"),
    [
        (Contacts.ALL, None, True),
        (Contacts.ALL, "7", True),
        (Contacts.WITHOUT_COMPANY, None, True),
        (Contacts.WITHOUT_COMPANY, "7", False),
        (Contacts.NONE, None, False),
    ],
)
def test_which_contacts_become_counterparties(contacts: Contacts, company_id: str | None, expected: bool) -> None:
    record = CounterpartyRecord(ref=CONTACT, kind=Kind.PERSON, fields={}, company_id=company_id)

    assert syncs(record, CounterpartyRules(owners={}, contacts=contacts, companies=False)) is expected


@pytest.mark.parametrize("companies", [True, False])
def test_companies_are_ruled_apart_from_contacts(companies: bool) -> None:
    record = CounterpartyRecord(ref=COMPANY, kind=Kind.COMPANY, fields={})

    assert syncs(record, CounterpartyRules(owners={}, contacts=Contacts.NONE, companies=companies)) is companies


@pytest.mark.parametrize("ref", [COMPANY, CONTACT])
def test_the_seller_itself_never_travels(ref: RecordRef) -> None:
    record = CounterpartyRecord(ref=ref, kind=Kind.COMPANY, fields={}, is_ours=True)

    assert not syncs(record, CounterpartyRules(owners={}))


def test_kinds_become_companies_and_contacts() -> None:
    assert {kind: bitrix24_type(kind) for kind in Kind} == {
        Kind.COMPANY: RecordType.COMPANY,
        Kind.SOLE_TRADER: RecordType.COMPANY,
        Kind.PERSON: RecordType.CONTACT,
    }


def test_the_field_table_is_the_designs() -> None:
    owned = {owner: {name for name in DEFAULT_OWNERS if DEFAULT_OWNERS[name] is owner} for owner in Owner}

    assert owned == {
        Owner.BITRIX24: {"phones", "emails", "responsible"},
        Owner.ONEC: {"inn", "kpp", "ogrn", "full_name", "addresses"},
        Owner.SHARED: {"name", "comment"},
    }


# --- addresses -------------------------------------------------------------------------------------------------------


def test_addresses_are_sorted_by_kind_and_have_only_what_is_filled() -> None:
    addresses = [
        {"kind": "postal", "city": "Омск", "street": "", "country": None},
        {"kind": "actual", "city": "Тула"},
    ]

    assert canonical_addresses(addresses) == [{"kind": "actual", "city": "Тула"}, {"kind": "postal", "city": "Омск"}]


def test_of_two_addresses_of_one_kind_the_first_counts() -> None:
    addresses = [{"kind": "legal"}, {"kind": "legal", "city": "Омск"}, {"kind": "legal", "city": "Тула"}]

    assert canonical_addresses(addresses) == [{"kind": "legal", "city": "Омск"}]


def test_an_address_without_parts_is_none() -> None:
    assert canonical_addresses([{"kind": "legal", "text": "Омск", "city": ""}]) == []


def test_canonical_addresses_stay_as_they_are() -> None:
    once = canonical_addresses([{"kind": "legal", "city": "Омск"}, {"kind": "actual", "street": "Ленина, 1"}])

    assert canonical_addresses([*once]) == once


def test_an_address_is_written_in_the_order_of_russian_post() -> None:
    address = {"street": "Ленина, 1", "city": "Омск", "kind": "legal", "postal_code": "644000", "unit": ""}

    assert address_line(address) == "644000, Омск, Ленина, 1"
