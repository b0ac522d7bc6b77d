"""What people were told survives, and is forgotten by cause (port Alarms)."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.domain.alert import Told
from sync_worker.errors import StoreUnavailable
from sync_worker.store.alerts import RedisAlarms
from sync_worker.store.client import connect
from tests.contract.store_worlds import at
from tests.services import free_port


@pytest.fixture
def alarms(client: redis.Redis) -> RedisAlarms:
    return RedisAlarms(client)


def test_nobody_was_told_anything_at_first(alarms: RedisAlarms) -> None:
    assert alarms.told() == {}


def test_what_was_told_is_found_by_another_process(alarms: RedisAlarms, redis_url: str) -> None:
    alarms.note("field_conflict", Told(count=3, at=at(0)))
    alarms.note("order_locked", Told(count=1, at=at(0.000001)))
    alarms.note("field_conflict", Told(count=30, at=at(60)))

    with connect(redis_url) as other:
        found = RedisAlarms(other).told()

    assert found == {"field_conflict": Told(count=30, at=at(60)), "order_locked": Told(count=1, at=at(0.000001))}


def test_only_the_named_causes_are_forgotten(alarms: RedisAlarms) -> None:
    for cause in ("field_conflict", "order_locked", "link_broken"):
        alarms.note(cause, Told(count=1, at=at(0)))

    alarms.forget({"field_conflict", "link_broken", "never_told"})
    alarms.forget(set())

    assert set(alarms.told()) == {"order_locked"}


def test_what_was_told_never_expires(alarms: RedisAlarms, client: redis.Redis) -> None:
    """A reminder is due a day later, and a cause may stay for months."""
    alarms.note("field_conflict", Told(count=1, at=at(0)))

    assert client.ttl("sync:alerts") == -1


def test_an_absent_store_is_said_to_be_so() -> None:
    nowhere = redis.Redis.from_url(f"redis://127.0.0.1:{free_port()}/0", retry=Retry(NoBackoff(), 0))
    alarms = RedisAlarms(nowhere)

    for call in (alarms.told, lambda: alarms.note("a", Told(count=1, at=at(0))), lambda: alarms.forget({"a"})):
        with pytest.raises(StoreUnavailable):
            call()
