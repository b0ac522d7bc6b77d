"""What the sweeps remember, over a real Redis; and which records are under way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import redis

from sync_worker.contract import Accepted, Misfit, System, event_message, misfit_message
from sync_worker.domain.drift import Held, SweepState, Swept
from sync_worker.domain.identity import EntityKind
from sync_worker.store.accepted import RedisLedger
from sync_worker.store.parked import RedisParked
from sync_worker.store.sweeps import RedisSweeps, RedisUnderWay
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, NOON, at, doorbell, onec_event

HELD = Held(source="contact", reason="more than 500", found=501, at=NOON)


@pytest.fixture
def sweeps(client: redis.Redis) -> RedisSweeps:
    return RedisSweeps(client)


def test_nothing_is_remembered_at_first(sweeps):
    assert sweeps.mark("contact") is None
    assert sweeps.held() == {}
    assert sweeps.last() is None
    assert sweeps.drift() == dict.fromkeys(EntityKind, 0)


def test_mark_is_kept_to_the_microsecond_and_by_source(sweeps):
    moment = at(5.123457)

    sweeps.move_mark("contact", moment)

    assert (sweeps.mark("contact"), sweeps.mark("deal")) == (moment, None)


def test_held_source_stays_until_it_is_let_go(sweeps):
    sweeps.hold(HELD)
    assert sweeps.held() == {"contact": HELD}

    released = replace(HELD, released_by="operator")
    sweeps.hold(released)
    assert sweeps.held() == {"contact": released}

    sweeps.let_go("contact")
    assert sweeps.held() == {}


def test_last_sweep_and_its_drift_are_told(sweeps):
    parts = [
        Swept(source="contact", state=SweepState.DONE, seen=9, rung=3, drift={EntityKind.CONTACT: 2}),
        Swept(source="onec", state=SweepState.FAILED, message="1C is closed"),
    ]

    sweeps.note(parts, {EntityKind.CONTACT: 2}, at=at(5))

    assert sweeps.last() == (at(5), parts)
    assert sweeps.drift()[EntityKind.CONTACT] == 2


def test_drift_of_an_entity_that_was_not_looked_at_stays(sweeps):
    sweeps.note([], {EntityKind.CONTACT: 2, EntityKind.DEAL: 1}, at=at(0))
    sweeps.note([], {EntityKind.CONTACT: 0}, at=at(1))

    drift = sweeps.drift()
    assert (drift[EntityKind.CONTACT], drift[EntityKind.DEAL]) == (0, 1)


def accept(client: redis.Redis, message: Any) -> None:
    RedisLedger(client).note(message.correlation_id, Accepted.of(message, at=0.0))


def test_parked_and_accepted_events_are_under_way(client):
    RedisParked(client).park(doorbell(CONTACT), ready_at=at(60), reason="1C is closed")
    RedisParked(client).park(onec_event(7), ready_at=at(60), reason="1C is closed")
    accept(client, event_message(onec_event(9)))
    accept(client, event_message(replace(doorbell(COMPANY), whole=True)))

    assert RedisUnderWay(client, client).sequences() == {
        f"contact {CONTACT}": 0,
        f"contact {COUNTERPARTY}": 9,
        f"contact {COMPANY}": 0,
        f"contact {COMPANY} whole": 0,
    }


def test_message_that_is_no_event_names_no_record(client):
    misfit = Misfit(system=System.ONEC, seen_at=NOON, trace="t", errors={"event": ["no"]}, raw={"event": 5})
    accept(client, misfit_message(misfit))

    assert RedisUnderWay(client, client).sequences() == {}


def test_queues_of_rabbitmq_are_not_looked_into(client):
    accept(client, event_message(doorbell(CONTACT)))

    assert RedisUnderWay(client, None).sequences() == {}
