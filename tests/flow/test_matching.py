"""Who is whom: people and companies, branches of one ИНН, and those who do not travel at all."""

from __future__ import annotations

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import RecordType, bitrix24_ref, onec_ref
from tests.flow.world import INN, KPP, OTHER_KPP

SOLE_INN = "500100732259"


@pytest.fixture
def world(make_world):
    return make_world()


class TestContacts:
    def test_contact_of_a_company_is_its_company_where_the_rules_say_so(self, make_world):
        world = make_world(contacts="without_company")
        company = world.company(inn=INN)
        world.contact(company_id=company.id)
        alone = world.contact(last_name="Смирнов", name="Олег")
        world.drain()
        assert {party["external_id"] for party in world.in_onec("counterparties")} == {
            company.external_id,
            alone.external_id,
        }
        world.assert_at_rest()

    def test_person_is_found_by_email(self, world):
        party = world.party(kind="person", name="Осипова Анна", email="anna@example.com")
        world.events()
        ref = world.contact(email="Anna@Example.com", phone="8 916 555-01-01")
        world.drain()
        (person,) = world.in_onec("counterparties")
        assert (person["ref"], person["external_id"]) == (party, ref.external_id)
        world.assert_at_rest()

    def test_person_of_1c_with_an_inn_stays_a_person_there(self, world):
        """On the portal a 12-digit ИНН makes a sole trader of it; that is no change of a person's."""
        world.party(kind="person", name="Котова Вера Ильинична", inn=SOLE_INN)
        world.drain()
        world.assert_at_rest()
        (person,) = world.in_onec("counterparties")
        assert person["kind"] == "person"
        assert len(world.portal_all("contact")) == 1

    def test_company_that_becomes_a_sole_trader_becomes_one_in_1c(self, world):
        ref = world.company(title="Смирнов")
        world.drain()
        world.portal_form(f"companies/{ref.id}", inn=SOLE_INN)
        world.drain()
        (party,) = world.in_onec("counterparties")
        assert (party["kind"], party["inn"]) == ("sole_trader", SOLE_INN)
        world.assert_at_rest()


class TestMatching:
    @pytest.fixture
    def branches(self, world):
        """Two branches in 1C, which the portal has not heard of."""
        refs = {kpp: world.party(inn=INN, kpp=kpp, name=f"Филиал {kpp}") for kpp in (KPP, OTHER_KPP)}
        world.events()
        return refs

    def test_branch_is_told_by_its_kpp(self, world, branches):
        ref = world.company(title=f"Филиал {OTHER_KPP}", inn=INN, kpp=OTHER_KPP)
        world.drain()
        assert world.worker.links.find(ref).onec.id == branches[OTHER_KPP]
        assert len(world.in_onec("counterparties")) == 2
        world.assert_at_rest()

    def test_without_kpp_a_person_picks_the_branch(self, world, branches):
        ref = world.company(inn=INN)
        with world.counted() as count:
            world.drain()
        (letter,) = world.letters()
        assert (letter.cause, count.writes) == ("ambiguous_match", [])
        assert set(letter.details["candidates"]) == {
            str(onec_ref(RecordType.COUNTERPARTY, branch)) for branch in branches.values()
        }
        assert world.worker.links.find(ref) is None

    def test_branches_on_the_portal_are_told_by_kpp_as_well(self, world):
        companies = {kpp: world.company(inn=INN, kpp=kpp, title=f"Филиал {kpp}") for kpp in (KPP, OTHER_KPP)}
        world.events()
        ref = world.party(inn=INN, kpp=KPP, name=f"Филиал {KPP}")
        world.drain()
        assert world.in_portal("company", companies[KPP].id)["UF_CRM_1C_ID"] == ref
        assert not world.in_portal("company", companies[OTHER_KPP].id)["UF_CRM_1C_ID"]

    def test_our_own_company_never_travels(self, world):
        assert world.handle(world.bell(bitrix24_ref(RecordType.COMPANY, 1))) == "skipped"
        assert world.in_onec("counterparties") == []

    def test_deleted_before_it_was_ever_sent_is_nothing(self, world):
        ref = world.company()
        world.portal_form(f"companies/{ref.id}/delete")
        assert set(world.drain()) == {"skipped"}
        assert world.handle(world.bell(ref, Change.DELETED)) == "skipped"
        assert world.letters() == []
