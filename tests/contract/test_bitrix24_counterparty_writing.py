"""Bitrix24Counterparties: what create and update leave on the portal, and that they tell it as it is.

The record that `update` returns is the flow's baseline: were it not what the next read gives, our own echo would look
like a person's change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.errors import LinkBroken, RemoteRejected
from tests.contract.portal_world import INN, KPP, ONEC_ID, SOLE_INN, PortalWorld, onec_party, portal_world

LEGAL = {"kind": "legal", "postal_code": "101000", "city": "Москва", "street": "Мясницкая, 1", "unit": "оф. 7"}
ACTUAL = {"kind": "actual", "city": "Казань", "street": "Баумана, 2"}


@pytest.fixture
def world():
    with portal_world() as world:
        world.know_users()
        yield world


def write(world: PortalWorld, ref: Any, changes: Mapping[str, Any], *, kind: Kind = Kind.COMPANY, **source: Any):
    """Update as the flow does, and hold what is returned against what the portal then says."""
    current = world.parties.read(ref)
    with world.counted() as made:
        after = world.parties.update(current, changes, source=onec_party(kind=kind, **{**changes, **source}))
    assert made == ["batch"]
    fresh = world.parties.read(ref)
    assert replace(after, is_whole=True) == fresh  # a write of the card alone reads back the card alone
    assert not after.is_whole or after.native == fresh.native
    return after


def test_created_card_is_followed_by_requisite_and_addresses_in_one_batch(world):
    party = onec_party(
        inn=INN, kpp=KPP, ogrn="1027700132195", full_name="Общество", addresses=[ACTUAL, LEGAL],
        phones=["+74951234567"], emails=["office@example.com"], comment="первая\nвторая",
    )  # fmt: skip
    created = world.parties.create(party)
    assert (created.ref.type, created.other_ref, created.fields["inn"]) == (RecordType.COMPANY, ONEC_ID, None)
    changes = {name: value for name, value in party.fields.items() if value and created.fields[name] != value}
    after = write(world, created.ref, changes)
    assert {name: after.fields[name] for name in changes} == changes


def test_created_person_is_a_contact_with_a_name_in_three(world):
    created = world.parties.create(onec_party(kind=Kind.PERSON, emails=["anna@example.com"]))
    card = world.peer.call("crm.contact.get", id=created.ref.id)
    assert (card["LAST_NAME"], card["NAME"], card["SECOND_NAME"]) == ("Осипова", "Анна", "Петровна")
    assert (card["ORIGINATOR_ID"], card["ORIGIN_ID"]) == ("1C", ONEC_ID)
    assert created == world.parties.read(created.ref)


@pytest.mark.parametrize("email", ["manager@example.com", "stranger@example.com", None])
def test_responsible_whom_the_portal_does_not_know_is_left_out(world, email):
    created = world.parties.create(onec_party(responsible=email))
    known = "manager@example.com" if email == "manager@example.com" else "exchange@example.com"
    assert created.fields["responsible"] == known
    after = write(world, created.ref, {"responsible": email, "comment": "новый"})
    assert after.fields["responsible"] == known


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ООО «Ромашка & Ко» 100%"},
        {"comment": "a=b&c#d+e\nвторая"},
        {"comment": None},
        {"phones": ["+74951234567", "+79161234567"]},
        {"phones": []},
        {"emails": ["new@example.com"]},
        {"responsible": "manager@example.com"},
        {"inn": INN, "kpp": KPP},
        {"full_name": "Общество с ограниченной ответственностью", "ogrn": "1027700132195"},
        {"kpp": None},
        {"addresses": [ACTUAL, LEGAL]},
        {"addresses": [LEGAL]},
        {"addresses": []},
        {"inn": SOLE_INN},
        {"name": "ИП Смирнов", "inn": SOLE_INN, "kpp": None, "ogrn": "304500116000157", "addresses": [LEGAL]},
    ],
    ids="+".join,
)
@pytest.mark.parametrize("with_requisite", [True, False])
def test_what_update_returns_is_what_the_portal_has(world, changes, with_requisite):
    ref = world.company(
        PHONE=[{"VALUE": "8 (495) 123-45-67"}, {"VALUE": "8 800 555-35-35"}], EMAIL=[{"VALUE": "Old@Example.com"}],
        COMMENTS="старый",
    )  # fmt: skip
    if with_requisite:
        requisite = world.requisite(ref, RQ_INN=INN, RQ_KPP="780101001", RQ_OGRN="1027700067328")
        world.address(requisite, 6, CITY="Тверь", PROVINCE="Тверская обл.")
        world.address(requisite, 1, CITY="Клин")
    before = world.parties.read(ref).fields
    after = write(world, ref, changes)
    assert {name: after.fields[name] for name in changes} == changes
    assert {name: after.fields[name] for name in before.keys() - changes.keys()} == {
        name: before[name] for name in before.keys() - changes.keys()
    }


@pytest.mark.parametrize(
    ("existing", "addresses"),
    [
        ({}, [LEGAL]),
        ({4: "прописка"}, [LEGAL]),
        ({6: "юридический"}, [LEGAL]),
        ({4: "прописка", 6: "юридический"}, [LEGAL]),
        ({4: "прописка", 6: "юридический"}, []),
        ({6: "юридический"}, [ACTUAL]),
    ],
)
@pytest.mark.parametrize("preset", [3, 5])
def test_legal_address_of_people_is_written_where_it_is_read(world, preset, existing, addresses):
    ref = world.contact()
    requisite = world.requisite(ref, preset=preset)
    for type_id, street in existing.items():
        world.address(requisite, type_id, ADDRESS_1=street)
    after = write(world, ref, {"addresses": addresses}, kind=Kind.PERSON)
    assert after.fields["addresses"] == addresses


def test_registered_address_of_a_company_is_nobodys_business(world):
    ref = world.company()
    requisite = world.requisite(ref, RQ_INN=INN)
    world.address(requisite, 4, CITY="Тверь")
    assert world.parties.read(ref).fields["addresses"] == []
    write(world, ref, {"addresses": [LEGAL]})
    kept = world.peer.call("crm.address.list", filter={"TYPE_ID": 4, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite})
    assert kept[0]["CITY"] == "Тверь"


def test_person_with_an_inn_is_a_sole_trader_from_the_first_record_on(world):
    """Else the flow would take the kind for changed, and change it in 1C."""
    created = world.parties.create(onec_party(kind=Kind.PERSON))
    after = write(world, created.ref, {"inn": SOLE_INN}, kind=Kind.PERSON)
    assert after.kind is Kind.SOLE_TRADER


def test_changing_phones_neither_repeats_nor_drops_the_others(world):
    ref = world.company(PHONE=[{"VALUE": "8 (495) 123-45-67", "VALUE_TYPE": "HOME"}, {"VALUE": "8 800 555-35-35"}])
    before = world.peer.call("crm.company.get", id=ref.id)["PHONE"]
    write(world, ref, {"phones": ["+74951234567", "+79161234567"]})
    after = world.peer.call("crm.company.get", id=ref.id)["PHONE"]
    assert after[0] == before[0]
    assert [phone["VALUE"] for phone in after] == ["8 (495) 123-45-67", "+79161234567"]


def test_requisite_that_counts_is_changed_and_the_other_left(world):
    ref = world.company()
    empty, full = world.requisite(ref), world.requisite(ref, RQ_INN=INN)
    current = world.parties.read(ref)
    changes = {"kpp": KPP, "addresses": [LEGAL]}
    after = world.parties.update(current, changes, source=onec_party(**changes))
    assert after == world.parties.read(ref)
    assert world.peer.call("crm.requisite.get", id=full)["RQ_KPP"] == KPP
    assert not world.peer.call("crm.requisite.get", id=empty)["RQ_KPP"]


def test_edit_made_meanwhile_is_not_taken_for_ours(world):
    """A manager changes the phone between our read and our write: the event of that has still to be heard."""
    ref = world.company(PHONE=[{"VALUE": "8 (495) 123-45-67"}])
    current = world.parties.read(ref)
    world.peer.form(f"/ui/companies/{ref.id}", {"phone": "+79161234567"})
    after = world.parties.update(current, {"comment": "новый"}, source=onec_party())
    assert after.fields["phones"] == ["+74951234567"]
    assert world.parties.read(ref).fields["phones"] == ["+79161234567"]


def test_nothing_is_written_where_nothing_differs(world):
    created = world.parties.create(onec_party())
    with world.counted() as made:
        assert world.parties.update(created, {}, source=onec_party()) == created
    assert made == []


def test_refused_email_is_the_portals_word_and_nothing_after_it_is_done(world):
    ref = world.company()
    current = world.parties.read(ref)
    with pytest.raises(RemoteRejected, match="e-mail"):
        world.parties.update(current, {"emails": ["a@b"], "inn": INN}, source=onec_party())
    assert world.parties.read(ref).fields["inn"] is None


@pytest.mark.parametrize(("kind", "name"), [(Kind.COMPANY, "company"), (Kind.PERSON, "contact")])
def test_field_that_the_portal_wants_filled_is_named(world, kind, name):
    """It is a refusal like others, with the field in what such letters are grouped by."""
    declared = {"USER_TYPE_ID": "string", "FIELD_NAME": "REGION", "MANDATORY": "Y"}
    current = world.parties.read(getattr(world, name)())
    world.peer.call(f"crm.{name}.userfield.add", fields=declared)
    with pytest.raises(RemoteRejected) as raised:
        world.parties.create(onec_party(kind=kind))
    assert (raised.value.code, raised.value.field) == ("ERROR_CORE", "UF_CRM_REGION")
    assert raised.value.topic == "ERROR_CORE UF_CRM_REGION"
    after = world.parties.update(current, {"comment": "новый"}, source=onec_party(kind=kind))
    assert after.fields["comment"] == "новый"  # what was blank before is no matter of this write


def test_person_without_a_name_is_refused_by_the_name_of_the_field(world):
    current = world.parties.read(world.contact())
    with pytest.raises(RemoteRejected) as raised:
        world.parties.update(current, {"name": None}, source=onec_party(kind=Kind.PERSON))
    assert raised.value.topic == "ERROR_CORE Name"


def test_update_of_a_record_that_was_deleted(world):
    current = world.parties.read(world.company())
    world.peer.call("crm.company.delete", id=current.ref.id)
    with pytest.raises(LinkBroken):
        world.parties.update(current, {"comment": "новый"}, source=onec_party())
    assert world.parties.read(bitrix24_ref(RecordType.COMPANY, current.ref.id)) is None
