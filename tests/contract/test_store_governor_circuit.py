"""A portal that is down, or has shut us out: nothing leaves but a probe."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from sync_worker.domain.budget import Circuit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import CircuitOpen
from tests.contract.governor_world import METHOD, STARTED, World


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def fail(world: World, *, is_final: bool = False) -> bool:
    return world.governor.failed("remote_unavailable", "Bitrix24 user.current: HTTP 502", is_final=is_final)


def shut_out(world: World) -> None:
    assert world.governor.failed("shut_out", "OVERLOAD_LIMIT", is_final=True)


def seconds_to_probe(world: World) -> float:
    with pytest.raises(CircuitOpen) as caught:
        world.take()
    assert caught.value.retry_after_seconds is not None
    return caught.value.retry_after_seconds


def test_portal_that_shuts_us_out_is_left_alone_at_once(world: World) -> None:
    shut_out(world)

    with pytest.raises(CircuitOpen, match=r"the next probe is in 15 s: OVERLOAD_LIMIT") as caught:
        world.take(Lane.BULK)

    assert caught.value.retry_after_seconds == 15
    assert world.governor.report().circuit == Circuit(
        since=STARTED, cause="shut_out", message="OVERLOAD_LIMIT", probe_in_seconds=15
    )


def test_only_one_of_many_is_told_that_it_opened_the_circuit(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: fail(world), range(20)))

    assert opened.count(True) == 1
    assert not fail(world, is_final=True)


def test_a_few_failures_in_a_row_open_it(world: World) -> None:
    opened = []
    for _ in range(5):
        world.now += 7
        opened.append(fail(world))

    assert opened == [False, False, False, False, True]


def test_failures_that_are_far_between_do_not(world: World) -> None:
    for _ in range(40):
        world.now += 8
        assert not fail(world)

    assert world.take().allowed


def test_success_in_between_starts_the_count_anew(world: World) -> None:
    for _ in range(4):
        fail(world)

    world.governor.settle(world.take(), Lane.LIVE, {METHOD: Spent(commands=1, seconds=0.1)})

    assert [fail(world) for _ in range(5)] == [False, False, False, False, True]


@pytest.mark.parametrize("is_lost", [True, False])
def test_settling_a_failed_call_is_no_success(world: World, *, is_lost: bool) -> None:
    opened = []
    for _ in range(5):
        permit = world.take()
        opened.append(fail(world))
        world.governor.settle(permit, Lane.LIVE, {}, is_lost=is_lost, is_failed=True)

    assert opened == [False, False, False, False, True]


def test_exactly_one_caller_gets_the_probe(world: World) -> None:
    shut_out(world)
    world.now += 15

    def take(_: int) -> bool:
        try:
            return world.take(count=5, is_batch=True).is_probe
        except CircuitOpen:
            return False

    with ThreadPoolExecutor(8) as pool:
        probes = list(pool.map(take, range(20)))

    assert probes.count(True) == 1


def test_probe_waits_for_no_token(world: World) -> None:
    world.fill()
    world.fill(Lane.BULK)
    shut_out(world)

    world.governor.probe_now()
    permit = world.take(Lane.BULK)

    assert (permit.is_probe, permit.wait_seconds, permit.allowed) == (True, 0, {METHOD: 1})


def test_gap_between_probes_doubles_to_a_ceiling(world: World) -> None:
    shut_out(world)
    gaps = []
    for _ in range(6):
        gaps.append(seconds_to_probe(world))
        world.now += gaps[-1]
        permit = world.take()
        assert permit.is_probe
        assert not fail(world)
        world.governor.settle(permit, Lane.LIVE, {}, is_lost=True, is_failed=True)

    assert gaps == [15, 30, 60, 120, 120, 120]


def test_probe_that_never_comes_back_is_followed_by_the_next(world: World) -> None:
    shut_out(world)
    world.now += 15
    world.take()

    world.now += seconds_to_probe(world)

    assert world.take().is_probe


def test_probe_that_succeeds_closes_the_circuit(world: World) -> None:
    shut_out(world)
    world.now += 15

    world.governor.settle(world.take(), Lane.LIVE, {METHOD: Spent(commands=1, seconds=0.1)})

    assert world.governor.report().circuit is None
    assert not world.take().is_probe
    assert [fail(world) for _ in range(5)] == [False, False, False, False, True]
    assert seconds_to_probe(world) == 5  # the gaps begin anew, and of a portal that is down they are shorter


def test_portal_that_is_down_is_probed_every_half_minute(world: World) -> None:
    for _ in range(5):
        fail(world)
    gaps = []
    for _ in range(5):
        gaps.append(seconds_to_probe(world))
        world.now += gaps[-1]
        assert world.take().is_probe
        fail(world)

    assert gaps == [5, 10, 20, 30, 30]


def test_answer_from_before_the_portal_shut_us_out_closes_nothing(world: World) -> None:
    early = world.take()
    shut_out(world)

    world.governor.settle(early, Lane.LIVE, {METHOD: Spent(commands=1, seconds=0.1)})

    assert seconds_to_probe(world) == 15


def test_probe_now_lets_the_next_call_find_out(world: World) -> None:
    shut_out(world)

    world.governor.probe_now()

    assert world.take().is_probe
    assert seconds_to_probe(world) == 30


def test_probe_now_of_an_open_portal_changes_nothing(world: World, client: redis.Redis) -> None:
    world.governor.probe_now()

    assert not world.take().is_probe
    assert client.ttl(f"sync:budget:{world.name}") > 0


def test_newest_failure_is_what_operators_read(world: World) -> None:
    shut_out(world)

    world.governor.failed("misconfigured", "expired_token", is_final=True)

    circuit = world.governor.report().circuit
    assert circuit is not None
    assert (circuit.cause, circuit.message, circuit.since) == ("misconfigured", "expired_token", STARTED)
