"""Lanes in the line for slots: live first, one slot kept for it, and bulk not starved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import redis

from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited
from sync_worker.store import slots as slots_module
from sync_worker.store.slots import Slots
from tests.contract.store_worlds import eventually

LINE = "sync:slots:onec:line"


def has_room(slots: Slots, lane: Lane) -> bool:
    try:
        with slots.hold(0, lane):
            return True
    except RateLimited:
        return False


class Askers:
    """Ask in threads, one after another; who got a slot, in this order."""

    def __init__(self, client: redis.Redis, slots: Slots) -> None:
        self._client = client
        self._slots = slots
        self._threads: list[threading.Thread] = []
        self.order: list[str] = []

    def ask(self, name: str, lane: Lane) -> None:
        """Returns when it stands in line."""
        thread = threading.Thread(target=self._hold, args=(name, lane))
        self._threads.append(thread)
        thread.start()
        waiting = len(self._threads)
        assert eventually(lambda: self._client.zcard(LINE) == waiting)

    def finish(self) -> list[str]:
        for thread in self._threads:
            thread.join()
        return self.order

    def _hold(self, name: str, lane: Lane) -> None:
        with self._slots.hold(60, lane):
            self.order.append(name)


def come_earlier(client: redis.Redis, lane: Lane, *, seconds: float) -> None:
    """Let those of a lane who stand in line have come so much earlier."""
    for token in client.zrange(LINE, 0, -1):
        if token.startswith(lane.value):
            client.zincrby(LINE, -seconds * 1e6, token)


def test_live_askers_come_before_bulk_ones(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=1)
    askers = Askers(client, slots)

    with slots.hold(0):
        for name, lane in [("b1", Lane.BULK), ("b2", Lane.BULK), ("l1", Lane.LIVE), ("l2", Lane.LIVE)]:
            askers.ask(name, lane)

    assert askers.finish() == ["l1", "l2", "b1", "b2"]


def test_a_bulk_asker_comes_before_live_ones_who_came_ten_seconds_later(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=1)
    askers = Askers(client, slots)

    with slots.hold(0):
        askers.ask("b1", Lane.BULK)
        come_earlier(client, Lane.BULK, seconds=slots_module.BULK_WAITS_SECONDS)
        askers.ask("b2", Lane.BULK)
        askers.ask("l1", Lane.LIVE)

    assert askers.finish() == ["b1", "l1", "b2"]


@pytest.mark.parametrize(("limit", "bulk_at_most"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_bulk_never_holds_the_last_of_several_slots(client: redis.Redis, limit: int, bulk_at_most: int) -> None:
    slots = Slots(client, name="onec", limit=limit)

    with ExitStack() as held:
        for _ in range(bulk_at_most):
            held.enter_context(slots.hold(0, Lane.BULK))

        assert not has_room(slots, Lane.BULK)
        assert has_room(slots, Lane.LIVE) == (limit > 1)


def test_live_may_hold_all_slots(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=2)

    with slots.hold(0), slots.hold(0):
        assert not has_room(slots, Lane.LIVE)
        assert not has_room(slots, Lane.BULK)


def test_bulk_shares_the_slots_with_live_holders(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=2)

    with slots.hold(0, Lane.LIVE):
        assert has_room(slots, Lane.BULK)


def test_a_bulk_asker_that_may_not_go_stands_in_nobodys_way(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=2)
    askers = Askers(client, slots)

    with slots.hold(0, Lane.BULK):
        askers.ask("b1", Lane.BULK)
        come_earlier(client, Lane.BULK, seconds=3600)

        assert has_room(slots, Lane.LIVE)
        assert askers.order == []

    assert askers.finish() == ["b1"]


def test_both_lanes_of_many_askers_are_served(client: redis.Redis) -> None:
    slots = Slots(client, name="onec", limit=2)
    guard, inside = threading.Lock(), {Lane.LIVE: 0, Lane.BULK: 0}
    seen: list[tuple[int, int]] = []

    def work(lane: Lane) -> Callable[[], None]:
        def run() -> None:
            for _ in range(10):
                with slots.hold(60, lane):
                    with guard:
                        inside[lane] += 1
                        seen.append((inside[Lane.LIVE], inside[Lane.BULK]))
                    with guard:
                        inside[lane] -= 1

        return run

    threads = [threading.Thread(target=work(lane)) for lane in [Lane.LIVE, Lane.BULK] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 80
    assert max(live + bulk for live, bulk in seen) <= 2
    assert max(bulk for _, bulk in seen) == 1
