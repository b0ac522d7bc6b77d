"""A portal that is down, or has shut us out: nothing leaves but a probe. And a store that is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.domain.budget import BudgetReport, Circuit, MethodUse, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import CircuitOpen, StoreUnavailable
from sync_worker.store.client import connect
from sync_worker.store.governor import Governor
from tests.contract.governor_world import METHOD, STANDARD, STARTED, World
from tests.services import RedisServer, free_port


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
    assert seconds_to_probe(world) == 15  # the gaps begin anew


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


def test_report_of_a_new_portal_is_that_nothing_was_used(world: World) -> None:
    report = world.governor.report()

    assert (report.level, report.burst, report.shut_seconds) == (0, 47, 0)
    assert (report.rate_per_second, report.plan_rate_per_second) == (2, 2)
    assert (report.circuit, dict(report.methods)) == (None, {})


def test_report_says_it_all(world: World) -> None:
    for _ in range(3):
        permit = world.take(count=2, is_batch=True)
    spent = {METHOD: Spent(commands=2, seconds=2.0, operating_seconds=100.0, resets_at=STARTED + 500)}
    world.governor.settle(permit, Lane.LIVE, spent)
    world.governor.settle(world.take(method="crm.item.get"), Lane.LIVE, {}, refused=["crm.item.get"])
    shut_out(world)
    world.governor.refused(Lane.LIVE)

    report = world.governor.report()

    assert isinstance(report, BudgetReport)
    assert report.methods[METHOD] == MethodUse(used_seconds=100, limit_seconds=0.98 * 480, cost_seconds=1.0)
    assert report.methods["crm.item.get"].blocked_seconds == 60
    assert (report.level, report.plan_rate_per_second) == (47, 2)  # what refuses us counts as full
    assert report.rate_per_second == pytest.approx(1.4)
    assert report.shut_seconds > 3
    assert report.circuit is not None


CALLS = {
    "take": lambda governor: governor.take(Lane.LIVE, {METHOD: 1}, is_batch=False),
    "settle": lambda governor: governor.settle(Permit(allowed={METHOD: 1}), Lane.LIVE, {}),
    "refused": lambda governor: governor.refused(Lane.LIVE),
    "failed": lambda governor: governor.failed("a", "b", is_final=True),
    "probe_now": lambda governor: governor.probe_now(),
    "report": lambda governor: governor.report(),
}


@pytest.mark.parametrize("call", CALLS)
def test_absent_store_is_said_in_our_own_words(call: str) -> None:
    port = free_port()
    client = redis.Redis.from_url(f"redis://:geheim@127.0.0.1:{port}/0", retry=Retry(NoBackoff(), 0))

    with pytest.raises(StoreUnavailable) as caught:
        CALLS[call](Governor(client, name="a", **STANDARD))

    assert str(port) not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_restarted_store_is_told_the_scripts_again(tmp_path: Path) -> None:
    """It keeps the state, and forgets the scripts."""
    server = RedisServer(tmp_path).start()
    try:
        with connect(server.url()) as client:
            governor = Governor(client, name="a", **STANDARD)
            for _ in range(3):
                CALLS["take"](governor)
            server.stop()
            server.start()

            for call in CALLS.values():
                call(governor)

            report = governor.report()
            assert report.circuit is not None
            assert report.lanes[Lane.LIVE].requests == 1
    finally:
        server.kill()
