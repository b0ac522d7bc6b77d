from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from sync_worker.errors import RateLimited, RecordBusy
from sync_worker.store.locks import RedisLocks
from sync_worker.store.slots import Slots
from tests.contract.store_worlds import STORES, eventually
from tests.fakes.stores import FakeClock, MemoryLocks

HOLD_AND_WAIT = """
import sys, time
from sync_worker.store.client import connect
from sync_worker.store.locks import RedisLocks
from sync_worker.store.slots import Slots
client = connect(sys.argv[1])
with RedisLocks(client, lease_seconds=1).hold("a", "b"):
    with Slots(client, name="onec", limit=1, lease_seconds=1).hold(0):
        print("held", flush=True)
        time.sleep(600)
"""


@pytest.fixture(params=STORES)
def locks(request: pytest.FixtureRequest) -> Any:
    return MemoryLocks() if request.param == "memory" else RedisLocks(client=request.getfixturevalue("client"))


def is_free(locks: Any, *names: str) -> bool:
    try:
        with locks.hold(*names):
            return True
    except RecordBusy:
        return False


def has_room(slots: Slots) -> bool:
    try:
        with slots.hold(0):
            return True
    except RateLimited:
        return False


def test_held_name_is_busy_for_others_until_released(locks: Any) -> None:
    with locks.hold("bitrix24:contact:1"):
        assert not is_free(locks, "bitrix24:contact:1")
        assert is_free(locks, "bitrix24:contact:2")

    assert is_free(locks, "bitrix24:contact:1")


def test_busy_error_says_when_to_come_back(locks: Any) -> None:
    with locks.hold("a"), pytest.raises(RecordBusy) as caught, locks.hold("a"):
        pass

    assert caught.value.retry_after_seconds == 1


def test_all_names_or_none(locks: Any) -> None:
    with locks.hold("b"):
        assert not is_free(locks, "a", "b", "c")
        assert is_free(locks, "a", "c")


def test_name_given_twice_is_held_once(locks: Any) -> None:
    with locks.hold("a", "a"):
        assert not is_free(locks, "a")

    assert is_free(locks, "a")


def test_error_in_the_block_frees_the_names(locks: Any) -> None:
    with pytest.raises(ZeroDivisionError), locks.hold("a", "b"):
        raise ZeroDivisionError

    assert is_free(locks, "a", "b")


def test_two_of_many_rivals_never_hold_at_once(locks: Any) -> None:
    inside, overlaps, entered = 0, 0, 0

    def work(_: int) -> None:
        nonlocal inside, overlaps, entered
        try:
            with locks.hold("a", "b"):
                inside += 1
                overlaps += inside > 1
                entered += 1
                time.sleep(0.001)
                inside -= 1
        except RecordBusy:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))

    assert overlaps == 0
    assert entered > 0


def test_lock_is_renewed_while_it_is_held(client: redis.Redis) -> None:
    readings = [0]

    def rises() -> bool:
        readings.append(client.pttl("sync:lock:a"))
        return readings[-1] > readings[-2]

    with RedisLocks(client, lease_seconds=0.6).hold("a"):
        assert rises()

        assert eventually(rises)  # without renewal the time left only falls


def test_lost_lock_is_reported_and_the_block_ends_in_peace(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    locks = RedisLocks(client, lease_seconds=0.3)
    with locks.hold("email:someone@example.com"):
        client.delete("sync:lock:email:someone@example.com")

        assert eventually(lambda: "was lost" in caplog.text)

    assert "the lock email:..." in caplog.text
    assert "someone" not in caplog.text


def test_lost_lock_of_another_is_not_released(client: redis.Redis) -> None:
    with RedisLocks(client).hold("a"):
        client.set("sync:lock:a", "another's token")

    assert client.get("sync:lock:a") == "another's token"


def test_keeper_thread_ends_when_nothing_is_held(client: redis.Redis) -> None:
    before = set(threading.enumerate())
    with RedisLocks(client, lease_seconds=0.3).hold("a"):
        (keeper,) = set(threading.enumerate()) - before

    assert keeper.daemon
    assert eventually(lambda: not keeper.is_alive())


def test_killed_process_frees_its_locks_and_slots(client: redis.Redis, redis_url: str) -> None:
    locks, slots = RedisLocks(client), Slots(client, name="onec", limit=1)
    holder = subprocess.Popen([sys.executable, "-c", HOLD_AND_WAIT, redis_url], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        assert not is_free(locks, "b")
        assert not has_room(slots)

        holder.kill()
        holder.wait()

    assert eventually(lambda: is_free(locks, "a", "b"))
    assert eventually(lambda: has_room(slots))


# --- slots -----------------------------------------------------------------------------------------------------------


def test_never_more_holders_than_slots(client: redis.Redis) -> None:
    guard, inside, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with slots.hold(60):
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.002)
            with guard:
                inside -= 1

    slots = Slots(client, name="onec", limit=3)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(60)))

    assert 1 <= most <= 3
    assert has_room(slots)


def test_every_slot_is_given(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=3)

    with slots.hold(0), slots.hold(0):
        assert has_room(slots)
        with slots.hold(0):
            assert not has_room(slots)


def test_full_slots_are_said_to_be_full(client: redis.Redis) -> None:
    clock = FakeClock()
    slots = Slots(client, name="onec", limit=1, sleep=clock.sleep, monotonic=lambda: clock.now().timestamp())

    with slots.hold(0), pytest.raises(RateLimited, match="all 1 slots of onec") as caught, slots.hold(5):
        pass

    assert sum(clock.sleeps) == pytest.approx(5)
    assert caught.value.retry_after_seconds is not None
    assert client.keys("sync:slots:*") == []


def test_slots_are_given_in_the_order_of_asking(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=1)
    order: list[int] = []

    def ask(number: int) -> None:
        with slots.hold(60):
            order.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    with slots.hold(0):
        for waiting, thread in enumerate(threads, start=1):
            thread.start()
            assert eventually(lambda waiting=waiting: client.zcard("sync:slots:onec:line") == waiting)
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]


def test_newcomer_does_not_overtake_who_waits(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=1)
    asleep, awake = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        asleep.set()
        awake.wait()

    def wait_for_slot() -> None:
        with Slots(client, name="onec", limit=1, sleep=sleep).hold(60):
            pass

    waiting = threading.Thread(target=wait_for_slot)
    with slots.hold(0):
        waiting.start()
        asleep.wait()

    assert not has_room(slots)  # free, but promised
    awake.set()
    waiting.join()
    assert has_room(slots)


def test_who_gave_up_does_not_stand_in_the_way(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=1)
    with slots.hold(0):
        assert not has_room(slots)

    assert has_room(slots)


def test_slots_of_another_name_are_others(client: redis.Redis) -> None:
    with Slots(client, name="a", limit=1).hold(0):
        assert has_room(Slots(client, name="b", limit=1))
        assert not has_room(Slots(client, name="a", limit=1))
        assert has_room(Slots(client, name="a", limit=2))


def test_slot_is_renewed_while_it_is_held(client: redis.Redis) -> None:
    readings = [0.0]

    def rises() -> bool:
        readings.extend(ends for _, ends in client.zrange("sync:slots:onec", 0, -1, withscores=True))
        return readings[-1] > readings[-2]

    with Slots(client, name="onec", limit=1, lease_seconds=0.6).hold(0):
        assert rises()

        assert eventually(rises)
        assert eventually(rises)  # and again
