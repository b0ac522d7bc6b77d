"""The running time of each method in ten minutes: reserved before a call, corrected after it, never overrun."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import redis

from sync_worker.domain.budget import Permit, Spent
from sync_worker.domain.identity import Lane
from tests.contract.governor_world import METHOD, STARTED, World

LIMIT = 0.98 * 480


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def settle(world: World, permit: Permit, seconds: float, *, commands: int = 1, **told: Any) -> None:
    """An answer of METHOD; what the portal tells of its own sum is in `told`."""
    spent = Spent(commands=commands, seconds=seconds, **{"operating_seconds": seconds, **told})
    world.governor.settle(permit, Lane.LIVE, {METHOD: spent})


def use_up(world: World) -> None:
    """The portal says that all is spent, in the minute that has just begun."""
    settle(world, world.take(), 470.0, resets_at=world.now + 600)


def test_what_leaves_is_reserved_at_what_it_is_taken_to_cost(world: World) -> None:
    permit = world.take(count=10, is_batch=True)

    assert permit.cost_seconds == {METHOD: 0.5}
    settle(world, world.take(), 0.2)
    assert world.use().used_seconds == pytest.approx(5.2)


def test_settling_replaces_what_was_reserved(world: World) -> None:
    permit = world.take(count=10, is_batch=True)

    settle(world, permit, 2.0, commands=10)

    assert world.use().used_seconds == pytest.approx(2)


def test_cost_is_learned_as_an_average_that_rises_sooner_than_it_falls(world: World) -> None:
    costs = []
    for seconds in (2.0, 3.0, 1.3):
        settle(world, world.take(count=2, is_batch=True), seconds * 2, commands=2)
        costs.append(world.use().cost_seconds)

    assert costs == pytest.approx([2, 2.3, 2.2])
    assert world.take().cost_seconds == {METHOD: pytest.approx(2.2)}


def test_only_as_many_leave_as_fit(world: World) -> None:
    settle(world, world.take(), 460.0, commands=920)

    permit = world.take(count=50, is_batch=True)

    assert permit.allowed == {METHOD: 20}  # 10.4 s at 0.5 s each
    assert permit.blocked_seconds == {METHOD: pytest.approx(610)}


def test_spent_method_unblocks_when_the_slice_is_too_old(world: World) -> None:
    use_up(world)

    blocked = world.take(count=2).blocked_seconds[METHOD]
    world.now += blocked - 0.01
    early = world.take()
    world.now += 0.02

    assert 600 <= blocked <= 610
    assert early.allowed == {}
    assert world.take().allowed == {METHOD: 1}


def test_other_methods_are_unhurt(world: World) -> None:
    use_up(world)

    permit = world.governor.take(Lane.LIVE, {METHOD: 3, "crm.item.get": 2}, is_batch=True)

    assert permit.allowed == {"crm.item.get": 2}
    assert list(permit.blocked_seconds) == [METHOD]


def test_request_that_may_carry_nothing_takes_no_token(world: World) -> None:
    use_up(world)
    level = world.governor.report().level

    for _ in range(5):
        assert world.take().allowed == {}

    assert world.governor.report().level == level


def test_token_of_a_request_that_may_carry_nothing_is_given_back(world: World) -> None:
    use_up(world)
    world.fill()
    permit = world.take(method="crm.item.get")
    world.now += permit.wait_seconds
    level = world.governor.report().level

    assert world.take(is_paid=True).allowed == {}

    assert world.governor.report().level == pytest.approx(level - 1, abs=1e-5)


def test_command_dearer_than_all_there_is_gets_one_try(world: World) -> None:
    settle(world, world.take(), 500.0)
    world.now += 700

    first, second = world.take(count=3, is_batch=True), world.take()

    assert first.allowed == {METHOD: 1}
    assert second.allowed == {}


@pytest.mark.parametrize("is_told", [True, False], ids=["answer lost", "caller died"])
def test_reservation_that_nobody_settles_stays_for_ten_minutes(world: World, *, is_told: bool) -> None:
    settle(world, world.take(), 0.5)
    permit = world.take(count=20, is_batch=True)
    if is_told:
        world.governor.settle(permit, Lane.LIVE, {}, is_lost=True)

    world.now += 590
    lasting = world.use().used_seconds
    world.now += 30

    assert lasting == pytest.approx(10.5)
    assert world.use().used_seconds == 0


def test_call_that_never_left_gives_its_reservation_back(world: World) -> None:
    world.governor.settle(world.take(count=20, is_batch=True), Lane.LIVE, {}, is_failed=True)

    assert world.use().used_seconds == 0


def test_portals_own_sum_is_believed_upwards(world: World) -> None:
    """Somebody else uses the same webhook."""
    settle(world, world.take(), 1.0, operating_seconds=300.0, resets_at=STARTED + 400)

    assert world.use().used_seconds == pytest.approx(300)


@pytest.mark.parametrize("others_under_way", [0, 4])
def test_portals_own_sum_is_believed_downwards(world: World, others_under_way: int) -> None:
    """Its minutes end up to a minute earlier than our slices."""
    settle(world, world.take(), 300.0, commands=600, resets_at=STARTED + 600)
    for _ in range(others_under_way):
        world.take()

    world.now += 601
    settle(world, world.take(), 1.0, operating_seconds=21.0, resets_at=world.now + 30)

    assert world.use().used_seconds == pytest.approx(21 + 0.5 * others_under_way)


def test_what_others_have_under_way_is_not_counted_twice(world: World) -> None:
    """The portal ran both before it answered one: its sum has what is still reserved for the other."""
    first, second = world.take(count=2), world.take(count=2)

    settle(world, first, 1.0, commands=2, operating_seconds=2.0, resets_at=STARTED + 600)
    between = world.use().used_seconds
    settle(world, second, 1.0, commands=2, operating_seconds=1.0, resets_at=STARTED + 600)

    assert between == pytest.approx(2)
    assert world.use().used_seconds == pytest.approx(2)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_answers_that_overtake_one_another_never_lower_the_sum(world: World, order: tuple[int, ...]) -> None:
    permits = [world.take(count=20, is_batch=True) for _ in order]
    costs = [30.0, 5.0, 10.0, 20.0]

    for place in order:
        settle(
            world,
            permits[place],
            costs[place],
            commands=20,
            operating_seconds=sum(costs[: place + 1]),
            resets_at=STARTED + 600,
        )

    assert sum(costs) - 1e-3 <= world.use().used_seconds <= sum(costs) * 1.7
    settle(world, world.take(), 1.0, operating_seconds=sum(costs) + 1, resets_at=STARTED + 600)
    assert world.use().used_seconds == pytest.approx(sum(costs) + 1)


def test_old_answer_from_before_a_minute_ended_lowers_nothing(world: World) -> None:
    settle(world, world.take(), 10.0, operating_seconds=100.0, resets_at=STARTED + 60)
    late, newer = world.take(), world.take()
    world.now += 61

    settle(world, newer, 1.0, operating_seconds=91.0, resets_at=STARTED + 120)
    settle(world, late, 1.0, operating_seconds=20.0, resets_at=STARTED + 60)

    assert world.use().used_seconds >= 91


def test_portal_that_tells_no_sum_limits_none(world: World) -> None:
    world.governor.settle(world.take(), Lane.LIVE, {METHOD: Spent(commands=1, seconds=9.0)})

    assert world.use().used_seconds == 0
    assert world.use().cost_seconds == 9


@pytest.mark.parametrize(("resets_in", "blocked"), [(200, 200), (-5, 60), (None, 60)])
def test_refused_method_is_left_alone_until_its_oldest_minute_ends(
    world: World, resets_in: float | None, blocked: float
) -> None:
    resets_at = None if resets_in is None else STARTED + resets_in
    settle(world, world.take(), 300.0, resets_at=resets_at)

    world.governor.settle(world.take(), Lane.LIVE, {}, refused=[METHOD])

    assert world.take().blocked_seconds == {METHOD: pytest.approx(blocked)}
    assert world.take(method="crm.item.get").allowed
    world.now += blocked + 0.01
    settle(world, world.take(method="crm.item.get"), 0.1)
    assert world.use().blocked_seconds == 0


def test_limit_of_a_refused_method_is_lowered_and_comes_back_in_an_hour(world: World) -> None:
    settle(world, world.take(), 400.0, commands=800)
    limits = [world.use().limit_seconds]
    for _ in range(3):  # several callers are told so at once
        world.governor.settle(Permit(), Lane.LIVE, {}, refused=[METHOD])
        limits.append(world.use().limit_seconds)

    world.now += 1800
    half = world.use().limit_seconds
    world.now += 1800

    assert limits == pytest.approx([LIMIT, 380, 380, 380], abs=0.5)
    assert half == pytest.approx((380 + LIMIT) / 2, abs=0.5)
    assert world.use().limit_seconds == LIMIT


def test_limit_is_at_least_half_however_little_was_used(world: World) -> None:
    world.governor.settle(world.take(), Lane.LIVE, {}, refused=[METHOD])

    assert world.use().limit_seconds == pytest.approx(LIMIT / 2)
