"""How many requests leave: never more than the portal takes, hardly fewer, and what each lane gets of them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sync_worker.contract import BUDGET_TALLY_KEY
from sync_worker.domain.budget import LaneUse, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited
from sync_worker.store.client import connect
from sync_worker.store.governor import Governor
from tests.contract.governor_world import ENTERPRISE, METHOD, STANDARD, Tally, World, caller


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def test_burst_is_free_and_then_the_rate_rules(world: World) -> None:
    """The portal's 50, less 2 since its counter falls in whole seconds, less 1 for what overtakes on the way."""
    waits = [world.take().wait_seconds for _ in range(50)]

    assert waits == [0] * 47 + [0.5, 1, 1.5]


def test_room_comes_back_at_the_rate(world: World) -> None:
    world.fill()

    world.now += 2

    assert [world.take().wait_seconds for _ in range(5)] == pytest.approx([0] * 4 + [0.5])


def test_token_that_was_waited_for_is_not_taken_twice(world: World) -> None:
    world.fill()
    permit = world.take()

    world.now += permit.wait_seconds
    paid = world.take(is_paid=True)

    assert (permit.is_reserved, permit.allowed, permit.spare) == (True, {}, 0)
    assert (paid.wait_seconds, paid.allowed) == (0, {METHOD: 1})
    assert world.take().wait_seconds == pytest.approx(0.5)


def test_too_long_a_wait_takes_nothing(world: World) -> None:
    world.fill()
    impatient = world.another_governor(max_wait_seconds=1)

    waits = [impatient.take(Lane.LIVE, {METHOD: 1}, is_batch=False).wait_seconds]
    for _ in range(3):
        with pytest.raises(RateLimited, match=r"the next 1\.0 s") as caught:
            impatient.take(Lane.LIVE, {METHOD: 1}, is_batch=False)
        assert caught.value.retry_after_seconds == pytest.approx(1)

    assert waits == [0.5]
    assert world.take().wait_seconds == pytest.approx(1)


def test_wait_too_short_to_be_told_is_no_wait(client: redis.Redis) -> None:
    """A permit that neither waits nor allows would leave its caller with nothing to do."""
    world = World(client, **ENTERPRISE)
    world.fill()
    permits = []
    for _ in range(100):
        world.now += 0.2  # a token comes, but for what a float of such a number cannot tell
        permits.append(world.take())

    assert [permit.wait_seconds > 0 for permit in permits] == [not permit.allowed for permit in permits]


def test_spare_is_the_free_share_of_the_lanes_own_burst(world: World) -> None:
    for _ in range(22):
        world.take()

    assert world.take(Lane.LIVE).spare == pytest.approx(24 / 47, abs=1e-5)
    assert world.take(Lane.BULK).spare == pytest.approx(1 - 24 / 32.9, abs=1e-5)


def test_bulk_leaves_live_its_share_of_the_burst(world: World) -> None:
    assert world.fill(Lane.BULK) == 32
    assert world.fill(Lane.LIVE) == 15


def test_bulk_behind_live_work_looks_again_in_no_line(world: World) -> None:
    world.fill(Lane.LIVE)
    due = world.take(Lane.BULK)  # the share that is bulk's own

    permits = [world.take(Lane.BULK) for _ in range(20)]

    assert due.is_reserved
    assert not any(permit.is_reserved for permit in permits)
    assert all(0 < permit.wait_seconds <= 1.5 / 1.4 for permit in permits)
    assert world.take(Lane.LIVE).wait_seconds == pytest.approx(1)  # after the one that was due


PLANS = st.sampled_from([STANDARD, ENTERPRISE])
CALLERS = st.integers(min_value=0, max_value=12)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=PLANS,
    live=CALLERS,
    bulk=CALLERS,
    phase=st.floats(min_value=0, max_value=1),
    latency=st.floats(min_value=0.001, max_value=3),
    seed=st.integers(min_value=0, max_value=999),
)
@example(plan=STANDARD, live=12, bulk=12, phase=0.999, latency=0.001, seed=1)
@example(plan=ENTERPRISE, live=12, bulk=12, phase=0.999, latency=0.001, seed=1)
def test_portal_never_refuses(
    client: redis.Redis, *, plan: dict[str, float], live: int, bulk: int, phase: float, latency: float, seed: int
) -> None:
    world, tally = World(client, phase=phase, seed=seed, **plan), Tally()
    for lane, count in ((Lane.LIVE, live), (Lane.BULK, bulk)):
        for _ in range(count):
            process = caller(world, tally, lane, latency=latency, oversleeps=0.15)
            world.start(process, after_seconds=world.random.uniform(0, 5))

    world.run(25)

    assert tally.refused == 0


def measured(
    client: redis.Redis, *, live: int, bulk: int, pause: float = 0.0, seconds: float = 120, **plan: Any
) -> Tally:
    """What some minutes of saturation come to, once the burst is used up."""
    world, tally = World(client, **plan), Tally()
    for lane, count, rest in ((Lane.LIVE, live, pause), (Lane.BULK, bulk, 0.0)):
        for _ in range(count):
            world.start(caller(world, tally, lane, pause=rest), after_seconds=world.random.random())
    world.run(60)
    for counter in (tally.sent, tally.late, tally.longest_wait):
        counter.clear()
    world.run(seconds)
    assert tally.refused == 0
    return tally


@pytest.mark.parametrize(
    ("live", "bulk"),
    [(1, 1), (3, 3), (10, 10), (40, 40), (3, 40), (40, 3), (60, 3)],
)
def test_each_lane_has_its_share_while_both_want_more(client: redis.Redis, live: int, bulk: int) -> None:
    """Live: 30 %. Bulk: the rest, as far as its processes, each once in line, can ask for it. Nothing is wasted."""
    tally = measured(client, live=live, bulk=bulk)

    assert sum(tally.sent.values()) >= 0.98 * 2 * 120
    assert tally.sent[Lane.LIVE] >= 0.295 * 2 * 120
    longest_line = min(live, 40)  # 20 s at 2 a second: more get RateLimited
    assert tally.sent[Lane.BULK] >= 0.95 * min(0.7, bulk / (longest_line + bulk)) * 2 * 120
    assert tally.longest_wait[Lane.LIVE] <= 20


@pytest.mark.parametrize("bulk", [1, 10, 40])
@pytest.mark.parametrize("plan", [STANDARD, ENTERPRISE], ids=["standard", "enterprise"])
def test_live_call_never_waits_behind_bulk_alone(client: redis.Redis, plan: dict[str, Any], bulk: int) -> None:
    """However many processes: of them only as many as one second lets through may stand in line."""
    tally = measured(client, live=1, bulk=bulk, pause=3.0, seconds=60, **plan)

    assert tally.sent[Lane.LIVE] >= 17
    assert tally.longest_wait[Lane.LIVE] == 0
    assert sum(tally.sent.values()) >= (0.98 if bulk > 1 else 0.9) * min(plan["rate_per_second"], bulk * 5) * 60


@pytest.mark.parametrize(("bulk", "seconds"), [(3, 15), (10, 60)])
def test_bulk_in_no_line_gets_its_turn_by_chance(client: redis.Redis, bulk: int, seconds: float) -> None:
    """Without jitter the same ones would come too late each time: for minutes."""
    tally = measured(client, live=0, bulk=bulk)

    assert tally.longest_wait[Lane.BULK] <= seconds


def take_until_empty(redis_url: str, _: int) -> int:
    with connect(redis_url) as client:
        rules: dict[str, Any] = {**STANDARD, "rate_per_second": 0.001, "burst": 22}
        governor, taken = Governor(client, name="a", max_wait_seconds=0, **rules), 0
        try:
            while governor.take(Lane.LIVE, {METHOD: 1}, is_batch=False).allowed:
                taken += 1
        except RateLimited:
            return taken
        raise AssertionError("an answer that neither allows nor refuses")


@pytest.mark.parametrize(
    "pool",
    [
        partial(ThreadPoolExecutor, 8),
        partial(ProcessPoolExecutor, 2, mp_context=multiprocessing.get_context("spawn")),
    ],
    ids=["threads", "processes"],
)
def test_all_spend_one_burst_by_redis_own_clock(redis_url: str, pool: partial[Executor]) -> None:
    with pool() as running:
        taken = list(running.map(partial(take_until_empty, redis_url), range(8)))

    assert sum(taken) == 20


def test_lanes_are_counted_where_the_ingress_reads(client: redis.Redis) -> None:
    governor = Governor(client, name="bitrix24", **STANDARD)
    live, bulk, lost = (governor.take(lane, {METHOD: 5}, is_batch=True) for lane in (Lane.LIVE, Lane.BULK, Lane.BULK))

    spent = {METHOD: Spent(commands=4, seconds=1.0), "batch": Spent(commands=1, seconds=1.0)}
    governor.settle(live, Lane.LIVE, spent, waited_seconds=1.25, refused=["crm.deal.get"])
    governor.settle(bulk, Lane.BULK, {})
    governor.settle(lost, Lane.BULK, {}, is_lost=True)
    governor.refused(Lane.BULK)

    assert governor.report().lanes == {
        Lane.LIVE: LaneUse(requests=1, commands=4, waited_seconds=1.25, refused_commands=1),
        Lane.BULK: LaneUse(requests=2, commands=5, refused_requests=1, lost_answers=1),
    }
    counted: Any = client.hgetall(BUDGET_TALLY_KEY)
    assert float(counted["live commands"]) == 4
    assert float(counted["bulk lost_answers"]) == 1
    assert client.ttl(BUDGET_TALLY_KEY) == -1
