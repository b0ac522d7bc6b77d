from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_worker.errors import RateLimited
from sync_worker.store.budget import Bucket

EPSILON = 1e-4


class World:
    """A bucket under a clock that the test moves."""

    def __init__(self, client: redis.Redis) -> None:
        self.now_seconds = 1_000_000.0
        self.bucket = Bucket(client, name=uuid.uuid4().hex, now=lambda: self.now_seconds)

    def take(self, *, rate: float = 2, burst: float = 50, max_wait: float = 10, cost: float = 1) -> float:
        return self.bucket.take(rate_per_second=rate, burst=burst, max_wait_seconds=max_wait, cost=cost)


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def test_burst_is_free_and_then_the_rate_rules(world: World) -> None:
    waits = [world.take() for _ in range(53)]

    assert waits == [0] * 50 + [0.5, 1, 1.5]


def test_room_comes_back_at_the_rate(world: World) -> None:
    for _ in range(50):
        world.take()

    world.now_seconds += 2
    waits = [world.take() for _ in range(5)]

    assert waits == pytest.approx([0, 0, 0, 0, 0.5])


def test_too_long_a_wait_takes_nothing(world: World) -> None:
    for _ in range(51):
        world.take(max_wait=0.5)

    for _ in range(3):
        with pytest.raises(RateLimited, match="is spent for the next") as caught:
            world.take(max_wait=0.5)
        assert caught.value.retry_after_seconds == pytest.approx(1)

    assert world.take(max_wait=1) == pytest.approx(1)


def test_cost_counts(world: World) -> None:
    assert world.take(cost=49.5) == 0
    assert world.take(cost=1.5) == pytest.approx(0.5)


def test_smaller_burst_leaves_room_for_the_full_one(world: World) -> None:
    for _ in range(40):
        world.take(burst=40, max_wait=0)

    with pytest.raises(RateLimited):
        world.take(burst=40, max_wait=0)
    assert [world.take() for _ in range(10)] == [0] * 10


def test_after_a_penalty_everybody_waits_and_nobody_rushes(world: World) -> None:
    world.take()

    world.bucket.penalise(5)

    assert [world.take() for _ in range(2)] == pytest.approx([5.5, 6])
    world.now_seconds += 4
    with pytest.raises(RateLimited):
        world.take(max_wait=1)
    world.now_seconds += 3
    assert world.take() == pytest.approx(0.0)


def test_shorter_penalty_does_not_end_a_longer_one(world: World) -> None:
    world.bucket.penalise(8)
    world.bucket.penalise(2)

    assert world.take() == pytest.approx(8.5)


def test_buckets_of_other_names_are_others(client: redis.Redis) -> None:
    Bucket(client, name="a").penalise(60)

    assert Bucket(client, name="b").take(rate_per_second=2, burst=1, max_wait_seconds=0) == 0


def test_idle_bucket_expires(client: redis.Redis) -> None:
    bucket = Bucket(client, name="a")

    bucket.take(rate_per_second=2, burst=50, max_wait_seconds=0)
    lasts_ms = client.pttl("sync:budget:a")
    bucket.penalise(600)
    bucket.take(rate_per_second=2, burst=50, max_wait_seconds=1000)

    assert 0 < lasts_ms <= 61_000
    assert 600_000 < client.pttl("sync:budget:a") <= 700_000


def test_threads_by_redis_own_clock_take_the_burst_once(client: redis.Redis) -> None:
    def take(_: int) -> float | None:
        try:
            return Bucket(client, name="a").take(rate_per_second=0.001, burst=20, max_wait_seconds=0)
        except RateLimited:
            return None

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(take, range(100)))

    assert waits.count(0) == 20
    assert waits.count(None) == 80


requests = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=8),  # seconds since the request before
        st.sampled_from([0.0, 1.0, 5.0]),  # the longest wait
        st.sampled_from([0.5, 1.0, 1.0, 2.0]),  # the cost
        st.sampled_from([3.0, 6.0]),  # the burst: bulk or live
        st.sampled_from([0.0, 0.0, 0.0, 4.0]),  # a penalty before it
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests)
def test_no_window_sees_more_than_burst_and_rate(client: redis.Redis, requests: list[tuple[float, ...]]) -> None:
    world = World(client)
    calls: list[tuple[float, float]] = []  # (when it is made, its cost)
    shut_until = 0.0
    for pause, max_wait, cost, burst, penalty in requests:
        world.now_seconds += pause
        if penalty:
            world.bucket.penalise(penalty)
            shut_until = max(shut_until, world.now_seconds + penalty)
        try:
            wait = world.take(rate=2, burst=burst, max_wait=max_wait, cost=cost)
        except RateLimited:
            continue
        assert 0 <= wait <= max_wait
        assert world.now_seconds + wait >= shut_until - EPSILON
        calls.append((world.now_seconds + wait, cost))

    calls.sort()
    for first, (start, _) in enumerate(calls):
        spent = 0.0
        for end, cost in calls[first:]:
            spent += cost
            assert spent <= 6 + 2 * (end - start) + EPSILON
