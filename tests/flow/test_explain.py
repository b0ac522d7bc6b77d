"""`sync-worker explain` between both real systems: it tells what the worker then does, and writes nothing itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from sync_worker.cli import cli
from sync_worker.domain.identity import RecordRef
from tests.flow.test_documents import qualified_lead, sent_deal
from tests.flow.world import INN, KPP, OTHER_KPP, FlowWorld
from tests.services import ROOT

BOOK_KEEPING = ("sync:budget:", "sync:tally:budget:", "sync:slots:", "sync:sessions:")
"""Of the budget and of 1C's sessions: whoever calls keeps it."""


@pytest.fixture
def world(make_world: Callable[..., FlowWorld]) -> FlowWorld:
    return make_world()


@pytest.fixture
def explain(world: FlowWorld, redis_url: str) -> Callable[..., dict[str, Any]]:
    """Run the command, and see to it that neither system nor the store was written to."""

    def run(entity: str, id_: str, *options: str) -> dict[str, Any]:
        before = stored(redis_url)
        with world.counted() as count:
            done = invoke(entity, id_, "--json", *options)
        assert done.exit_code == 0, done.output
        assert count.writes == []
        assert world.queue == []
        assert stored(redis_url) == before
        return dict(json.loads(done.output))

    return run


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", *arguments], catch_exceptions=False)


def stored(url: str) -> dict[str, bytes]:
    with redis.Redis.from_url(url) as client:
        names = [name for name in client.scan_iter() if not name.decode().startswith(BOOK_KEEPING)]
        return {name.decode(): client.dump(name) for name in names}


def fields(found: dict[str, Any], system: str) -> dict[str, Any]:
    (action,) = [one for one in found["actions"] if one["system"] == system]
    return dict(action["fields"])


def linked_company(world: FlowWorld) -> tuple[RecordRef, str]:
    ref = world.company(inn=INN, kpp=KPP, phone="8 495 555-02-02")
    world.drain()
    (party,) = world.in_onec("counterparties")
    return ref, party["ref"]


def test_linked_and_at_rest(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref, party = linked_company(world)

    for entity, id_ in (("company", ref.id), ("counterparty", party)):
        found = explain(entity, id_)

        assert (found["state"], found["actions"]) == ("linked", [])
        assert found["link"]["onec"]["id"] == party
        assert found["link"]["bitrix24"]["id"] == ref.id


def test_unlinked_and_what_the_worker_then_does(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref = world.company(inn=INN, kpp=KPP, phone="8 495 555-02-02")

    found = explain("company", ref.id, "--reveal")
    world.drain()

    (party,) = world.in_onec("counterparties")
    assert (found["state"], found["link"]) == ("unlinked", None)
    assert found["actions"][0]["operation"] == "create"
    assert fields(found, "onec")["phones"]["to"] == [party["phones"][0]["value"]]
    assert fields(found, "onec")["external_id"]["to"] == party["external_id"]
    assert set(fields(found, "bitrix24")) == {"UF_CRM_1C_ID"}


def test_ambiguous(world: FlowWorld, explain: Callable[..., Any]) -> None:
    parties = {world.party(inn=INN, kpp=kpp) for kpp in (KPP, OTHER_KPP)}
    world.events()
    ref = world.company(inn=INN)

    found = explain("company", ref.id)

    assert (found["state"], found["actions"]) == ("ambiguous", [])
    assert {name.rpartition(":")[2] for name in found["candidates"]} == parties
    assert [failure["cause"] for failure in found["failures"]] == ["ambiguous_match"]


def test_conflicting_before_and_after_the_letter(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref, party = linked_company(world)
    world.portal_form(f"companies/{ref.id}", title="ООО Лютик")
    world.onec.by_hand(f"counterparties/{party}", name="ООО Василёк")

    fresh = explain("company", ref.id, "--reveal")
    world.drain()
    filed = explain("counterparty", party)

    assert fresh["state"] == filed["state"] == "conflicting"
    assert fresh["conflicts"]["name"] == {"baseline": "ООО Ромашка", "bitrix24": "ООО Лютик", "onec": "ООО Василёк"}
    assert filed["conflicts"]["name"] == dict.fromkeys(("baseline", "bitrix24", "onec"), "***")
    assert [letter["cause"] for letter in filed["letters"]] == ["field_conflict"]
    assert any('owners.counterparty.name = "shared"' in reason for reason in filed["reasons"])


def test_parked_and_what_a_look_would_do(world: FlowWorld, explain: Callable[..., Any]) -> None:
    deal, order = sent_deal(world)
    world.onec.by_hand(f"orders/{order['ref']}", status="Отменен")
    world.drain()
    assert [letter.cause for letter in world.letters()] == ["status_unmapped"]

    for entity, id_ in (("deal", deal.id), ("order", order["ref"])):
        found = explain(entity, id_)

        assert (found["state"], found["actions"]) == ("parked", [])
        assert [letter["cause"] for letter in found["letters"]] == ["status_unmapped"]
        assert any("has no stage ([[pipelines]] category = 0, stages)" in reason for reason in found["reasons"])


def test_deleted(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref, party = linked_company(world)
    world.portal.call("crm.company.delete", id=ref.id)

    fresh = explain("company", ref.id)
    world.drain()

    assert (fresh["state"], fresh["actions"], fresh["link"]["deleted_in"]) == ("deleted", [], None)
    for entity, id_ in (("company", ref.id), ("counterparty", party)):
        found = explain(entity, id_)
        assert (found["state"], found["link"]["deleted_in"]) == ("deleted", "bitrix24")


def test_an_edit_that_no_event_told_of_is_seen(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref, party = linked_company(world)
    world.onec.by_hand(f"counterparties/{party}", phone="8 916 555-01-01")
    world.events()  # and lost

    found = explain("company", ref.id, "--reveal")

    assert fields(found, "onec")["phones"] == {"from": ["+79165550101"], "to": ["+74955550202"]}
    assert found["merge"] != []
    assert any('owners.counterparty.phones = "bitrix24"' in reason for reason in found["reasons"])


def test_a_deal_and_then_its_order(world: FlowWorld, explain: Callable[..., Any]) -> None:
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)

    found = explain("deal", deal.id, "--reveal")
    world.drain()
    at_rest = explain("deal", deal.id)
    world.portal_form(f"deals/{deal.id}", title="Кофемолки")
    changed = explain("deal", deal.id, "--reveal")

    (order,) = world.in_onec("orders")
    assert [action["record"]["type"] for action in found["actions"]] == ["counterparty", "company", "order", "deal"]
    assert found["actions"][2]["fields"]["amount"]["to"] == order["amount"]
    assert (at_rest["state"], at_rest["actions"]) == ("linked", [])
    assert fields(changed, "onec") == {"title": {"from": "Кофемашины", "to": "Кофемолки"}}


def test_a_status_of_1c(world: FlowWorld, explain: Callable[..., Any]) -> None:
    _deal, order = sent_deal(world)
    world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")

    found = explain("order", order["ref"])

    assert fields(found, "bitrix24") == {"stage": {"from": "EXECUTING", "to": "FINAL_INVOICE"}}


def test_a_lead(world: FlowWorld, explain: Callable[..., Any]) -> None:
    lead = qualified_lead(world)

    fresh = explain("lead", lead.id)
    world.drain()
    at_rest = explain("lead", lead.id)

    assert [action["operation"] for action in fresh["actions"]] == ["create", "update"]
    assert (at_rest["state"], at_rest["actions"]) == ("linked", [])


def test_an_invoice(world: FlowWorld, explain: Callable[..., Any]) -> None:
    _deal, order = sent_deal(world)
    invoice = world.onec.by_hand("invoices", order_ref=order["ref"])["ref"]

    fresh = explain("invoice", invoice, "--reveal")
    world.drain()
    at_rest = explain("invoice", invoice)

    assert fresh["state"] == "unlinked"
    assert fields(fresh, "bitrix24")["stage"] == {"from": None, "to": "N"}
    assert (at_rest["state"], at_rest["actions"]) == ("linked", [])


def test_values_are_masked_unless_revealed(world: FlowWorld, explain: Callable[..., Any]) -> None:
    ref = world.contact(email="anna@example.com", phone="8 916 555-01-01")

    masked = json.dumps(explain("contact", ref.id), ensure_ascii=False)
    revealed = json.dumps(explain("contact", ref.id, "--reveal"), ensure_ascii=False)
    page = invoke("contact", ref.id).output

    for text in ("anna@example.com", "+79165550101", "Осипова"):
        assert text not in masked
        assert text not in page
        assert text in revealed
    assert '"emails"' in masked


def test_the_page_for_people(world: FlowWorld) -> None:
    ref, party = linked_company(world)
    world.portal_form(f"companies/{ref.id}", title="ООО Лютик")
    world.onec.by_hand(f"counterparties/{party}", name="ООО Василёк", phone="8 916 555-01-01")

    done = invoke("company", ref.id, "--reveal")

    print(done.output)
    assert done.exit_code == 0
    assert f"record     {ref}" in done.output
    assert f"partner    onec:counterparty:{party}" in done.output
    assert "state      conflicting" in done.output
    assert "ООО Лютик" in done.output
    assert "would be written: nothing" in done.output


def test_what_is_no_record_fails(world: FlowWorld) -> None:
    unknown, misspelt = invoke("warehouse", "7"), invoke("contact", "seven")

    assert (unknown.exit_code, misspelt.exit_code) == (1, 1)
    assert "there is no entity 'warehouse'" in unknown.output
    assert "is no id of a record" in misspelt.output


def test_what_cannot_be_told_fails(world: FlowWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = world.company(inn=INN)
    monkeypatch.setenv("ONEC_URL", "http://127.0.0.1:1/base")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    done = subprocess.run(
        [sys.executable, "-c", "from sync_worker.cli import main; main()", "explain", "company", ref.id],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "1C" in done.stderr
    assert "Traceback" not in done.stderr
