"""Counterparties between both real systems: whose value wins, who is whom, and that all comes to rest."""

from __future__ import annotations

import pytest

from tests.flow.world import INN, KPP


@pytest.fixture
def world(make_world):
    return make_world()


def test_company_of_the_portal_is_once_in_1c(world):
    ref = world.company(inn=INN, kpp=KPP, phone="8 495 555-02-02", email="Info@Romashka.example", address="Арбат, 1")
    outcomes = world.drain()
    (party,) = world.in_onec("counterparties")
    assert outcomes.count("created") == 1
    assert (party["external_id"], party["inn"], party["kpp"]) == (ref.external_id, INN, KPP)
    assert (party["phones"][0]["value"], party["emails"][0]["value"]) == ("+74955550202", "info@romashka.example")
    assert world.in_portal("company", ref.id)["UF_CRM_1C_ID"] == party["ref"]
    world.assert_at_rest()


def test_counterparty_of_1c_is_once_on_the_portal(world):
    ref = world.party(inn=INN, kpp=KPP, legal_address="Каланчёвская, 27", email="office@vector.example")
    assert world.drain().count("created") == 1
    (company,) = world.portal_all("company")
    (requisite,) = world.portal.call("crm.requisite.list")
    (address,) = world.portal.call("crm.address.list")
    assert (company["TITLE"], company["UF_CRM_1C_ID"], company["ORIGIN_ID"]) == ("АО Вектор", ref, ref)
    assert (requisite["RQ_INN"], requisite["RQ_KPP"]) == (INN, KPP)
    assert (address["TYPE_ID"], address["ADDRESS_1"]) == ("6", "Каланчёвская, 27")
    world.assert_at_rest()


def test_same_event_twice_makes_one_record(world):
    event = world.bell(world.company(inn=INN))
    world.events()
    assert world.handle(event) == "created"
    with world.counted() as count:
        assert world.handle(event) == "covered"
    assert (count.portal, count.onec) == ([], [])
    with world.counted() as count:
        assert world.handle(world.bell(event.record)) == "echo"
    assert count.writes == []
    assert len(world.in_onec("counterparties")) == 1
    world.assert_at_rest()


def test_echo_of_our_own_write_makes_no_call_to_the_other_side(world):
    world.handle(world.bell(world.company(inn=INN)))
    echoes = world.events()
    assert echoes  # our write of UF_CRM_1C_ID was announced
    with world.counted() as count:
        assert {world.handle(event) for event in echoes} <= {"echo", "covered"}
    assert (count.onec, count.writes) == ([], [])
    world.assert_at_rest()


def test_echo_of_a_write_from_1c_makes_no_call_to_1c(world):
    world.party(inn=INN, kpp=KPP, legal_address="Каланчёвская, 27", phone="8 495 555-02-02")
    (news,) = world.events()
    assert world.handle(news) == "created"
    with world.counted() as count:
        assert {world.handle(event) for event in world.events()} <= {"echo", "covered"}
    assert (count.onec, count.writes) == ([], [])
    world.assert_at_rest()


def test_older_state_of_1c_is_stale(world):
    ref = world.party(inn=INN)
    world.drain()
    world.onec.by_hand(f"counterparties/{ref}", full_name="Первое")
    world.onec.by_hand(f"counterparties/{ref}", full_name="Второе")
    older, newer = world.events()
    assert [world.handle(newer), world.handle(older)] == ["updated", "stale"]
    (requisite,) = world.portal.call("crm.requisite.list")
    assert requisite["RQ_COMPANY_FULL_NAME"] == "Второе"
    world.assert_at_rest()


def test_owners_value_is_put_back(world):
    ref = world.company(inn=INN, phone="8 495 555-02-02")
    world.drain()
    (party,) = world.in_onec("counterparties")
    world.onec.by_hand(f"counterparties/{party['ref']}", phone="8 495 000-00-00")
    world.drain()
    (party,) = world.in_onec("counterparties")
    assert [phone["value"] for phone in party["phones"]] == ["+74955550202"]
    assert world.in_portal("company", ref.id)["PHONE"][0]["VALUE"] == "8 495 555-02-02"
    world.assert_at_rest()


def test_both_changed_different_fields_and_both_changes_stay(world):
    ref = world.company(inn=INN, comments="старый")
    world.drain()
    (party,) = world.in_onec("counterparties")
    world.portal_form(f"companies/{ref.id}", comments="новый")
    world.onec.by_hand(f"counterparties/{party['ref']}", name="ООО Ромашка Плюс")
    world.drain()
    (party,) = world.in_onec("counterparties")
    assert (party["name"], party["comment"]) == ("ООО Ромашка Плюс", "новый")
    assert world.in_portal("company", ref.id)["TITLE"] == "ООО Ромашка Плюс"
    world.assert_at_rest()


def test_both_changed_a_shared_field_then_a_person_decides_and_it_is_replayed(world):
    ref = world.company(inn=INN)
    world.drain()
    (party,) = world.in_onec("counterparties")
    world.portal_form(f"companies/{ref.id}", title="ООО Ромашка-А")
    world.onec.by_hand(f"counterparties/{party['ref']}", name="ООО Ромашка-Б")
    with world.counted() as count:
        outcomes = world.drain()
    assert sorted(outcomes) == ["field_conflict", "parked"]
    assert count.writes == []
    (letter,) = world.letters()
    values = letter.details["fields"]["name"]
    assert (values["baseline"], values["bitrix24"], values["onec"]) == (
        "ООО Ромашка", "ООО Ромашка-А", "ООО Ромашка-Б",
    )  # fmt: skip

    world.portal_form(f"companies/{ref.id}", title="ООО Ромашка-Б")
    world.drain()
    assert len(world.letters()) == 1  # later events wait behind it
    world.replay(letter)
    world.drain()
    assert world.letters() == []
    world.assert_at_rest()
    assert world.in_portal("company", ref.id)["TITLE"] == "ООО Ромашка-Б"


@pytest.mark.parametrize("side", ["portal", "onec"])
def test_deleting_on_one_side_leaves_the_other_and_a_person_sees_it(world, side):
    ref = world.company(inn=INN)
    world.drain()
    (party,) = world.in_onec("counterparties")
    if side == "portal":
        world.portal_form(f"companies/{ref.id}/delete")
    else:
        world.onec.by_hand(f"counterparties/{party['ref']}/delete")
    with world.counted() as count:
        world.drain()
    assert count.writes == []
    (letter,) = world.letters()
    assert letter.cause == "link_broken"
    link = world.worker.links.find(ref)
    assert link.deleted_in == ("bitrix24" if side == "portal" else "onec")
    assert world.in_onec("counterparties")[0]["deleted"] is (side == "onec")
    assert len(world.portal_all("company")) == (0 if side == "portal" else 1)


def test_requisite_that_is_deleted_changes_its_owner_only(world):
    ref = world.company(inn=INN, kpp=KPP)
    world.drain()
    (requisite,) = world.portal.call("crm.requisite.list")
    world.portal.call("crm.requisite.delete", id=requisite["ID"])
    world.drain()
    assert world.letters() == []
    assert world.worker.links.find(ref).deleted_in is None
    (party,) = world.in_onec("counterparties")
    assert party["inn"] == INN  # 1C owns it, and gives it back
    (requisite,) = world.portal.call("crm.requisite.list")
    assert requisite["RQ_INN"] == INN
    world.assert_at_rest()


def test_portal_without_our_field_comes_to_rest_too(make_world):
    """Nobody ran `setup`: the ref is kept in ORIGIN_ID, and our own writes still are no news."""
    world = make_world(with_user_fields=False)
    ref = world.company(inn=INN)
    world.drain()
    (party,) = world.in_onec("counterparties")
    assert world.in_portal("company", ref.id)["ORIGIN_ID"] == party["ref"]
    world.assert_at_rest()
