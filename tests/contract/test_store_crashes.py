from __future__ import annotations

from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.errors import StoreUnavailable
from sync_worker.store.crashes import LIFE_SECONDS, RedisCrashes
from tests.services import RedisServer, free_port


class OutOfMemoryError(Exception):
    pass


@pytest.fixture
def crashes(client: redis.Redis) -> RedisCrashes:
    return RedisCrashes(client)


def test_a_message_nobody_died_of_has_no_count(crashes: RedisCrashes) -> None:
    assert crashes.so_far("t1") == 0


def test_a_run_counts_while_it_lasts(crashes: RedisCrashes) -> None:
    with crashes.counting("t1", 0):
        assert crashes.so_far("t1") == 1
        assert crashes.so_far("t2") == 0


def test_a_run_that_ends_leaves_nothing(crashes: RedisCrashes, client: redis.Redis) -> None:
    with crashes.counting("t1", 0):
        pass

    assert client.keys("sync:crashes:*") == []


def test_a_run_that_fails_has_come_to_an_end(crashes: RedisCrashes) -> None:
    with pytest.raises(OutOfMemoryError), crashes.counting("t1", 1):
        raise OutOfMemoryError

    assert crashes.so_far("t1") == 1


def test_a_count_is_forgotten_after_a_day(crashes: RedisCrashes, client: redis.Redis) -> None:
    with crashes.counting("t1", 1):
        assert LIFE_SECONDS - 60 < client.ttl("sync:crashes:t1") <= LIFE_SECONDS


def test_without_its_store_nothing_begins() -> None:
    nowhere = RedisCrashes(redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0)))

    with pytest.raises(StoreUnavailable), nowhere.counting("t1", 0):
        raise AssertionError("it began")


def test_a_store_that_goes_away_meanwhile_takes_no_work_back(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    try:
        with redis.Redis.from_url(server.url(), retry=Retry(NoBackoff(), 0)) as client:
            with RedisCrashes(client).counting("t1", 0):
                server.kill()
            server.start()

            assert RedisCrashes(client).so_far("t1") == 1
    finally:
        server.kill()
