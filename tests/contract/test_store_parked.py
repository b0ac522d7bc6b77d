from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis

from sync_worker.contract import ChangeEvent, Lane
from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.store.parked import LEASE_SECONDS, RedisParked
from tests.contract.store_worlds import COMPANY, CONTACT, STORES, at, doorbell, onec_event
from tests.fakes.stores import MemoryParked


@pytest.fixture(params=STORES)
def parked(request: pytest.FixtureRequest) -> Any:
    return MemoryParked() if request.param == "memory" else RedisParked(client=request.getfixturevalue("client"))


def park(parked: Any, event: ChangeEvent, *, seconds: float) -> None:
    parked.park(event, ready_at=at(seconds), reason="the budget is spent")


def test_event_is_released_when_its_time_has_come(parked: Any) -> None:
    park(parked, doorbell(), seconds=10)

    assert parked.release(at(9.9), limit=10) == []
    assert parked.release(at(10), limit=10) == [doorbell()]


def test_longest_waiting_are_released_first(parked: Any) -> None:
    events = {seconds: doorbell(bitrix24_ref(RecordType.CONTACT, seconds)) for seconds in (30, 10, 20, 40)}
    for seconds, event in events.items():
        park(parked, event, seconds=seconds)

    assert parked.release(at(35), limit=2) == [events[10], events[20]]
    assert parked.release(at(35), limit=2) == [events[30]]
    assert parked.count() == 4


def test_parked_event_can_be_looked_at(parked: Any) -> None:
    park(parked, doorbell(), seconds=10)

    assert parked.find(doorbell().entity, doorbell().record) == (at(10), "the budget is spent")
    assert parked.find(doorbell().entity, COMPANY) is None
    assert parked.release(at(10), limit=10) == [doorbell()]


def test_forgotten_event_is_gone(parked: Any) -> None:
    park(parked, doorbell(), seconds=0)
    (event,) = parked.release(at(1), limit=10)

    parked.forget(event)

    assert parked.count() == 0
    assert parked.release(at(1000), limit=10) == []


def test_several_are_forgotten_at_once(parked: Any) -> None:
    for record in (CONTACT, COMPANY):
        park(parked, doorbell(record), seconds=0)
    released = parked.release(at(1), limit=10)
    park(parked, doorbell(COMPANY, seconds=3), seconds=5)

    parked.forget(*released)

    assert parked.release(at(1000), limit=10) == [doorbell(COMPANY, seconds=3)]


def test_event_of_a_releaser_who_died_is_released_again(parked: Any) -> None:
    park(parked, doorbell(), seconds=0)
    parked.release(at(1), limit=10)

    assert parked.release(at(LEASE_SECONDS), limit=10) == []
    assert parked.release(at(1 + LEASE_SECONDS), limit=10) == [doorbell()]


def test_record_parked_twice_is_one_entry_with_the_earlier_time_and_the_newer_event(parked: Any) -> None:
    park(parked, doorbell(seconds=1), seconds=10)
    park(parked, doorbell(seconds=2), seconds=99)
    park(parked, doorbell(COMPANY, seconds=3), seconds=10)

    assert parked.count() == 2
    assert {event.seen_at for event in parked.release(at(10), limit=10)} == {at(2), at(3)}


@pytest.mark.parametrize("older_first", [True, False])
def test_entry_asks_for_whatever_one_of_its_events_asked_for(parked: Any, older_first: bool) -> None:
    older = replace(doorbell(seconds=1), whole=True, letter="a")
    newer = replace(doorbell(seconds=2), lane=Lane.BULK)
    for event in (older, newer) if older_first else (newer, older):
        park(parked, event, seconds=10)

    assert parked.release(at(10), limit=10) == [replace(newer, lane=Lane.LIVE, whole=True, letter="a")]


def test_bulk_stays_bulk(parked: Any) -> None:
    bulk = replace(doorbell(), lane=Lane.BULK)
    park(parked, bulk, seconds=10)
    park(parked, bulk, seconds=10)

    assert parked.release(at(10), limit=10) == [bulk]


def test_higher_sequence_is_kept_whichever_came_first(parked: Any) -> None:
    park(parked, onec_event(6, seconds=1), seconds=10)
    park(parked, onec_event(5, seconds=2), seconds=5)

    assert parked.release(at(5), limit=10) == [onec_event(6, seconds=1)]


def test_event_parked_again_before_it_was_forgotten_stays_with_its_new_time(parked: Any) -> None:
    """Its worker was quicker than the releaser."""
    park(parked, doorbell(), seconds=0)
    (event,) = parked.release(at(1), limit=10)
    park(parked, doorbell(attempts=1), seconds=300)

    parked.forget(event)

    assert parked.count() == 1
    assert parked.release(at(299), limit=10) == []
    assert parked.release(at(300), limit=10) == [doorbell(attempts=1)]


def test_two_releasers_share_what_is_ready(client: redis.Redis) -> None:
    parked = RedisParked(client=client)
    for number in range(200):
        park(parked, doorbell(bitrix24_ref(RecordType.CONTACT, number)), seconds=0)

    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: parked.release(at(1), limit=7), range(40)))

    released = [event.record for batch in batches for event in batch]
    assert len(released) == len(set(released)) == 200


def test_rivals_park_one_entry_with_the_newest_event(client: redis.Redis) -> None:
    parked = RedisParked(client=client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: park(parked, doorbell(CONTACT, seconds=number), seconds=50 - number), range(40)))

    assert parked.release(at(11), limit=10) == [doorbell(CONTACT, seconds=39)]
    assert parked.count() == 1
