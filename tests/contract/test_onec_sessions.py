"""One base, few licences, many workers: sessions shared through a real Redis, against the sandbox's session rules."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields

import pytest
import redis

from sync_worker.errors import OutcomeUnknown
from sync_worker.gateways.onec.client import OnecClient, Timeouts
from tests.contract.onec_world import PARTIES, Crowd, open_client, party, serving
from tests.contract.store_worlds import eventually
from tests.services import ROOT, free_port

WORKER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from sync_worker.store.client import connect
from tests.contract.onec_world import PARTIES, TIMEOUTS, open_client, party
url, store, limit, lease_seconds, session_seconds, first, calls, threads = sys.argv[1:]
timeouts = replace(TIMEOUTS, session_seconds=float(session_seconds))
onec = open_client(url, connect(store), limit=int(limit), lease_seconds=float(lease_seconds), timeouts=timeouts)
print("ready", flush=True)
sys.stdin.readline()
numbers = range(int(first), int(first) + int(calls))
with ThreadPoolExecutor(int(threads)) as pool:
    done = list(pool.map(lambda number: onec.send_item(PARTIES, party(number))["outcome"], numbers))
print(len(done), flush=True)
"""


@contextmanager
def worker(
    url: str,
    store: str,
    *,
    limit: int,
    lease_seconds: float = 5,
    session_seconds: float = 30,
    first: int = 1,
    calls: int = 1,
    threads: int = 1,
) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready; a line makes it send its items, and it says how many it did."""
    words = [url, store, *map(str, (limit, lease_seconds, session_seconds, first, calls, threads))]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, *words], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_many_processes_share_two_sessions(client: redis.Redis, redis_url: str) -> None:
    with serving(max_sessions=2, latency_seconds=0.002) as served, ExitStack() as running:
        workers = [
            running.enter_context(worker(served.url, redis_url, limit=2, first=1 + 100 * number, calls=20, threads=4))
            for number in range(8)
        ]
        for process in workers:
            go(process)

        assert [said(process) for process in workers] == ["20\n"] * 8
        assert len(served.names()) == 160
        counters = served.counters
        assert counters["sessions_started"] == 2
        assert counters["max_concurrent_sessions"] == 2
        assert counters["licence_refusals"] == 0


def test_one_session_serves_many_calls(client: redis.Redis) -> None:
    with serving() as served, opened(served.url, client) as onec:
        for number in range(1, 6):
            onec.send_item(PARTIES, party(number))
        onec.get("/about")

        assert served.counters["sessions_started"] == 1


@contextmanager
def opened(url: str, store: redis.Redis, *, limit: int = 2, timeouts: Timeouts | None = None) -> Iterator[OnecClient]:
    onec = open_client(url, store, limit=limit, **({"timeouts": timeouts} if timeouts else {}))
    yield onec
    onec.close()


def test_a_session_that_1c_ended_is_replaced_in_the_middle_of_a_write(client: redis.Redis) -> None:
    with serving(max_sessions=1) as served, opened(served.url, client, limit=1) as onec:
        onec.send_item(PARTIES, party(1))
        served.base.sessions.expire_all()

        onec.send_item(PARTIES, party(2))
        onec.send_item(PARTIES, party(3))

        assert len(served.names()) == 3
        assert served.counters["sessions_started"] == 2


def test_sessions_that_idled_too_long_are_replaced_within_the_licences(client: redis.Redis) -> None:
    ahead_seconds = 0.0
    with (
        serving(max_sessions=2, clock=lambda: time.time() + ahead_seconds) as served,
        opened(served.url, client) as first,
        opened(served.url, client) as second,
    ):
        for number in range(1, 4):
            served.base.faults.replace("hang:/counterparties=1x2@0.1")  # so that both are in the base at once
            crowd = Crowd()
            crowd.start(lambda number=number: first.send_item(PARTIES, party(number)))
            crowd.start(lambda number=number: second.send_item(PARTIES, party(number + 10)))
            assert {type(end) for end in crowd.ends()} == {dict}
            ahead_seconds += 30

        assert len(served.names()) == 6
        assert served.counters["sessions_started"] >= 3
        assert served.counters["licence_refusals"] == 0


def test_a_base_that_was_started_anew_is_gone_on_with(client: redis.Redis) -> None:
    port = free_port()
    with serving(port=port) as served, opened(served.url, client) as onec:
        onec.send_item(PARTIES, party(1))
    with serving(port=port) as served, opened(served.url, client) as onec:
        onec.send_item(PARTIES, party(1))

        assert served.names() == ["ООО 0001"]
        assert served.counters["sessions_started"] == 1


def test_a_publication_that_keeps_no_sessions_works_too(client: redis.Redis) -> None:
    with serving(reuse_sessions=False) as served, opened(served.url, client) as onec:
        onec.send_item(PARTIES, party(1))
        onec.send_item(PARTIES, party(2))

        assert served.counters["sessions_started"] == 2
        assert client.keys("sync:sessions:*") == []


def test_cut_calls_open_no_session_beside_those_that_may_live_on(client: redis.Redis) -> None:
    with serving(max_sessions=1) as served, opened(served.url, client, limit=1) as onec:
        onec.send_item(PARTIES, party(1))
        for number in range(2, 6):
            served.base.faults.replace("reset_after:/counterparties=1x1")
            with pytest.raises(OutcomeUnknown):
                onec.send_item(PARTIES, party(number))
            onec.send_item(PARTIES, party(number))

        assert len(served.names()) == 5
        assert served.counters["sessions_started"] == 1
        assert served.counters["licence_refusals"] == 0


def test_a_killed_workers_slot_stays_taken_while_a_session_lives_that_nobody_knows(
    client: redis.Redis, redis_url: str
) -> None:
    """It was about to be told its cookie; the licence is free only when the session has idled out."""
    with serving(max_sessions=1, session_idle_seconds=1.0) as served:
        served.base.faults.replace("hang:/counterparties=1x1@0.5")
        with worker(served.url, redis_url, limit=1, lease_seconds=0.5, session_seconds=5) as process:
            go(process)
            assert eventually(lambda: served.counters["sessions_started"] == 1)
            process.kill()
            process.wait()

        with opened(served.url, client, limit=1) as onec:
            onec.send_item(PARTIES, party(2))

        counters = served.counters
        assert counters["sessions_started"] == 2
        assert counters["max_concurrent_sessions"] == 1
        assert counters["licence_refusals"] == 0


def test_a_killed_workers_session_is_gone_on_with_while_1c_is_at_work_in_it(
    client: redis.Redis, redis_url: str
) -> None:
    """Nobody waits until 1C has ended it."""
    with serving(max_sessions=1, session_idle_seconds=60.0) as served:
        with opened(served.url, client, limit=1) as onec:
            onec.send_item(PARTIES, party(1))
        served.base.faults.replace("hang:/counterparties=1x1@3")
        with worker(served.url, redis_url, limit=1, lease_seconds=0.5, session_seconds=600, first=2) as process:
            go(process)
            assert eventually(lambda: served.base.faults.faults[0].times == 0)
            process.kill()
            process.wait()

        with opened(served.url, client, limit=1) as onec:
            onec.send_item(PARTIES, party(3))

        counters = served.counters
        assert "ООО 0003" in served.names()
        assert counters["sessions_started"] == 1
        assert counters["licence_refusals"] == 0


# --- patience: the base wakes up, and everybody waits for it ---------------------------------------------------------

SCALE = 1 / 20
WAKING_SECONDS = 36 * SCALE  # "over 30 s"


def scaled(timeouts: Timeouts) -> Timeouts:
    return Timeouts(**{field.name: getattr(timeouts, field.name) * SCALE for field in fields(timeouts)})


def test_a_base_that_wakes_up_makes_nobody_come_again_and_opens_two_sessions(client: redis.Redis) -> None:
    with (
        serving(max_sessions=2) as served,
        opened(served.url, client, timeouts=scaled(Timeouts())) as onec,
    ):
        served.base.faults.replace(f"hang:*=1x2@{WAKING_SECONDS}")  # both that get a slot
        crowd = Crowd()
        for number in range(1, 9):
            crowd.start(lambda number=number: onec.send_item(PARTIES, party(number)))
            crowd.start(lambda: onec.get(PARTIES, {"external_id": "b24:company:1"}))

        assert [end for end in crowd.ends() if isinstance(end, Exception)] == []
        assert len(served.names()) == 8
        assert served.counters["sessions_started"] == 2


def test_the_first_call_of_a_sleeping_base_is_waited_for(client: redis.Redis) -> None:
    with (
        serving(max_sessions=1, first_call_seconds=WAKING_SECONDS) as served,
        opened(served.url, client, limit=1, timeouts=scaled(Timeouts())) as onec,
    ):
        onec.allow_items(100)
        crowd = Crowd()
        for number in range(1, 17):
            crowd.start(lambda number=number: onec.send_item(PARTIES, party(number)))

        assert {type(end) for end in crowd.ends()} == {dict}
        assert len(served.posts()) <= 4  # who waited for it left together
        assert served.counters["sessions_started"] == 1
