"""Bitrix24Counterparties: reading and finding, against the sandbox's portal."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import MatchKeys
from sync_worker.errors import RemoteUnavailable
from tests.contract.portal_world import INN, KPP, ONEC_ID, OTHER_ONEC_ID, SOLE_INN, onec_party, portal_world

LINKED = onec_ref(RecordType.COUNTERPARTY, ONEC_ID)


@pytest.fixture
def world():
    with portal_world() as world:
        world.know_users()
        yield world


class TestReading:
    def test_company_with_requisite_and_addresses_in_one_request(self, world):
        ref = world.company(
            PHONE=[{"VALUE": "8 (495) 123-45-67 доб. 12", "VALUE_TYPE": "WORK"}, {"VALUE": "8 916 123-45-67"}],
            EMAIL=[{"VALUE": "Office@Example.com", "VALUE_TYPE": "WORK"}],
            COMMENTS="первая\r\nвторая",
            UF_CRM_1C_ID=ONEC_ID,
        )
        requisite = world.requisite(
            ref, RQ_INN=INN, RQ_KPP=KPP, RQ_OGRN="1027700132195", RQ_COMPANY_FULL_NAME="Общество"
        )
        world.address(requisite, 6, POSTAL_CODE="101000", CITY="Москва", ADDRESS_1="Мясницкая, 1")
        world.address(requisite, 8, ADDRESS_1="а/я 5")
        with world.counted() as made:
            record = world.parties.read(ref)
        assert made == ["batch"]
        assert record.kind is Kind.COMPANY
        assert record.other_ref == ONEC_ID
        assert record.value_kinds["office@example.com"] == "work"
        assert record.fields == {
            "name": "ООО Ромашка",
            "full_name": "Общество",
            "inn": INN,
            "kpp": KPP,
            "ogrn": "1027700132195",
            "emails": ["office@example.com"],
            "phones": ["+74951234567;ext=12", "+79161234567"],
            "addresses": [
                {"kind": "legal", "postal_code": "101000", "city": "Москва", "street": "Мясницкая, 1"},
                {"kind": "postal", "street": "а/я 5"},
            ],
            "responsible": "exchange@example.com",
            "comment": "первая\nвторая",
        }

    def test_person_has_no_codes_of_a_company(self, world):
        company = world.company()
        ref = world.contact(SECOND_NAME="Петровна", COMPANY_ID=company.id)
        record = world.parties.read(ref)
        assert (record.kind, record.fields["name"], record.company_id) == (
            Kind.PERSON,
            "Осипова Анна Петровна",
            company.id,
        )
        assert not {"kpp", "ogrn", "full_name"} & record.fields.keys()
        assert (record.fields["emails"], record.fields["phones"], record.other_ref) == ([], [], None)

    @pytest.mark.parametrize(
        ("preset", "codes"),
        [(3, {"RQ_OGRNIP": "304500116000157"}), (1, {"RQ_INN": SOLE_INN, "RQ_OGRNIP": "304500116000157"})],
    )
    def test_sole_trader_by_preset_or_by_inn(self, world, preset, codes):
        ref = world.company()
        world.requisite(ref, preset=preset, **codes)
        record = world.parties.read(ref)
        assert (record.kind, record.fields["ogrn"]) == (Kind.SOLE_TRADER, "304500116000157")

    def test_without_requisite_nobody_elses_addresses_are_read(self, world):
        other = world.requisite(world.company())
        world.address(other, 6, CITY="Казань")
        record = world.parties.read(world.company())
        assert (record.fields["inn"], record.fields["addresses"]) == (None, [])

    def test_of_several_requisites_the_first_with_an_inn_counts(self, world):
        ref = world.company()
        empty, full = world.requisite(ref), world.requisite(ref, RQ_INN=INN)
        world.address(empty, 6, CITY="Казань")
        world.address(full, 6, CITY="Москва")
        with world.counted() as made:
            record = world.parties.read(ref)
        assert record.fields["inn"] == INN
        assert record.fields["addresses"] == [{"kind": "legal", "city": "Москва"}]
        assert made == ["batch", "crm.address.list"]

    def test_missing_record_is_none(self, world):
        assert world.parties.read(bitrix24_ref(RecordType.CONTACT, 77)) is None
        assert world.parties.read(bitrix24_ref(RecordType.COMPANY, 77)) is None

    def test_our_own_company_is_known(self, world):
        assert world.parties.read(bitrix24_ref(RecordType.COMPANY, 1)).is_ours

    def test_failed_part_is_no_missing_requisite(self, world):
        ref = world.company()
        world.requisite(ref, RQ_INN=INN)
        world.peer.portal.faults.replace("http500:crm.requisite.list=1x1")
        with pytest.raises(RemoteUnavailable):
            world.parties.read(ref)

    def test_owner_of_a_requisite(self, world):
        company, contact = world.company(), world.contact()
        owned = [world.requisite(company), world.requisite(contact)]
        refs = [bitrix24_ref(RecordType.REQUISITE, id_) for id_ in (*owned, 77)]
        assert [world.parties.owner_of(ref) for ref in refs] == [company, contact, None]


class TestReadingTheCard:
    REMEMBERED: ClassVar = {"inn": INN, "addresses": [], "name": "прежнее", "comment": "прежний"}

    def read_card(self, world, ref):
        return world.parties.read_card(ref, remembered=self.REMEMBERED, kind=Kind.COMPANY)

    def test_card_is_one_command_and_the_rest_is_as_remembered(self, world):
        ref = world.company(COMMENTS="новый", UF_CRM_1C_ID=ONEC_ID, PHONE=[{"VALUE": "8 916 123-45-67"}])
        with world.counted() as made:
            record = self.read_card(world, ref)
        assert made == ["crm.company.get"]
        assert (record.kind, record.other_ref, record.is_whole) == (Kind.COMPANY, ONEC_ID, False)
        assert (record.fields["inn"], record.fields["addresses"]) == (INN, [])
        assert (record.fields["name"], record.fields["comment"]) == ("ООО Ромашка", "новый")
        assert record.fields["phones"] == ["+79161234567"]

    def test_card_with_what_is_remembered_is_the_whole_record(self, world):
        ref = world.company(COMMENTS="первая")
        world.requisite(ref, RQ_INN=INN, RQ_KPP=KPP)
        whole = world.parties.read(ref)
        record = world.parties.read_card(ref, remembered=whole.fields, kind=whole.kind)
        assert replace(record, is_whole=True) == whole

    def test_card_that_is_gone_is_none(self, world):
        assert self.read_card(world, bitrix24_ref(RecordType.COMPANY, 7777)) is None

    def test_portal_that_fails_is_no_card_that_is_gone(self, world):
        world.peer.portal.faults.replace("http500:crm.company.get=1x1")
        with pytest.raises(RemoteUnavailable):
            self.read_card(world, world.company())


class TestFinding:
    @pytest.fixture(params=[True, False], ids=["with our field", "without our field"])
    def world(self, request):
        """A filter by a field that is not there is ignored, and returns everybody."""
        with portal_world(with_user_fields=request.param) as world:
            world.know_users()
            yield world

    def found(self, world, keys=None, linked_to=LINKED):
        return [record.ref for record in world.parties.find(keys or MatchKeys(), linked_to=linked_to)]

    def test_nobody_among_many(self, world):
        world.requisite(world.company(), RQ_INN=SOLE_INN)
        world.contact(EMAIL=[{"VALUE": "other@example.com"}])
        with world.counted() as made:
            assert self.found(world, MatchKeys(inn=INN, kpp=KPP)) == []
            assert self.found(world, MatchKeys(emails=("anna@example.com",))) == []
        assert made == ["batch", "batch"]

    def test_by_origin(self, world):
        world.contact(ORIGINATOR_ID="1C", ORIGIN_ID=OTHER_ONEC_ID)
        ref = world.contact(ORIGINATOR_ID="1C", ORIGIN_ID=ONEC_ID)
        world.company(ORIGINATOR_ID="shop", ORIGIN_ID=ONEC_ID)
        assert self.found(world) == [ref]

    def test_by_inn_all_branches_are_found(self, world):
        branches = [world.company(), world.company()]
        for ref, kpp in zip(branches, (KPP, "780101001"), strict=True):
            world.requisite(ref, RQ_INN=INN, RQ_KPP=kpp)
        assert self.found(world, MatchKeys(inn=INN, kpp=KPP)) == branches

    @pytest.mark.parametrize("text", ["7707083894", "770708389", "0000000000", "НЕТ", "77&07"])
    def test_by_an_inn_that_is_none_who_has_the_same_text(self, world, text):
        """So that a person sees them who settles it."""
        ref = world.company()
        world.requisite(ref, RQ_INN=text)
        world.requisite(world.company(), RQ_INN=INN)
        assert self.found(world, MatchKeys(inn=text)) == [ref]

    def test_by_email_people_only(self, world):
        ref = world.contact(EMAIL=[{"VALUE": "Anna@Example.com"}])
        world.company(EMAIL=[{"VALUE": "anna@example.com"}])
        assert self.found(world, MatchKeys(emails=("anna@example.com",))) == [ref]

    def test_our_own_company_is_nobody(self, world):
        ours = bitrix24_ref(RecordType.COMPANY, 1)
        world.requisite(ours, RQ_INN=INN)
        assert self.found(world, MatchKeys(inn=INN)) == []

    def test_created_record_names_its_partner(self, world):
        created = world.parties.create(onec_party())
        (found,) = world.parties.find(MatchKeys(), linked_to=LINKED)
        assert (found.ref, found.other_ref) == (created.ref, ONEC_ID)


def test_found_by_our_field(world):
    world.company(UF_CRM_1C_ID=OTHER_ONEC_ID)
    ref = world.company(UF_CRM_1C_ID=ONEC_ID)
    assert [record.ref for record in world.parties.find(MatchKeys(), linked_to=LINKED)] == [ref]


def test_field_that_a_person_emptied_is_not_made_up_for_by_the_origin(world):
    ref = world.company(ORIGINATOR_ID="1C", ORIGIN_ID=ONEC_ID, UF_CRM_1C_ID="")
    assert world.parties.read(ref).other_ref is None


def test_partner_is_remembered_without_our_field_too():
    with portal_world(with_user_fields=False) as world:
        current = world.parties.read(world.company())
        assert world.parties.update(current, {}, source=onec_party()).other_ref == ONEC_ID
        again = world.parties.read(current.ref)
        assert again.other_ref == ONEC_ID
        with world.counted() as made:
            assert world.parties.update(again, {}, source=replace(onec_party())) == again
        assert made == []
