"""What is kept of a budget: what is reported of it, for how long it stays, and a store that restarts or is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.domain.budget import MethodUse, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import StoreUnavailable
from sync_worker.store.client import connect
from sync_worker.store.governor import Governor
from tests.contract.governor_world import METHOD, STANDARD, STARTED, World
from tests.services import RedisServer, free_port


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


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
    world.governor.failed("shut_out", "OVERLOAD_LIMIT", is_final=True)
    world.governor.refused(Lane.LIVE)

    report = world.governor.report()

    assert report.methods[METHOD] == MethodUse(used_seconds=100, limit_seconds=0.98 * 480, cost_seconds=1.0)
    assert report.methods["crm.item.get"].blocked_seconds == 60
    assert (report.level, report.plan_rate_per_second) == (47, 2)  # what refuses us counts as full
    assert report.rate_per_second == pytest.approx(1.4)
    assert report.shut_seconds > 3
    assert report.circuit is not None


def test_all_that_is_kept_of_a_budget_expires(world: World, client: redis.Redis) -> None:
    permit = world.take(count=5, is_batch=True)
    spent = {METHOD: Spent(commands=5, seconds=3, operating_seconds=3.0)}
    spent["batch"] = Spent(commands=1, seconds=3, operating_seconds=3.0)
    world.governor.settle(permit, Lane.LIVE, spent)
    world.governor.failed("remote_unavailable", "HTTP 502", is_final=False)
    world.governor.refused(Lane.LIVE)

    found: Any = client.keys(f"sync:budget:{world.name}*")
    lives = {key.removeprefix(f"sync:budget:{world.name}"): client.ttl(key) for key in found}

    assert lives.keys() == {"", ":methods", f":method:{METHOD}", ":method:batch"}
    assert all(0 < seconds <= 86400 for seconds in lives.values())


def test_slices_that_are_too_old_are_forgotten(world: World, client: redis.Redis) -> None:
    for _ in range(150):
        spent = Spent(commands=1, seconds=0.1, operating_seconds=0.1)
        world.governor.settle(world.take(), Lane.LIVE, {METHOD: spent})
        world.now += 10

    fields: Any = client.hkeys(f"sync:budget:{world.name}:method:{METHOD}")
    assert len([name for name in fields if name.startswith("s:")]) <= 61


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
