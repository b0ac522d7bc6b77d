"""The oldest event that is not handled is found beside the ledger and beside what is parked, without reading them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from sync_worker.contract import (
    ACCEPTED_KEY,
    BROKER_KEY_PREFIX,
    PARKED_KEY,
    Accepted,
    ChangeEvent,
    EntityKind,
    event_message,
    seen_key,
)
from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.store.accepted import RedisLedger
from sync_worker.store.parked import RedisParked
from tests.contract.store_worlds import CONTACT, at, doorbell

DEAL = bitrix24_ref(RecordType.DEAL, 7)
LEDGER = BROKER_KEY_PREFIX + ACCEPTED_KEY


def seen(client: redis.Redis, events_key: str, entity: EntityKind) -> list[float]:
    """When each was seen, the oldest first, in seconds after the tests' own moment."""
    seconds = client.zrange(seen_key(events_key, entity), 0, -1, withscores=True)
    return [second - at(0).timestamp() for _, second in seconds]


def accepted(event: ChangeEvent) -> Accepted:
    return Accepted.of(event_message(event), at=0.0)


def rung(seconds: float, **more: object) -> ChangeEvent:
    return replace(doorbell(), seen_at=at(seconds), **more)


class TestLedger:
    @pytest.fixture
    def ledger(self, client: redis.Redis) -> RedisLedger:
        return RedisLedger(client)

    def test_events_are_in_the_order_in_which_they_were_seen(self, ledger: RedisLedger, client: redis.Redis) -> None:
        ledger.note("t1", accepted(rung(30)))
        ledger.note("t2", accepted(rung(10)))
        ledger.note("t3", accepted(rung(20, entity=EntityKind.DEAL, record=DEAL)))

        assert seen(client, LEDGER, EntityKind.CONTACT) == [10, 30]
        assert seen(client, LEDGER, EntityKind.DEAL) == [20]

    def test_what_is_handled_is_gone(self, ledger: RedisLedger, client: redis.Redis) -> None:
        ledger.note("t1", accepted(rung(10)))
        ledger.note("t2", accepted(rung(20)))

        ledger.strike("t1")
        left = seen(client, LEDGER, EntityKind.CONTACT)
        ledger.strike("t2")

        assert left == [20]
        assert client.keys(f"{LEDGER}*") == []

    def test_what_is_no_event_has_no_age(self, ledger: RedisLedger, client: redis.Redis) -> None:
        ledger.note("t1", Accepted(at=0.0, task="sync.misfit", queue="upkeep", kwargs={"misfit": {}}, shown=""))

        assert client.keys(f"{LEDGER}*") == [LEDGER]


class TestParked:
    @pytest.fixture
    def parked(self, client: redis.Redis) -> RedisParked:
        return RedisParked(client)

    def _park(self, parked: RedisParked, event: ChangeEvent) -> None:
        parked.park(event, ready_at=at(60), reason="a reason")

    def test_of_two_that_became_one_the_older_counts(self, parked: RedisParked, client: redis.Redis) -> None:
        self._park(parked, rung(10))
        self._park(parked, rung(20))

        assert seen(client, PARKED_KEY, EntityKind.CONTACT) == [10]

    def test_one_that_is_on_its_way_counts_no_more_for_its_record(
        self, parked: RedisParked, client: redis.Redis
    ) -> None:
        self._park(parked, rung(10))
        parked.release(at(60), limit=10)

        self._park(parked, rung(70))

        assert seen(client, PARKED_KEY, EntityKind.CONTACT) == [70]

    def test_one_that_was_released_counts_until_it_is_in_its_queue(
        self, parked: RedisParked, client: redis.Redis
    ) -> None:
        self._park(parked, rung(10))
        self._park(parked, rung(20, entity=EntityKind.DEAL, record=DEAL))
        released = parked.release(at(60), limit=10)
        before = [seen(client, PARKED_KEY, kind) for kind in (EntityKind.CONTACT, EntityKind.DEAL)]

        parked.forget(*released)

        assert before == [[10], [20]]
        assert {event.record for event in released} == {CONTACT, DEAL}
        assert client.keys("sync:parked*") == []

    def test_one_that_was_parked_again_stays(self, parked: RedisParked, client: redis.Redis) -> None:
        self._park(parked, rung(10))
        released = parked.release(at(60), limit=10)
        self._park(parked, rung(70))

        parked.forget(*released)

        assert seen(client, PARKED_KEY, EntityKind.CONTACT) == [70]
