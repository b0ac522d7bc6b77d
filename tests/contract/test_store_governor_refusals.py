"""What a refusal of the portal's does: everybody steps back, and goes slower for a while."""

from __future__ import annotations

import pytest
import redis

from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited
from tests.contract.governor_world import METHOD, World


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def shut_seconds(world: World, *, jitter: float = 0.5) -> float:
    """Report a refusal; return for how long that shuts the bucket from now on."""
    world.another_governor(jitter=lambda: jitter).refused(Lane.LIVE)
    return world.governor.report().shut_seconds


def test_after_a_refusal_everybody_waits_and_nobody_rushes(world: World) -> None:
    world.take()

    shut = shut_seconds(world)
    waits = [world.take().wait_seconds for _ in range(3)]

    assert shut == pytest.approx(5)
    assert waits == pytest.approx([5 + place / (2 * 0.7) for place in (1, 2, 3)], abs=1e-3)  # the bucket counts as full


def test_bulk_waits_as_well(world: World) -> None:
    shut_seconds(world)

    world.now += 4.9

    assert world.take(Lane.BULK).wait_seconds > 0


@pytest.mark.parametrize("reserved_for_seconds", [0.5, 4.0])
def test_who_has_a_token_already_waits_too_and_keeps_its_turn(world: World, reserved_for_seconds: float) -> None:
    world.fill()
    waits = [world.take().wait_seconds for _ in range(int(reserved_for_seconds * 2))]
    shut = shut_seconds(world)

    world.now += waits[-1]
    paid = world.take(is_paid=True)

    assert (paid.is_reserved, paid.allowed) == (True, {})
    assert waits[-1] + paid.wait_seconds == pytest.approx(shut + reserved_for_seconds)
    world.now += paid.wait_seconds
    assert world.take(is_paid=True).allowed == {METHOD: 1}


def test_whose_turn_came_before_the_refusal_is_waited_for_no_more(world: World) -> None:
    world.fill()
    for _ in range(10):
        world.take()

    world.now += 2  # four of them leave
    shut = shut_seconds(world)

    assert shut + (6 + 1) / 1.4 <= world.take().wait_seconds < shut + (10 + 1) / 1.4 - 1


def test_long_shut_bucket_is_said_at_once(world: World) -> None:
    for _ in range(4):
        world.now += shut_seconds(world)

    shut_seconds(world)

    with pytest.raises(RateLimited) as caught:
        world.take()
    assert 60 < (caught.value.retry_after_seconds or 0) < 65


def test_one_step_back_however_many_report_it(world: World) -> None:
    shut = shut_seconds(world)
    world.take()  # reserves behind the shut, which the others may not mistake for an open bucket

    world.now += 3
    still_shut = [shut_seconds(world) for _ in range(10)]

    assert still_shut == pytest.approx([shut - 3] * 10)
    assert world.governor.report().rate_per_second == pytest.approx(2 * 0.7, abs=0.02)


def test_steps_grow_to_a_ceiling_while_refusals_go_on(world: World) -> None:
    steps = []
    for _ in range(6):
        steps.append(shut_seconds(world))
        world.now += steps[-1] + 1

    assert steps == pytest.approx([5, 10, 20, 40, 60, 60])


def test_steps_begin_anew_after_two_minutes_of_peace(world: World) -> None:
    for _ in range(3):
        world.now += shut_seconds(world)

    world.now += 121

    assert shut_seconds(world) == pytest.approx(5)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 3.75), (0.5, 5), (0.999, 6.25)])
def test_step_varies_by_a_quarter(world: World, jitter: float, seconds: float) -> None:
    assert shut_seconds(world, jitter=jitter) == pytest.approx(seconds, abs=0.01)


def test_rate_is_cut_by_each_refusal_and_comes_back_in_ten_minutes(world: World) -> None:
    rates = []
    for _ in range(4):
        shut = shut_seconds(world)
        rates.append(world.governor.report().rate_per_second)
        world.now += shut

    world.now += 300 - shut
    half = world.governor.report().rate_per_second
    world.now += 300

    assert rates[0] == pytest.approx(1.4)
    assert rates == sorted(rates, reverse=True)
    assert half == pytest.approx(rates[-1] + 1)  # half of the plan's 2 a second in half of ten minutes
    assert world.governor.report().rate_per_second == 2


def test_rate_is_at_least_a_tenth_of_the_plans(world: World) -> None:
    for _ in range(8):
        world.another_governor(jitter=lambda: -1.5).refused(Lane.LIVE)  # shuts for no time at all, so none recovers

    assert world.governor.report().rate_per_second == pytest.approx(0.2)


def test_requests_leave_at_the_rate_that_was_learned(world: World) -> None:
    world.now += shut_seconds(world)
    first = world.take().wait_seconds

    assert first == pytest.approx(1 / 1.4, abs=0.02)
    assert world.take().wait_seconds - first == pytest.approx(1 / 1.4, abs=0.02)


def test_other_users_of_the_portal_are_survived(world: World) -> None:
    """Somebody else takes two thirds of what the portal allows: we are refused now and then, and still get through."""
    sent, refused = 0, 0

    def somebody_else():
        while True:
            world.bucket.take()
            yield 0.75

    def ours():
        nonlocal sent, refused
        is_paid = False
        while True:
            try:
                permit = world.take(is_paid=is_paid)
            except RateLimited as late:
                yield late.retry_after_seconds
                continue
            is_paid = permit.is_reserved
            if permit.wait_seconds > 0:
                yield permit.wait_seconds
            elif world.bucket.take():
                sent += 1
                world.governor.settle(permit, Lane.LIVE, {})
                yield 0.1
            else:
                refused += 1
                world.governor.settle(permit, Lane.LIVE, {})
                world.governor.refused(Lane.LIVE)

    world.start(somebody_else())
    for _ in range(3):
        world.start(ours())
    world.run(1800)

    assert sent >= 0.75 * (2 - 1 / 0.75) * 1800
    assert refused <= 0.05 * sent
