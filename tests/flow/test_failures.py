"""Crashes, lost answers, busy systems and rivals: nothing is made twice, and nothing is forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from sandbox.faults import FaultPlan
from sync_worker.domain.identity import EntityKind
from tests.flow.world import INN, KPP, FlowWorld, crash_before_link


@pytest.fixture
def world(make_world):
    return make_world()


def make_company(world: FlowWorld) -> None:
    world.company(inn=INN, kpp=KPP, phone="8 495 555-02-02")


def make_party(world: FlowWorld) -> None:
    world.party(inn=INN, kpp=KPP, legal_address="Арбат, 1")


def make_person(world: FlowWorld) -> None:
    world.party(kind="person", name="Котова Вера Ильинична", email="vera@example.com")


def make_lead(world: FlowWorld) -> None:
    lead = world.portal_form("leads", title="Заявка", name="Олег")
    world.portal_form(f"leads/{lead}", status_id="CONVERTED")


def make_deal(world: FlowWorld) -> None:
    world.company(inn=INN, kpp=KPP)
    world.drain()
    world.deal(company_id=1 + 1)  # the first company is the portal's own


def make_invoice(world: FlowWorld) -> None:
    make_deal(world)
    world.drain()
    (order,) = world.in_onec("orders")
    world.onec.by_hand("invoices", order_ref=order["ref"])


def sizes(world: FlowWorld) -> dict[str, int]:
    """How many records of each kind there are."""
    invoices = world.portal.call("crm.item.list", entityTypeId=31)["items"]
    return {
        "companies": len(world.portal_all("company")),
        "contacts": len(world.portal_all("contact")),
        "requisites": len(world.portal.call("crm.requisite.list")),
        "addresses": len(world.portal.call("crm.address.list")),
        "smart_invoices": len(invoices) + len(world.portal.call("crm.invoice.list")),
        **{name: len(world.in_onec(name)) for name in ("counterparties", "leads", "orders")},
    }


ONCE = {
    make_company: {"companies": 1, "requisites": 1, "counterparties": 1},
    make_party: {"companies": 1, "requisites": 1, "addresses": 1, "counterparties": 1},
    make_person: {"contacts": 1, "counterparties": 1},
    make_lead: {"leads": 1},
    make_deal: {"companies": 1, "requisites": 1, "counterparties": 1, "orders": 1},
    make_invoice: {"companies": 1, "requisites": 1, "counterparties": 1, "orders": 1, "smart_invoices": 1},
}


def assert_made_once(world: FlowWorld, make: object) -> None:
    world.assert_at_rest()
    assert {name: size for name, size in sizes(world).items() if size} == ONCE[make]
    assert world.letters() == []


@pytest.mark.parametrize(
    ("make", "entity"),
    [
        (make_company, EntityKind.CONTACT),
        (make_party, EntityKind.CONTACT),
        (make_person, EntityKind.CONTACT),
        (make_lead, EntityKind.LEAD),
        (make_deal, EntityKind.DEAL),
        (make_invoice, EntityKind.INVOICE),
    ],
)
def test_killed_between_create_and_link_makes_one_record(world, make, entity):
    healthy = world.worker
    crash_before_link(world, entity)
    make(world)
    outcomes = world.drain()
    world.worker = healthy
    assert [outcome for outcome in outcomes if "killed" in outcome]
    assert_made_once(world, make)


@pytest.mark.parametrize(("make", "fault"), [(make_lead, "/leads"), (make_deal, "/orders")])
def test_document_in_1c_whose_answer_was_lost_is_made_once(world, make, fault):
    world.onec.base.faults.replace(f"reset_after:{fault}=1x1")
    make(world)
    assert "outcome_unknown" in world.drain()
    assert_made_once(world, make)


class LosingSide:
    """1C's counterparties, of which the next create loses its answer; the searches before it do not."""

    def __init__(self, side: Any, faults: FaultPlan) -> None:
        self._side = side
        self._faults = [faults]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    def create(self, record: Any, **how: Any) -> Any:
        if self._faults:
            self._faults.pop().replace("reset_after:/counterparties=1x1")
        return self._side.create(record, **how)


def test_counterparty_in_1c_whose_answer_was_lost_is_made_once(world):
    flow: Any = world.worker.flows[EntityKind.CONTACT]
    losing = replace(flow, onec=LosingSide(flow.onec, world.onec.base.faults))
    world.worker = replace(world.worker, flows={**world.worker.flows, EntityKind.CONTACT: losing})
    make_company(world)
    assert "outcome_unknown" in world.drain()
    assert_made_once(world, make_company)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (make_company, "crm.company.update"),
        (make_company, "batch"),
        (make_party, "crm.company.add"),
        (make_party, "crm.requisite.add"),
        (make_party, "crm.address.add"),
        (make_person, "crm.contact.add"),
        (make_lead, "crm.lead.update"),
        (make_deal, "crm.deal.update"),
        (make_invoice, "crm.item.add"),
        (make_invoice, "crm.item.update"),
        (make_invoice, "crm.item.productrow.set"),
    ],
)
@pytest.mark.parametrize("kind", ["reset_after", "html", "http500"])
def test_write_on_the_portal_whose_answer_was_lost_makes_one_record(world, make, fault, kind):
    world.portal.portal.faults.replace(f"{kind}:{fault}=1x1")
    make(world)
    world.drain()
    assert [one.times for one in world.portal.portal.faults.faults] == [0]  # it has struck
    assert_made_once(world, make)


def test_create_on_a_portal_without_our_field_whose_answer_was_lost_makes_one_record(make_world):
    world = make_world(with_user_fields=False)
    world.portal.portal.faults.replace("reset_after:crm.company.add=1x1")
    make_party(world)
    assert "outcome_unknown" in world.drain()
    assert_made_once(world, make_party)


def test_busy_systems_are_waited_for(world):
    world.portal.portal.faults.replace("http503:*=1x2")
    world.onec.base.faults.replace("maintenance:*=1x1,http503:*=1x1")
    make_company(world)
    outcomes = world.drain()
    assert outcomes.count("remote_unavailable") >= 3
    assert_made_once(world, make_company)


def test_lasting_failure_becomes_a_letter_by_its_age(world):
    world.onec.base.faults.replace("http503:*=1")
    make_company(world)
    (news, *_rest) = world.events()
    assert world.handle(news) == "remote_unavailable"
    world.clock.sleep(25 * 3600)
    assert world.drain() == ["remote_unavailable"] * 2  # it has its tries, though it is old
    (letter,) = world.letters()
    assert (letter.cause, letter.record) == ("remote_unavailable", news.record)
    world.onec.base.faults.replace("")
    world.replay(letter)
    world.drain()
    assert_made_once(world, make_company)


@pytest.mark.parametrize("make", [make_company, make_party, make_person, make_lead])
def test_two_workers_with_one_event_make_one_record(world, make):
    make(world)
    event = world.events()[-1]
    together = threading.Barrier(2)

    def work(worker):
        together.wait()
        world.handle(event, worker)

    rivals = [threading.Thread(target=work, args=[world.new_worker()]) for _ in range(2)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(timeout=60)
    world.drain()
    assert_made_once(world, make)


def test_two_workers_with_two_records_of_one_key_make_no_double(world):
    """Two companies of the same ИНН and КПП: one is sent, and of the other a person is asked."""
    refs = [world.company(inn=INN, kpp=KPP) for _ in range(2)]
    world.events()
    together = threading.Barrier(2)

    def work(worker, ref):
        together.wait()
        world.handle(world.bell(ref), worker)

    rivals = [threading.Thread(target=work, args=[world.new_worker(), ref]) for ref in refs]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(timeout=60)
    world.drain()
    assert len(world.in_onec("counterparties")) == 1
    (letter,) = world.letters()
    assert letter.cause == "ambiguous_match"
