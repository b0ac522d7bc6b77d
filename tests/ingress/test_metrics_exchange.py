"""What /metrics tells of the exchange: as the stores wrote it, and nothing where Redis is away."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from ingress.app import create_app
from sync_worker.contract import BROKER_KEY_PREFIX, BUDGET_STOCK_KEY, BUDGET_TALLY_KEY, EVENTS_TALLY_KEY, all_queues
from sync_worker.domain.budget import BudgetReport, Circuit, MethodUse, Spent
from sync_worker.domain.drift import Held
from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.store.accepted import RedisLedger
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.governor import Governor
from sync_worker.store.offline import RedisOfflineNotes
from sync_worker.store.parked import RedisParked
from sync_worker.store.stock import RedisStock
from sync_worker.store.sweeps import RedisSweeps
from sync_worker.store.tally import RedisTally
from tests.contract.store_worlds import COMPANY, CONTACT, at, doorbell, letter
from tests.fakes.stores import take
from tests.ingress.conftest import NOW, NOWHERE, Queued, event_form, make_settings, post_form
from tests.services import ROOT, RedisServer

REPORT = BudgetReport(
    level=12.5,
    burst=50,
    rate_per_second=1.4,
    plan_rate_per_second=2,
    methods={
        "crm.deal.update": MethodUse(used_seconds=240, limit_seconds=480, cost_seconds=0.5),
        "batch": MethodUse(used_seconds=3, limit_seconds=420, cost_seconds=0.1),
    },
)


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as connected:
        yield connected


@pytest.fixture
def hung_port() -> Iterator[int]:
    """A port where somebody listens and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


def _samples(client: FlaskClient) -> dict[str, float]:
    """'name{label="value"}' -> number."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def _of_the_exchange(samples: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in samples.items() if name.startswith("sync_")}


def test_the_lanes_are_counted(client: FlaskClient, store: redis.Redis) -> None:
    spent = {
        "live requests": 3,
        "live commands": 40,
        "live waited_seconds": 1.25,
        "bulk refused_requests": 1,
        "bulk refused_commands": 2,
        "bulk lost_answers": 4,
    }
    store.hset(BUDGET_TALLY_KEY, mapping=spent)

    found = _samples(client)

    assert found['sync_bitrix24_requests_total{lane="live"}'] == 3
    assert found['sync_bitrix24_commands_total{lane="live"}'] == 40
    assert found['sync_bitrix24_wait_seconds_total{lane="live"}'] == 1.25
    assert found['sync_bitrix24_refused_requests_total{lane="bulk"}'] == 1
    assert found['sync_bitrix24_refused_commands_total{lane="bulk"}'] == 2
    assert found['sync_bitrix24_lost_answers_total{lane="bulk"}'] == 4
    assert found['sync_bitrix24_requests_total{lane="bulk"}'] == 0, "a lane that did nothing yet counts from 0"


def test_the_governors_own_counters_are_told(client: FlaskClient, store: redis.Redis) -> None:
    governor = Governor(
        store, name="bitrix24", rate_per_second=2, burst=50, live_share=0.3, operating_limit_seconds=480
    )
    permit = governor.take(Lane.LIVE, {"crm.deal.update": 3}, is_batch=True)
    spent = {"crm.deal.update": Spent(commands=3, seconds=1.5, operating_seconds=1.5)}
    governor.settle(permit, Lane.LIVE, spent, waited_seconds=0.25)
    governor.refused(Lane.LIVE)
    RedisStock(store).note(governor.report())

    found = _samples(client)

    assert found['sync_bitrix24_requests_total{lane="live"}'] == 1
    assert found['sync_bitrix24_commands_total{lane="live"}'] == 3
    assert found['sync_bitrix24_refused_requests_total{lane="live"}'] == 1
    assert found['sync_bitrix24_wait_seconds_total{lane="live"}'] == 0.25
    assert found["sync_bitrix24_budget_level"] == found["sync_bitrix24_budget_burst"], "a refusal counts as full"
    assert found["sync_bitrix24_requests_per_second"] < 2
    assert found['sync_bitrix24_operating_seconds{method="crm.deal.update"}'] == 1.5


def test_events_are_counted_as_the_workers_tallied_them(client: FlaskClient, store: redis.Redis) -> None:
    tally = RedisTally(store)
    tally.count(EntityKind.DEAL, Lane.LIVE, "updated")
    tally.count(EntityKind.DEAL, Lane.LIVE, "updated")
    tally.count(EntityKind.CONTACT, Lane.BULK, "dead_letter")

    found = _samples(client)

    assert found['sync_events_total{entity="deal",lane="live",outcome="updated"}'] == 2
    assert found['sync_events_total{entity="contact",lane="bulk",outcome="dead_letter"}'] == 1


def test_rows_of_the_offline_queue_are_counted(client: FlaskClient, store: redis.Redis) -> None:
    RedisOfflineNotes(store).count({"rung": 4, "kept": 1})

    found = _samples(client)

    assert found['sync_offline_rows_total{outcome="rung"}'] == 4
    assert found['sync_offline_rows_total{outcome="kept"}'] == 1


def test_the_drift_of_the_last_sweep_is_told(client: FlaskClient, store: redis.Redis) -> None:
    assert _samples(client)["sync_sweeps_held"] == 0
    sweeps = RedisSweeps(store)
    sweeps.note([], {EntityKind.DEAL: 3, EntityKind.CONTACT: 0}, at=at(0))
    sweeps.hold(Held(source="deal", reason="more than 500", found=501, at=at(0)))

    found = _samples(client)

    assert found['sync_drift{entity="deal"}'] == 3
    assert found['sync_drift{entity="contact"}'] == 0
    assert found["sync_sweeps_held"] == 1


def test_the_budget_stands_as_it_was_noted(client: FlaskClient, store: redis.Redis) -> None:
    RedisStock(store).note(REPORT)

    found = _samples(client)

    assert found["sync_bitrix24_budget_level"] == 12.5
    assert found["sync_bitrix24_budget_burst"] == 50
    assert found["sync_bitrix24_requests_per_second"] == 1.4
    assert found["sync_bitrix24_circuit_open"] == 0
    assert found['sync_bitrix24_operating_seconds{method="crm.deal.update"}'] == 240
    assert found['sync_bitrix24_operating_limit_seconds{method="crm.deal.update"}'] == 480
    assert found['sync_bitrix24_operating_seconds{method="batch"}'] == 3


def test_a_newer_note_takes_the_place_of_the_older_and_an_old_one_goes(client: FlaskClient, store: redis.Redis) -> None:
    circuit = Circuit(since=1.0, cause="shut_out", message="blocked", probe_in_seconds=15)
    RedisStock(store).note(REPORT)
    RedisStock(store).note(BudgetReport(level=0, burst=50, rate_per_second=2, plan_rate_per_second=2, circuit=circuit))

    found = _samples(client)
    lasts_seconds = store.ttl(BUDGET_STOCK_KEY)

    assert found["sync_bitrix24_circuit_open"] == 1
    assert not any("operating" in name for name in found)
    assert 0 < lasts_seconds <= 60
    store.delete(BUDGET_STOCK_KEY)
    assert "sync_bitrix24_circuit_open" not in _samples(client), "nobody knows any more"


def test_what_waits_is_counted(client: FlaskClient, store: redis.Redis) -> None:
    post_form(client, event_form("ONCRMDEALADD", ID=1))
    RedisParked(store).park(doorbell(), ready_at=at(60), reason="the budget is spent")
    letters = RedisDeadLetters(store)
    letters.add(letter())
    gone = letters.add(letter(record=COMPANY, cause="order_locked"))
    take(letters, gone.id)

    found = _samples(client)

    assert found['sync_queue_messages{queue="deal"}'] == 1
    assert found['sync_queue_messages{queue="contact.bulk"}'] == 0
    assert found["sync_parked_events"] == 1
    assert found['sync_dead_letters{cause="field_conflict"}'] == 1
    assert found.get('sync_dead_letters{cause="order_locked"}', 0) == 0
    assert CONTACT.id not in "".join(found), "no names of records, so no endless series"


def test_every_family_is_in_the_operators_guide(client: FlaskClient, store: redis.Redis) -> None:
    RedisStock(store).note(REPORT)
    RedisTally(store).count(EntityKind.DEAL, Lane.LIVE, "updated")
    RedisDeadLetters(store).add(letter())
    RedisSweeps(store).note([], {EntityKind.DEAL: 0}, at=at(0))

    names = {name.partition("{")[0] for name in _of_the_exchange(_samples(client))}

    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert len(names) == 20
    assert [name for name in sorted(names) if f"`{name}`" not in guide] == []


def test_every_queue_has_its_length(client: FlaskClient, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url(1)) as broker:
        for length, name in enumerate(all_queues(), start=1):
            broker.lpush(BROKER_KEY_PREFIX + name, *range(length))

    found = _samples(client)

    assert [found[f'sync_queue_messages{{queue="{name}"}}'] for name in all_queues()] == [*range(1, 12)]


def test_the_oldest_event_that_is_not_handled_is_told_by_entity(client: FlaskClient, store: redis.Redis) -> None:
    """The ingress of these tests sees all at NOW."""
    post_form(client, event_form("ONCRMDEALADD", ID=1))
    RedisParked(store).park(doorbell(), ready_at=at(60), reason="the budget is spent")
    now = datetime.now(UTC)

    found = _samples(client)
    told = client.get("/readyz").json

    assert found['sync_oldest_event_seconds{entity="deal"}'] == pytest.approx((now - NOW).total_seconds(), abs=60)
    assert found['sync_oldest_event_seconds{entity="contact"}'] == pytest.approx(
        (now - doorbell().seen_at).total_seconds(), abs=60
    )
    assert found['sync_oldest_event_seconds{entity="lead"}'] == 0
    assert told["status"] == "ready"
    assert told["oldest_seconds"]["deal"] == pytest.approx((now - NOW).total_seconds(), abs=60)
    assert told["oldest_seconds"]["invoice"] == 0
    assert told["queued"] == {"deal": 1}
    assert (told["parked"], told["dead_letters"]) == (1, 0)


def test_an_event_stays_the_oldest_while_a_worker_holds_it_and_until_it_is_handled(
    client: FlaskClient, queued: Callable[[], list[Queued]], broker_url: str
) -> None:
    post_form(client, event_form("ONCRMDEALADD", ID=1))
    (message,) = queued()
    while_held = _samples(client)['sync_oldest_event_seconds{entity="deal"}']
    with connect(broker_url) as broker:
        RedisLedger(broker).strike(message.headers["id"])

    assert while_held > 0
    assert _samples(client)['sync_oldest_event_seconds{entity="deal"}'] == 0


def test_an_event_of_a_clock_that_is_ahead_has_no_age(client: FlaskClient, store: redis.Redis) -> None:
    ahead = replace(doorbell(), seen_at=datetime.now(UTC) + timedelta(hours=1))
    RedisParked(store).park(ahead, ready_at=at(60), reason="the budget is spent")

    assert _samples(client)['sync_oldest_event_seconds{entity="contact"}'] == 0


def test_ages_are_not_told_where_a_part_of_them_is_not_known(redis_url: str) -> None:
    app = create_app(make_settings(NOWHERE, redis_url))

    assert "oldest_seconds" not in app.exchange.standing()
    assert app.exchange.standing()["parked"] == 0
    assert "sync_oldest_event_seconds" not in app.test_client().get("/metrics").text


def test_of_rabbitmq_only_what_is_parked_has_an_age(redis_url: str, store: redis.Redis) -> None:
    RedisParked(store).park(doorbell(), ready_at=at(60), reason="the budget is spent")
    app = create_app(make_settings("amqp://127.0.0.1:1/sync", redis_url))

    told = app.exchange.standing()

    assert told["oldest_seconds"]["contact"] > 0
    assert "queued" not in told


def test_a_field_that_nobody_can_read_is_left_out(client: FlaskClient, store: redis.Redis) -> None:
    store.hset(BUDGET_TALLY_KEY, mapping={"live requests": "many", "live commands": 2, "of a newer worker": 1})
    store.hset(EVENTS_TALLY_KEY, mapping={"deal live updated": 1, "newer": 2})

    found = _samples(client)

    assert found['sync_bitrix24_requests_total{lane="live"}'] == 0
    assert found['sync_bitrix24_commands_total{lane="live"}'] == 2
    assert [name for name in found if name.startswith("sync_events")] == [
        'sync_events_total{entity="deal",lane="live",outcome="updated"}'
    ]


def test_a_key_of_another_kind_is_no_answer(client: FlaskClient, store: redis.Redis) -> None:
    store.set(EVENTS_TALLY_KEY, "no hash")

    assert _samples(client)["sync_state_up"] == 0


@pytest.mark.parametrize("broker_url", ["amqp://127.0.0.1:1/sync", NOWHERE])
def test_queues_of_a_broker_that_is_no_redis_or_away_are_left_out(redis_url: str, broker_url: str) -> None:
    client = create_app(make_settings(broker_url, redis_url)).test_client()

    found = _of_the_exchange(_samples(client))

    assert found["sync_state_up"] == 1
    assert not any(name.startswith("sync_queue_messages") for name in found)


def test_without_redis_only_the_ingress_speaks() -> None:
    client = create_app(make_settings(NOWHERE, NOWHERE)).test_client()
    client.get("/nowhere")

    found = _samples(client)

    assert _of_the_exchange(found) == {"sync_state_up": 0}
    assert found['ingress_answers_total{path="other",status="404"}'] == 1


@pytest.mark.timeout(30)  # redis-py's own patience with a silent server has no end
def test_a_redis_that_hangs_is_not_waited_for(hung_port: int) -> None:
    url = f"redis://127.0.0.1:{hung_port}/0"
    client = create_app(make_settings(url, url)).test_client()

    assert _of_the_exchange(_samples(client)) == {"sync_state_up": 0}


def test_a_redis_that_comes_back_is_seen_at_once(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    try:
        client = create_app(make_settings(server.url(1), server.url())).test_client()
        seen = [_samples(client)["sync_state_up"]]
        server.kill()
        seen.append(_samples(client)["sync_state_up"])
        server.start()
        seen.append(_samples(client)["sync_state_up"])
        server.stop()
        server.start()  # between two scrapes: the kept connection is dead, and its death says nothing of today
        seen.append(_samples(client)["sync_state_up"])
    finally:
        server.kill()

    assert seen == [1, 0, 1, 1]


def test_making_the_application_opens_no_connection() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"

        create_app(make_settings(url, url))

        with pytest.raises(BlockingIOError):
            listener.accept()
