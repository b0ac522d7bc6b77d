"""What an event costs: a storm of edits is one look, and an edit of a card is one command."""

from __future__ import annotations

import pytest

from sync_worker.domain.identity import EntityKind, Lane
from tests.flow.world import A_WHILE_SECONDS, INN, KPP, FlowWorld


@pytest.fixture
def world(make_world) -> FlowWorld:
    return make_world()


def test_edits_of_one_deal_that_wait_in_the_queue_cost_one_look(world):
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)
    world.drain()
    for number in range(20):
        world.portal_form(f"deals/{deal.id}", title=f"Кофемашины {number}")
    edits = world.events()

    with world.counted() as once:
        outcomes = [world.handle(event) for event in edits]

    assert outcomes == ["updated"] + ["covered"] * 19
    assert once.onec == ["POST /orders", "GET /orders"]  # and its total is compared
    assert len(once.portal) <= 4  # one look
    (order,) = world.in_onec("orders")
    assert order["title"] == "Кофемашины 19"
    world.assert_at_rest()


def test_edits_of_one_deal_that_keep_coming_are_gathered(world):
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)
    world.drain()
    world.clock.sleep(A_WHILE_SECONDS)
    world.clock.stop()
    outcomes = []
    for number in range(20):
        world.portal_form(f"deals/{deal.id}", title=f"Кофемашины {number}")
        outcomes += [world.handle_at_once(event) for event in world.events()]

    assert outcomes == ["updated"] + ["gathered"] * 19
    assert world.drain() == ["updated"]
    (order,) = world.in_onec("orders")
    assert order["title"] == "Кофемашины 19"
    world.assert_at_rest()


def test_edit_of_a_card_costs_one_command_on_the_portal(world):
    company = world.company(inn=INN, kpp=KPP, phone="8 495 555-02-02")
    world.drain()

    world.portal_form(f"companies/{company.id}", phone="8 495 555-03-03")
    (edit,) = world.events()
    with world.counted() as count:
        assert world.handle(edit) == "updated"

    assert (len(count.portal), len(count.onec)) == (1, 2)
    (party,) = world.in_onec("counterparties")
    assert (party["phones"][-1]["value"], party["inn"]) == ("+74955550303", INN)
    with world.counted() as count:
        assert world.handle(world.bell(company)) == "echo"
    assert (len(count.portal), count.onec) == (1, [])
    world.assert_at_rest()


def test_edit_of_a_requisite_reads_all_of_it(world):
    world.company(inn=INN, phone="8 495 555-02-02")
    world.drain()
    (requisite,) = world.portal.call("crm.requisite.list")

    world.portal.call("crm.requisite.update", id=requisite["ID"], fields={"RQ_KPP": KPP})
    world.drain()

    (party,) = world.in_onec("counterparties")
    assert party["kpp"] == KPP
    world.assert_at_rest()


def test_what_became_of_events_is_counted(world):
    world.handle(world.bell(world.company(inn=INN)))
    world.drain()

    counted = world.worker.tally.events()

    assert counted[EntityKind.CONTACT, Lane.LIVE, "created"] == 1
    assert set(counted) == {key for key in counted if key[1] is Lane.LIVE}
