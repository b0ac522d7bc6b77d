"""`sync-worker rebuild` after Redis was lost, between both real systems."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from sync_worker.bootstrap import build_rebuild
from sync_worker.cli import cli
from sync_worker.domain.identity import RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link
from sync_worker.settings import load_settings
from sync_worker.store.client import connect
from sync_worker.store.links import RedisLinks
from tests.flow.world import INN, FlowWorld

SIDES = ("companies", "contacts", "leads", "deals"), ("counterparties", "leads", "orders", "invoices")


@pytest.fixture
def store(redis_url: str) -> redis.Redis:
    return connect(redis_url)


@pytest.fixture
def world(make_world: Callable[..., FlowWorld]) -> FlowWorld:
    return make_world()


def links_in(store: redis.Redis) -> set[Link]:
    found, after = RedisLinks(store).all(None, limit=10_000)
    assert after is None
    return set(found)


def rebuilt(*arguments: str) -> Result:
    done = CliRunner().invoke(cli, ["rebuild", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def figures() -> dict[str, Any]:
    return dict(json.loads(rebuilt("--json").stdout))


def saved(told: dict[str, Any]) -> dict[str, int]:
    return {kind: found["saved"] for kind, found in told["kinds"].items()}


def play_all(world: FlowWorld) -> dict[str, Any]:
    """A company, a contact, a lead, a deal with its order at a new status, and its invoice; all linked."""
    company = world.company(inn=INN, kpp="773601001")
    world.contact(email="anna@example.com")
    world.party(name="АО Вектор")
    lead = world.portal_form("leads", title="Заявка", name="Олег")
    world.portal_form(f"leads/{lead}", status_id="CONVERTED")
    deal = world.deal(company_id=company.id)
    world.drain()
    (order,) = world.in_onec("orders")
    invoice = world.onec.by_hand("invoices", order_ref=order["ref"])
    world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")
    world.drain()
    return {"company": company, "deal": deal, "lead": lead, "order": order["ref"], "invoice": invoice["ref"]}


def counts(world: FlowWorld) -> dict[str, int]:
    invoices = world.portal.call("crm.item.list", entityTypeId=31)["items"]
    portal = {type_: len(world.portal_all(type_)) for type_ in ("company", "contact", "lead", "deal")}
    return {**portal, "card": len(invoices), **{type_: len(world.in_onec(type_)) for type_ in SIDES[1]}}


def test_links_are_as_before_and_an_edit_makes_no_duplicate(world: FlowWorld, store: redis.Redis) -> None:
    made = play_all(world)
    before, there = links_in(store), counts(world)
    assert {link.onec.type.value for link in before} == {"counterparty", "lead", "order", "invoice"}
    store.flushall()

    with world.counted() as asked:
        told = figures()

    assert links_in(store) == before
    assert saved(told) == {"counterparty": 3, "lead": 1, "order": 1, "invoice": 1}
    assert told["contradictions"] == []
    assert asked.writes == []
    assert list(store.scan_iter("sync:rebuild*")) == []

    world.portal_form(f"companies/{made['company'].id}", phone="8 800 555-35-35")
    world.portal_form(f"deals/{made['deal'].id}", title="Кофемашины и зёрна")
    world.portal_form(f"leads/{made['lead']}", title="Заявка 2")
    world.onec.by_hand(f"invoices/{made['invoice']}", paid_amount="1200.50")
    world.onec.by_hand(f"orders/{made['order']}", status="Закрыт")
    world.drain()

    assert counts(world) == there
    assert links_in(store) == before
    assert world.letters() == []
    assert [deal["STAGE_ID"] for deal in world.portal_all("deal")] == ["WON"]
    assert [order["title"] for order in world.in_onec("orders")] == ["Кофемашины и зёрна"]
    with world.counted() as asked:
        for link in before:
            world.handle(world.bell(link.bitrix24))
    assert asked.writes == []  # what merges without a baseline, and does not differ, is only remembered
    world.assert_at_rest()
    assert counts(world) == there


def test_a_second_run_saves_nothing(world: FlowWorld, store: redis.Redis) -> None:
    play_all(world)
    store.flushall()
    rebuilt()
    again = figures()
    assert set(saved(again).values()) == {0}
    assert sum(kind["known"] for kind in again["kinds"].values()) == 6


def test_a_link_that_is_there_is_not_overwritten(world: FlowWorld, store: redis.Redis) -> None:
    play_all(world)
    company = next(link for link in links_in(store) if link.bitrix24.type is RecordType.COMPANY)
    stranger = Link(bitrix24=company.bitrix24, onec=onec_ref(RecordType.COUNTERPARTY, "1" * 8))
    RedisLinks(store).save(stranger)
    told = figures()
    assert RedisLinks(store).find(company.bitrix24) == stranger
    assert [one["why"] for one in told["contradictions"]] == ["linked_elsewhere"]


def test_a_tombstone_stays_one(world: FlowWorld, store: redis.Redis) -> None:
    play_all(world)
    company = next(link for link in links_in(store) if link.bitrix24.type is RecordType.COMPANY)
    RedisLinks(store).save(company.bury(System.ONEC))
    rebuilt()
    assert RedisLinks(store).find(company.bitrix24) == company.bury(System.ONEC)


def of_company(world: FlowWorld, **fields: Any) -> RecordRef:
    return bitrix24_ref(
        RecordType.COMPANY, world.portal.call("crm.company.add", fields={"TITLE": "ООО Тень", **fields})
    )


def names_in_onec(world: FlowWorld, ref: str, external_id: str | None) -> None:
    store = world.onec.base.store
    stored = store.get("counterparties", ref)
    assert stored is not None
    store.write(stored, external_id=external_id)


def test_one_that_is_named_by_one_side_only_is_linked(world: FlowWorld, store: redis.Redis) -> None:
    by_card, by_onec = world.party(name="АО Первое"), world.party(name="АО Второе")
    first, second = of_company(world, UF_CRM_1C_ID=by_card), of_company(world)
    names_in_onec(world, by_onec, second.external_id)
    told = figures()
    assert links_in(store) == {
        Link(bitrix24=first, onec=onec_ref(RecordType.COUNTERPARTY, by_card)),
        Link(bitrix24=second, onec=onec_ref(RecordType.COUNTERPARTY, by_onec)),
    }
    assert saved(told)["counterparty"] == 2
    assert told["contradictions"] == []


def test_contradictions_are_listed_and_nothing_is_written_for_them(world: FlowWorld, store: redis.Redis) -> None:
    twice, taken, marked = (world.party(name=f"АО {name}") for name in ("Дважды", "Занято", "Удалено"))
    owner = of_company(world, UF_CRM_1C_ID=taken)
    names_in_onec(world, taken, owner.external_id)
    world.onec.by_hand(f"counterparties/{marked}/delete")
    wrong = {
        of_company(world, UF_CRM_1C_ID=twice): "several",
        of_company(world, UF_CRM_1C_ID=twice.upper()): "several",
        of_company(world, UF_CRM_1C_ID=taken): "names_another",
        of_company(world, UF_CRM_1C_ID=marked): "marked",
        of_company(world, UF_CRM_1C_ID="не 1С"): "missing",
    }
    orphan = world.party(name="АО Сирота")
    names_in_onec(world, orphan, "b24:company:4711")

    with world.counted() as asked:
        told = figures()

    expected = {str(ref): why for ref, why in wrong.items()}
    expected[str(onec_ref(RecordType.COUNTERPARTY, orphan))] = "missing"
    assert {one["record"]: one["why"] for one in told["contradictions"]} == expected
    assert links_in(store) == {Link(bitrix24=owner, onec=onec_ref(RecordType.COUNTERPARTY, taken))}
    assert asked.writes == []
    shown = rebuilt().stdout
    assert "names another" in shown
    assert "is marked for deletion" in shown


def test_a_copied_deal_does_not_take_the_order(world: FlowWorld, store: redis.Redis) -> None:
    """Copying a deal on the portal copies UF_CRM_1C_ID along."""
    made = play_all(world)
    world.portal.call("crm.deal.add", fields={"TITLE": "Копия", "STAGE_ID": "NEW", "UF_CRM_1C_ID": made["order"]})
    store.flushall()
    told = figures()
    assert RedisLinks(store).find(made["deal"]) == Link(
        bitrix24=made["deal"], onec=onec_ref(RecordType.ORDER, made["order"])
    )
    assert [(one["why"], one["other"]) for one in told["contradictions"]] == [("names_another", str(made["deal"]))]


class KilledError(BaseException):
    """As SIGKILL: nothing catches it."""


def test_a_run_that_was_stopped_goes_on_where_it_was(world: FlowWorld, store: redis.Redis) -> None:
    for number in range(120):
        world.contact(last_name=f"Фамилия{number}", email=f"person{number}@example.com")
    world.drain()
    before = links_in(store)
    store.flushall()

    def stop_within_the_contacts(step: Any) -> None:
        if "Bitrix24 contact" in step.doing:
            raise KilledError

    with pytest.raises(KilledError):
        build_rebuild(load_settings()).run(stop_within_the_contacts)
    with world.counted() as asked:
        report = build_rebuild(load_settings()).run()

    assert links_in(store) == before
    assert "GET /counterparties" not in asked.onec
    assert report.kinds[RecordType.COUNTERPARTY].seen[System.BITRIX24] == 70
    assert report.kinds[RecordType.COUNTERPARTY].saved == 120


def test_calls_are_bulk_work(world: FlowWorld, store: redis.Redis) -> None:
    world.contact()
    rebuilt()
    lanes = store.hgetall("sync:tally:budget:bitrix24")
    assert any(key.startswith("bulk ") for key in lanes)
    assert not any(key.startswith("live ") for key in lanes)
