"""1C away: all workers know it after a few failures, one call looks now and then, and the first good one ends it."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.contract import EntityKind
from sync_worker.errors import CircuitOpen, RemoteUnavailable, StoreUnavailable
from sync_worker.gateways.onec.about import OnecCapabilities
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.store.absence import FAILURES_THAT_TELL, RedisAbsence
from tests.contract.onec_world import Served, WallClock, open_client, serving
from tests.services import free_port

PROBE = "sync:onec:away:probe"


def worker(url: str, store: redis.Redis) -> tuple[OnecClient, OnecCapabilities]:
    """One process of many."""
    client = open_client(url, store, limit=4)
    client.absence = RedisAbsence(store)
    return client, OnecCapabilities(client=client, clock=WallClock())


def fail(client: OnecClient, times: int) -> None:
    for _ in range(times):
        with pytest.raises(RemoteUnavailable):
            client.get("/about")


def asked(served: Served) -> int:
    return len(served.base.journal.calls)


def test_a_base_that_is_away_is_asked_by_one_caller_now_and_then(client: redis.Redis) -> None:
    with serving() as served:
        (first, capabilities), (_, others) = worker(served.url, client), worker(served.url, client)
        assert others.missing(EntityKind.CONTACT) is None
        served.base.faults.replace("maintenance")
        fail(first, FAILURES_THAT_TELL)
        before = asked(served)

        with pytest.raises(CircuitOpen, match="closed for maintenance"):
            others.missing(EntityKind.CONTACT)  # this one looks
        for one in (capabilities, others, capabilities):
            with pytest.raises(CircuitOpen, match=r"1C has been away for \d+ s: .*closed for maintenance") as waits:
                one.missing(EntityKind.DEAL)
            assert 5 <= (waits.value.retry_after_seconds or 0) <= 60

        assert asked(served) == before + 1
        served.base.faults.replace("")
        client.delete(PROBE)  # its time has come
        assert capabilities.missing(EntityKind.CONTACT) is None
        assert others.missing(EntityKind.CONTACT) is None
        assert asked(served) == before + 3, "the look that found it back, and a first reading"


def test_a_few_failures_among_good_calls_are_no_absence(client: redis.Redis) -> None:
    with serving() as served:
        onec, capabilities = worker(served.url, client)
        for _ in range(3):
            served.base.faults.replace("maintenance")
            fail(onec, FAILURES_THAT_TELL - 1)
            served.base.faults.replace("")
            onec.get("/about")

        assert capabilities.missing(EntityKind.CONTACT) is None
        assert client.keys("sync:onec:away*") == []


def test_a_base_where_nobody_listens_is_away_and_an_alarm_is_raised_once(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    onec, capabilities = worker(f"http://127.0.0.1:{free_port()}/base", client)

    fail(onec, 2 * FAILURES_THAT_TELL)

    with pytest.raises(CircuitOpen):
        capabilities.missing(EntityKind.CONTACT)
    assert [one.levelname for one in caplog.records if "1C is away" in one.getMessage()] == ["ERROR"]


def test_without_redis_a_failure_is_as_it_was(client: redis.Redis) -> None:
    nowhere = redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))
    absence = RedisAbsence(nowhere)

    assert not absence.failed("down")
    absence.answered()
    with pytest.raises(StoreUnavailable):
        absence.may_call()
