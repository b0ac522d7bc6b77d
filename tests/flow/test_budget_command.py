"""`sync-worker budget` over a real Redis, whose state the exchange's own parts wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from sync_worker.bootstrap import BudgetSources, build_budget
from sync_worker.cli import cli
from sync_worker.contract import BROKER_KEY_PREFIX, EntityKind, Lane
from sync_worker.domain.budget import Spent
from sync_worker.settings import load_settings
from tests.contract.store_worlds import at, doorbell
from tests.services import RedisServer

ENVIRONMENT = {
    "B24_WEBHOOK_URL": "https://portal.example.com/rest/1/webhook-secret/",
    "B24_APPLICATION_TOKENS": "application-token",
    "ONEC_URL": "https://1c.example.com/base",
    "ONEC_USER": "Обмен",
    "ONEC_PASSWORD": "onec-password",
    "ONEC_WEBHOOK_SECRETS": "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
}
UPDATE = "crm.deal.update"


@pytest.fixture(autouse=True)
def _environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sync.toml").write_text('[budget]\noperating_limit = 100\n[invoices]\nkind = "smart"\n')
    for name, value in {**ENVIRONMENT, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sources() -> BudgetSources:
    return build_budget(load_settings())


@pytest.fixture
def broker(redis_server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(redis_server.url(1))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["budget", *arguments], catch_exceptions=False)


def _figures() -> dict[str, Any]:
    done = _run("--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def _spend(sources: BudgetSources, *, requests: int, commands: int, seconds: float, lane: Lane = Lane.LIVE) -> None:
    """So many requests of so many updates each, all of them waited for, for half a second each."""
    for _ in range(requests):
        permit = sources.governor.take(lane, {UPDATE: commands}, is_batch=commands > 1)
        used = sources.governor.report().methods.get(UPDATE)
        before = used.used_seconds - commands * permit.cost_seconds[UPDATE] if used else 0.0
        took = Spent(commands=commands, seconds=seconds * commands, operating_seconds=before + seconds * commands)
        sources.governor.settle(permit, lane, {UPDATE: took}, waited_seconds=0.5 * commands)


def _handle(sources: BudgetSources, number: int, outcome: str = "updated") -> None:
    for _ in range(number):
        sources.tally.count(EntityKind.DEAL, Lane.LIVE, outcome)


def _queue(broker: redis.Redis, queue: str, number: int) -> None:
    broker.lpush(BROKER_KEY_PREFIX + queue, *["{}"] * number)


def test_of_a_new_exchange() -> None:
    found = _figures()
    page = _run().output

    assert found["requests"]["level"] == 0
    assert found["requests"]["rate_per_second"] == found["requests"]["plan_rate_per_second"] == 2
    assert found["circuit"] is None
    assert found["lanes"]["live"]["batch_fill"] is None
    assert found["lanes"]["live"]["commands_per_event"] is None
    assert found["backlog"] == {"queues": dict.fromkeys(found["backlog"]["queues"], 0), "parked": 0}
    assert found["estimate"] is None
    assert "closed: the portal takes our calls" in page
    assert page.rstrip().endswith("no backlog")


def test_what_was_spent_is_told_by_lane_and_method(sources: BudgetSources) -> None:
    _spend(sources, requests=3, commands=4, seconds=0.25)
    _spend(sources, requests=1, commands=2, seconds=0.25, lane=Lane.BULK)
    sources.governor.refused(Lane.BULK)
    _handle(sources, 10)
    _handle(sources, 5, "waited")

    found = _figures()
    page = _run().output
    print(page)
    live, bulk = found["lanes"]["live"], found["lanes"]["bulk"]
    assert (live["requests"], live["commands"], live["batch_fill"]) == (3, 12, 4)
    assert (live["events"], live["commands_per_event"]) == (10, 1.2)
    assert live["waited_seconds_per_command"] == 0.5
    assert (bulk["commands"], bulk["refused_requests"]) == (2, 1)
    assert found["methods"][UPDATE]["used_seconds"] == pytest.approx(14 * 0.25)
    assert 90 < found["methods"][UPDATE]["limit_seconds"] <= 100
    assert found["requests"]["shut_seconds"] > 0
    assert found["requests"]["rate_per_second"] < 2
    assert UPDATE in page
    assert "nobody sends for" in page
    assert "the portal refused the plan's 2" in page


def test_an_open_circuit_is_told(sources: BudgetSources, broker: redis.Redis) -> None:
    sources.governor.failed("shut_out", "the [webhook] has expired", is_final=True)
    _queue(broker, "deal", 1)

    circuit = _figures()["circuit"]
    page = _run().output

    assert (circuit["cause"], circuit["message"]) == ("shut_out", "the [webhook] has expired")
    assert 0 < circuit["probe_in_seconds"] <= 15
    assert circuit["since"].endswith("+00:00")
    assert "OPEN since" in page
    assert "the [webhook] has expired; next probe in" in page
    assert "once the portal is open again" in page


def test_a_backlog_is_counted_with_what_workers_hold_and_what_is_parked(
    sources: BudgetSources, broker: redis.Redis
) -> None:
    _queue(broker, "deal", 3)
    _queue(broker, "contact.bulk", 7)
    _queue(broker, "upkeep", 2)
    broker.hset(BROKER_KEY_PREFIX + "unacked", "tag", json.dumps([{"body": ""}, "", "deal"]))
    sources.parked.park(doorbell(), ready_at=at(60), reason="1C is closed")

    found = _figures()

    queues = {name: number for name, number in found["backlog"]["queues"].items() if number}
    assert queues == {"deal": 4, "contact.bulk": 7, "upkeep": 2}
    assert found["backlog"]["parked"] == 1
    assert {lane: one["events"] for lane, one in found["estimate"]["lanes"].items()} == {"live": 5, "bulk": 7}


def test_an_estimate_says_what_it_is_based_on(sources: BudgetSources, broker: redis.Redis) -> None:
    _queue(broker, "deal", 1000)
    guessed = _figures()["estimate"]
    guessed_page = _run().output
    _spend(sources, requests=20, commands=6, seconds=0.5)
    _handle(sources, 100)

    measured = _figures()["estimate"]
    page = _run().output

    assert guessed["lanes"]["live"]["commands_per_event"] == {"low": 1, "high": 6}
    assert not guessed["lanes"]["live"]["is_measured"]
    assert not guessed["knows_methods"]
    assert "a guess: fewer than 50 events" in guessed_page
    assert "Running time is not in it" in guessed_page
    assert measured["lanes"]["live"]["is_measured"]
    assert measured["lanes"]["live"]["commands_per_event"]["high"] == pytest.approx(1.2 * 1.6)
    assert measured["lanes"]["live"]["limited_by"] == UPDATE
    assert 0 < measured["seconds"]["low"] <= measured["seconds"]["high"]
    print(guessed_page, page)
    assert "as measured" in page
    assert f"limited by the running time of {UPDATE}" in page


def test_without_redis_it_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:redis-secret@127.0.0.1:1/0")

    done = _run("--json")

    assert done.exit_code == 1
    assert "ConnectionError" in done.output
    assert "REDIS_URL" in done.output
    assert "redis-secret" not in done.output
