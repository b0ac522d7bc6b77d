"""Who may run when, and whose crashes count: threads of one process before a real store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from sync_worker.errors import RecordBusy, WorkerCrash
from sync_worker.store.crashes import RedisCrashes
from sync_worker.store.locks import RedisLocks
from sync_worker.tasks.suspects import PROVEN, SUSPECT_HEADER, Watch, is_watched
from tests.threads import Gate, await_that


@pytest.fixture
def crashes(client: redis.Redis) -> RedisCrashes:
    return RedisCrashes(client)


@pytest.fixture
def watch(client: redis.Redis, crashes: RedisCrashes) -> Watch:
    return Watch(crashes=crashes, locks=RedisLocks(client))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def run(watch: Watch, gate: Gate, task_id: str, *, is_watched: bool = False) -> None:
    with watch.over(task_id, is_watched=is_watched):
        gate.stop()


def have_crashed(client: redis.Redis, task_id: str, times: int) -> None:
    """As killed processes leave it."""
    client.set(f"sync:crashes:{task_id}", times)


def test_an_ordinary_task_asks_the_store_nothing() -> None:
    nowhere: Any = None

    with Watch(crashes=nowhere, locks=nowhere).over("t1", is_watched=False):
        pass


def test_what_came_back_once_runs_among_others_and_counts(
    watch: Watch, crashes: RedisCrashes, pool: ThreadPoolExecutor
) -> None:
    ordinary, back = Gate(), Gate()
    runs = [pool.submit(run, watch, ordinary, "t1"), pool.submit(run, watch, back, "t2", is_watched=True)]
    assert ordinary.reached.wait(60)
    assert back.reached.wait(60)

    assert (crashes.so_far("t1"), crashes.so_far("t2")) == (0, 1)

    end(runs, ordinary, back)
    assert crashes.so_far("t2") == 0


def test_a_suspect_waits_until_all_others_have_left_and_lets_nobody_in(
    watch: Watch, client: redis.Redis, crashes: RedisCrashes, pool: ThreadPoolExecutor
) -> None:
    have_crashed(client, "t1", 1)
    before, suspect, after = Gate(), Gate(), Gate()
    runs = [pool.submit(run, watch, before, "t0")]
    assert before.reached.wait(60)

    runs.append(pool.submit(run, watch, suspect, "t1", is_watched=True))
    await_that(lambda: client.exists("sync:lock:task:t1") == 1)
    assert not suspect.reached.is_set()
    assert crashes.so_far("t1") == 1, "to wait is no run"
    before.opened.set()
    assert suspect.reached.wait(60)
    runs.append(pool.submit(run, watch, after, "t2"))

    assert crashes.so_far("t1") == 2
    await_that(runs[-1].running)
    assert not after.reached.is_set()
    suspect.opened.set()
    assert after.reached.wait(60)
    end(runs, after)


def test_suspects_run_one_after_the_other(watch: Watch, client: redis.Redis, pool: ThreadPoolExecutor) -> None:
    inside, most, guard = 0, 0, threading.Lock()

    def run_alone(task_id: str) -> None:
        nonlocal inside, most
        with watch.over(task_id, is_watched=True):
            with guard:
                inside += 1
                most = max(most, inside)
            client.ping()  # time for another to come in
            with guard:
                inside -= 1

    for number in range(20):
        have_crashed(client, f"t{number}", 1)
    end([pool.submit(run_alone, f"t{number}") for number in range(20)])

    assert most == 1


def test_who_crashed_alone_runs_no_more(watch: Watch, client: redis.Redis) -> None:
    have_crashed(client, "t1", PROVEN)

    with pytest.raises(WorkerCrash), watch.over("t1", is_watched=True):
        raise AssertionError("it ran")


def test_a_message_that_is_still_worked_on_counts_as_no_crash(
    watch: Watch, client: redis.Redis, crashes: RedisCrashes, pool: ThreadPoolExecutor
) -> None:
    have_crashed(client, "t1", 1)
    slow = Gate()
    first = pool.submit(run, watch, slow, "t1", is_watched=True)
    assert slow.reached.wait(60)

    elsewhere = Watch(crashes=crashes, locks=RedisLocks(client))
    with pytest.raises(RecordBusy), elsewhere.over("t1", is_watched=True):
        raise AssertionError("it ran twice at once")

    end([first], slow)


@pytest.mark.parametrize(
    ("delivery_info", "header", "expected"),
    [({}, None, False), ({"redelivered": False}, None, False), ({"redelivered": True}, None, True), ({}, True, True)],
)
def test_watched_is_what_was_given_out_before(delivery_info: Any, header: Any, expected: bool) -> None:
    request = SimpleNamespace(delivery_info=delivery_info, get={SUSPECT_HEADER: header}.get)

    assert is_watched(request) is expected


def end(runs: list[Future[None]], *gates: Gate) -> None:
    for gate in gates:
        gate.opened.set()
    for done in runs:
        done.result(60)
