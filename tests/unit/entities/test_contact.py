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
    invalid_inn,
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


def person(name: str = "p", **fields: Any) -> CounterpartyRecord:
    return party(name, kind=Kind.PERSON, **fields)


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
        pytest.param(MatchKeys(emails=("a@b", "c@d")), person(emails=["c@d"]), True, id="one e-mail in common"),
        pytest.param(MatchKeys(emails=("a@b",)), person(emails=["c@d"]), False, id="other e-mails"),
        pytest.param(MatchKeys(emails=("a@b",)), person(emails=None), False, id="no e-mails"),
        pytest.param(MatchKeys(emails=("a@b",)), party(emails=["a@b"]), False, id="the mailbox of a company"),
        pytest.param(
            MatchKeys(emails=("a@b",)),
            party(kind=Kind.SOLE_TRADER, emails=["a@b"], inn=PERSON_INN),
            True,
            id="a sole trader is a person",
        ),
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


# --- the cases of a real address book --------------------------------------------------------------------------------

HEAD = party("head", inn=INN)
BRANCH = party("branch", inn=INN, kpp=BRANCH_KPP)
MAIN = party("main", inn=INN, kpp=KPP)
STRANGER = party("stranger", inn="5024002119")


def meant(record: CounterpartyRecord, *candidates: CounterpartyRecord) -> list[CounterpartyRecord]:
    return best_candidates(match_keys(record), list(candidates))


MATCHES = {
    "branch among branches": (party(inn=INN, kpp=BRANCH_KPP), [MAIN, BRANCH, STRANGER], [BRANCH]),
    "branch where the head office has no КПП": (party(inn=INN, kpp=BRANCH_KPP), [HEAD, BRANCH], [BRANCH]),
    "branch that is not there, and a head office without КПП": (party(inn=INN, kpp=KPP), [HEAD, BRANCH], [HEAD]),
    "branch that is not there, and another": (party(inn=INN, kpp=KPP), [BRANCH], []),
    "head office without КПП alone": (party(inn=INN), [HEAD, STRANGER], [HEAD]),
    "head office without КПП among branches is for a person": (party(inn=INN), [HEAD, BRANCH], [HEAD, BRANCH]),
    "two with the very same keys are for a person": (MAIN, [MAIN, party("b", inn=INN, kpp=KPP)], None),
    "sole trader, a contact here and a company there": (
        CounterpartyRecord(ref=CONTACT, kind=Kind.SOLE_TRADER, fields={"inn": PERSON_INN, "emails": ["a@b"]}),
        [party("t", kind=Kind.SOLE_TRADER, inn=PERSON_INN), person("p", emails=["a@b"])],
        ["t"],
    ),
    "sole trader who is a person there": (
        party(kind=Kind.SOLE_TRADER, inn=PERSON_INN),
        [person("p", inn=PERSON_INN)],
        ["p"],
    ),
    "sole trader and the company that he owns": (
        party(kind=Kind.SOLE_TRADER, inn=PERSON_INN, emails=["a@b"]),
        [party("c", inn=INN, emails=["a@b"])],
        [],
    ),
    "person by e-mail": (person(emails=["a@b"]), [person("p", emails=["x@y", "a@b"]), person("q")], ["p"]),
    "person by one of several e-mails": (person(emails=["a@b", "c@d"]), [person("p", emails=["c@d"])], ["p"]),
    "two people with one mailbox are for a person": (
        person(emails=["a@b"]),
        [person("p", emails=["a@b"]), person("q", emails=["a@b"])],
        ["p", "q"],
    ),
    "contact with the mailbox of the company that he works for": (
        CounterpartyRecord(ref=CONTACT, kind=Kind.PERSON, fields={"inn": None, "emails": ["a@b"]}, company_id="7"),
        [party("c", inn=INN, emails=["a@b"]), person("p", emails=["a@b"])],
        ["p"],
    ),
    "company without ИНН is nobody known": (party(emails=["a@b"]), [person("p", emails=["a@b"]), HEAD], []),
}


@pytest.mark.parametrize(("record", "candidates", "expected"), MATCHES.values(), ids=MATCHES.keys())
def test_matching(record: CounterpartyRecord, candidates: list[CounterpartyRecord], expected: Any) -> None:
    names = [one if isinstance(one, str) else one.ref.id for one in (candidates if expected is None else expected)]

    assert [one.ref.id for one in meant(record, *candidates)] == names


@pytest.mark.parametrize("candidate", [HEAD, BRANCH, MAIN])
def test_a_branch_and_its_head_office_match_the_same_whichever_side_asks(candidate: CounterpartyRecord) -> None:
    ours = party(inn=INN, kpp=KPP)

    assert same_party(match_keys(ours), candidate) is same_party(match_keys(candidate), ours)


INVALID = {
    "wrong check digit": "7707083894",
    "wrong check digit of a person": "500100732258",
    "9 digits": "770708389",
    "11 digits": "77070838930",
    "letters": "НЕТ",
    "digits and letters": "77О7083893",
    "zeros": "0000000000",
    "a stroke": "-",
    "КПП in its place": KPP,
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_what_stands_for_an_inn_and_is_none_is_told_as_it_stands(text: str, kind: Kind) -> None:
    assert invalid_inn(party(kind=kind, inn=text)) == text
    assert match_keys(party(kind=kind, inn=text)).inn is None


@pytest.mark.parametrize("fields", [{"inn": INN}, {"inn": PERSON_INN}, {"inn": None}, {"inn": ""}, {}])
def test_a_good_inn_and_none_at_all_are_nothing_to_mend(fields: dict[str, Any]) -> None:
    assert invalid_inn(party(**fields)) is None


def test_candidates_with_the_same_wrong_inn_can_be_shown() -> None:
    wrong, other = party("a", inn="7707083894"), party("b", inn=INN)

    assert best_candidates(MatchKeys(inn=invalid_inn(wrong)), [wrong, other]) == [wrong]


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
