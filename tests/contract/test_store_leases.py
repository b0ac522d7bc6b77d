"""A task that stood still for longer than its leases last: neither the gateways nor the store take anything from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from sync_worker.domain.identity import EntityKind
from sync_worker.domain.intent import Intent
from sync_worker.domain.link import Link, Memory
from sync_worker.errors import LeaseLost
from sync_worker.store import leases
from sync_worker.store.intents import RedisIntents
from sync_worker.store.leases import fence
from sync_worker.store.links import RedisLinks
from sync_worker.store.locks import RedisLocks
from sync_worker.store.memories import RedisMemories
from tests.contract.store_worlds import CONTACT, COUNTERPARTY, NOON, OTHER_COUNTERPARTY, eventually
from tests.services import ROOT

KIND = EntityKind.CONTACT
LINK = Link(bitrix24=CONTACT, onec=COUNTERPARTY)
SAVES: dict[str, Callable[[redis.Redis], object]] = {
    "link": lambda client: RedisLinks(client).save(LINK),
    "no link": lambda client: RedisLinks(client).forget(LINK),
    "memory": lambda client: RedisMemories(client).save(KIND, CONTACT, Memory(sequence=1)),
    "no memory": lambda client: RedisMemories(client).save(KIND, CONTACT, Memory()),
    "intent": lambda client: RedisIntents(client).open(
        Intent(entity=KIND, source=CONTACT, at=NOON), settled_before=NOON
    ),
}
STALLING = """
import os, signal, sys
from sync_worker.domain.identity import EntityKind
from sync_worker.domain.link import Memory
from sync_worker.errors import LeaseLost
from sync_worker.store.client import connect
from sync_worker.store.leases import fence
from sync_worker.store.locks import RedisLocks
from sync_worker.store.memories import RedisMemories
from tests.contract.store_worlds import CONTACT

def attempt(what):
    try:
        what()
    except LeaseLost:
        return "stopped"
    return "done"

client = connect(sys.argv[1])
with RedisLocks(client, lease_seconds=0.6).hold(str(CONTACT)):
    check = fence()
    print(attempt(check), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    print(attempt(check), flush=True)
    print(attempt(lambda: RedisMemories(client).save(EntityKind.CONTACT, CONTACT, Memory(sequence=1))), flush=True)
"""


@pytest.fixture
def stolen(client: redis.Redis) -> Iterator[redis.Redis]:
    """A block whose lock is another's by now, of which it has not heard."""
    with RedisLocks(client).hold(str(CONTACT)):
        client.set(f"sync:lock:{CONTACT}", "another's token")
        yield client


def test_a_process_that_stood_still_is_stopped_at_both_fences(client: redis.Redis, redis_url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", STALLING, redis_url], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert eventually(lambda: client.exists(f"sync:lock:{CONTACT}") == 0)
        with RedisLocks(client).hold(str(CONTACT)):
            RedisMemories(client).save(KIND, CONTACT, Memory(sequence=2))

            os.kill(process.pid, signal.SIGCONT)

            assert process.stdout.readline() == "stopped\n"
            assert process.stdout.readline() == "stopped\n"
    assert RedisMemories(client).get(KIND, CONTACT) == Memory(sequence=2)


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_nothing_is_kept_under_a_lease_that_is_anothers(stolen: redis.Redis, save: Callable[..., object]) -> None:
    before = {key: stolen.dump(key) for key in stolen.keys("*")}

    with pytest.raises(LeaseLost, match=str(CONTACT)):
        save(stolen)

    assert {key: stolen.dump(key) for key in stolen.keys("*")} == before


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_what_is_held_is_kept_and_so_is_what_nobody_holds(client: redis.Redis, save: Callable[..., object]) -> None:
    with RedisLocks(client).hold(str(CONTACT), "inn:7707083893"):
        save(client)
    save(client)


def test_one_lost_lease_of_several_is_enough(client: redis.Redis) -> None:
    with RedisLocks(client).hold(str(CONTACT)):
        with RedisLocks(client).hold("email:someone@example.com"):
            client.delete("sync:lock:email:someone@example.com")
            with pytest.raises(LeaseLost) as caught:
                RedisLinks(client).save(LINK)
        assert "someone" not in str(caught.value)


def test_after_the_block_its_lease_counts_no_more(client: redis.Redis) -> None:
    with RedisLocks(client).hold(str(CONTACT)):
        with RedisLocks(client).hold(str(COUNTERPARTY)):
            client.delete(f"sync:lock:{COUNTERPARTY}")
        RedisLinks(client).save(LINK)
        fence()()


def test_another_threads_lease_is_its_own(stolen: redis.Redis) -> None:
    errors: list[BaseException] = []

    def save() -> None:
        try:
            RedisLinks(stolen).save(LINK)
        except LeaseLost as error:
            errors.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    thread.join()

    assert errors == []


def test_the_fence_is_asked_in_any_thread_for_the_one_that_took_it(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisLocks(client, lease_seconds=5).hold(str(CONTACT)):
        check = fence()
        check()
        later = leases.now() + 4.5  # in the last moments of a lease nothing leaves
        monkeypatch.setattr(leases, "now", lambda: later)
        outcome: list[BaseException] = []

        def ask() -> None:
            try:
                check()
            except LeaseLost as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

        assert len(outcome) == 1


def test_once_lost_it_stays_so_though_a_late_renewal_comes_through(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisLocks(client, lease_seconds=0.6).hold(str(CONTACT)):
        check, true_now = fence(), leases.now
        monkeypatch.setattr(leases, "now", lambda: true_now() + 100)
        with pytest.raises(LeaseLost):
            check()
        monkeypatch.undo()
        readings = [client.pttl(f"sync:lock:{CONTACT}")]

        def is_renewed() -> bool:
            readings.append(client.pttl(f"sync:lock:{CONTACT}"))
            return readings[-1] > readings[-2]

        assert eventually(is_renewed)

        with pytest.raises(LeaseLost):
            check()


def test_a_renewed_lease_is_good_beyond_its_first_time(client: redis.Redis) -> None:
    with RedisLocks(client, lease_seconds=0.3).hold(str(CONTACT)):
        check, began = fence(), leases.now()

        assert eventually(lambda: leases.now() > began + 1)
        check()


def test_a_save_that_was_refused_closes_the_other_fence_too(stolen: redis.Redis) -> None:
    check = fence()
    with pytest.raises(LeaseLost):
        RedisLinks(stolen).save(Link(bitrix24=CONTACT, onec=OTHER_COUNTERPARTY))

    with pytest.raises(LeaseLost):
        check()


def test_the_error_says_when_to_come_back(stolen: redis.Redis) -> None:
    with pytest.raises(LeaseLost) as caught:
        RedisLinks(stolen).save(LINK)

    assert caught.value.retry_after_seconds == timedelta(seconds=1).total_seconds()
