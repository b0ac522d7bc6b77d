"""An hour without 1C, by a clock that is put on: what it costs the portal, and what becomes of the events."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from sync_worker.domain.identity import RecordRef
from tests.flow.world import FlowWorld

MINUTES = 60
EMPLOYEES = 6


@pytest.fixture
def world(make_world: Callable[..., FlowWorld]) -> FlowWorld:
    return make_world()


def name_of(world: FlowWorld, contact: str) -> str:
    [party] = [one for one in world.in_onec("counterparties") if one["external_id"] == f"b24:contact:{contact}"]
    return str(party["name"])


def test_an_hour_without_1c_costs_the_portal_nothing_and_no_event_its_tries(world: FlowWorld, redis_url: str) -> None:
    contacts = [world.contact(last_name=f"Сотрудник{number}") for number in range(EMPLOYEES)]
    world.drain()
    world.onec.base.faults.replace("maintenance")
    edit_all(world, contacts, "Первая")
    come_round(world)  # and with that it is known that 1C is away

    with world.counted() as count:
        for minute in range(MINUTES):
            edit_all(world, contacts, f"Минута{minute}")
            assert set(come_round(world)) <= {"circuit_open", "gathered"}
            world.clock.sleep(60)

    assert count.portal == []
    assert world.letters() == []
    assert world.worker.parked.count() == EMPLOYEES
    world.onec.base.faults.replace("")
    with redis.Redis.from_url(redis_url) as store:
        store.delete("sync:onec:away:probe")  # five seconds are over
    with world.counted() as count:
        world.drain()
    assert {name_of(world, one.id) for one in contacts} == {f"Минута{MINUTES - 1} Анна"}
    assert sum(call.startswith("POST") for call in count.onec) <= EMPLOYEES
    assert world.letters() == []
    world.assert_at_rest()


def edit_all(world: FlowWorld, contacts: list[RecordRef], last_name: str) -> None:
    for one in contacts:
        world.portal_form(f"contacts/{one.id}", last_name=last_name)


def come_round(world: FlowWorld) -> list[str]:
    """What was announced, and what was parked and whose time has come."""
    world.worker.release_parked()
    events, world.queue = [*world.queue, *world.events()], []
    return [world.handle_at_once(event) for event in events]
