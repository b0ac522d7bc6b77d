"""Both ways in which a portal bills a batch: saturated for an hour, refused nothing, and hardly anything wasted."""

from __future__ import annotations

import pytest
import redis

from sync_worker.domain.budget import BATCH, Permit, Spent
from sync_worker.domain.identity import Lane
from tests.contract.governor_world import METHOD, STARTED, Work, World, worker

WINDOW = 600


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def settle_batch(world: World, permit: Permit, *, weight: float, before: float = 0.0, seconds: float = 20.0) -> None:
    whole = Spent(
        commands=1,
        seconds=seconds,
        operating_seconds=before + weight * seconds,
        resets_at=STARTED + WINDOW,
    )
    nested = Spent(commands=40, seconds=seconds)
    world.governor.settle(permit, Lane.BULK, {METHOD: nested, BATCH: whole})


def learned_weight(world: World) -> float:
    permit = world.take(Lane.BULK, 40, is_batch=True)
    world.governor.settle(permit, Lane.BULK, {}, is_failed=True)
    return permit.cost_seconds.get(BATCH, 0.0) / (40 * permit.cost_seconds[METHOD])


@pytest.mark.parametrize("weight", [0.3, 1.0, 2.0])
def test_weight_of_a_batch_is_learned_from_the_portals_own_sum(world: World, weight: float) -> None:
    weights = [learned_weight(world)]
    for number in range(3):
        permit = world.take(Lane.BULK, 40, is_batch=True)
        settle_batch(world, permit, weight=weight, before=number * 20 * weight)
        weights.append(learned_weight(world))

    assert weights == pytest.approx([0, min(1, weight), weight, weight])
    assert world.use(BATCH).used_seconds == pytest.approx(60 * weight)
    assert world.use(METHOD).used_seconds == 0


def test_portal_that_remembers_more_than_we_do_teaches_no_absurd_weight(world: World) -> None:
    """Redis was lost, or the webhook was used before."""
    settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=0.5, before=300)

    assert learned_weight(world) == pytest.approx(1)
    assert world.use(BATCH).used_seconds == pytest.approx(310)


def test_answers_that_overtake_one_another_teach_the_same_weight(world: World) -> None:
    settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=1.0)
    for pair in range(20):
        early, late = (world.take(Lane.BULK, 40, is_batch=True) for _ in range(2))
        world.now += 1
        settle_batch(world, late, weight=1.0, seconds=2.0, before=22.0 + pair * 4)
        settle_batch(world, early, weight=1.0, seconds=2.0, before=20.0 + pair * 4)

    assert learned_weight(world) == pytest.approx(1, abs=0.1)
    assert world.use(BATCH).used_seconds == pytest.approx(100)


def test_minute_that_leaves_the_portals_sum_teaches_nothing(world: World) -> None:
    for number in range(3):
        settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=1.0, before=20.0 * number)
    before = learned_weight(world)

    whole = Spent(commands=1, seconds=20, operating_seconds=61.0, resets_at=STARTED + WINDOW + 60)
    nested = Spent(commands=40, seconds=20)
    world.now += 5
    world.governor.settle(world.take(Lane.BULK, 40, is_batch=True), Lane.BULK, {METHOD: nested, BATCH: whole})

    assert learned_weight(world) == before


def test_where_batches_are_spent_single_commands_may_still_leave(world: World) -> None:
    settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=1.0, before=440)

    permit = world.take(Lane.BULK, 40, is_batch=True)
    level = world.governor.report().level

    assert permit.allowed == {}
    assert permit.blocked_seconds.keys() == {BATCH}
    assert world.take(Lane.BULK).allowed == {METHOD: 1}
    assert world.governor.report().level == level + 1  # only the second one's token was taken


def test_single_command_is_billed_to_its_method_on_such_a_portal_too(world: World) -> None:
    settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=1.0)

    world.take(Lane.BULK)

    assert world.use(METHOD).used_seconds == pytest.approx(0.5)
    assert world.use(BATCH).used_seconds == pytest.approx(20)


@pytest.mark.parametrize("is_lost", [True, False])
def test_batch_of_unknown_end_stays_reserved_as_a_whole(world: World, *, is_lost: bool) -> None:
    settle_batch(world, world.take(Lane.BULK, 40, is_batch=True), weight=1.0)
    permit = world.take(Lane.BULK, 40, is_batch=True)

    if is_lost:
        world.governor.settle(permit, Lane.BULK, {}, is_lost=True)

    assert world.use(BATCH).used_seconds == pytest.approx(40)
    assert world.use(METHOD).used_seconds == 0
    world.now += WINDOW + 10
    assert world.use(BATCH).used_seconds == 0


@pytest.mark.parametrize("weight", [None, 0.3, 1.0, 2.0])
@pytest.mark.parametrize(
    ("processes", "mean", "spread", "phase"),
    [(4, 0.5, 0.0, 17.3), (4, 0.5, 0.6, 0.0), (10, 0.5, 0.3, 59.9), (10, 2.0, 0.5, 30.0)],
)
def test_budget_is_used_and_never_overrun(
    client: redis.Redis, *, weight: float | None, processes: int, mean: float, spread: float, phase: float
) -> None:
    """Nothing is refused after the first few batches told what commands cost; at least 90 % of the budget is used."""
    world = World(client, phase=phase)
    work = Work(weight=weight, cost_seconds=lambda: mean * world.random.uniform(1 - spread, 1 + spread))
    world.start(worker(world, work))
    for number in range(1, processes):
        world.start(worker(world, work), after_seconds=150 + number)
    world.run(WINDOW)
    before = work.charged_seconds

    world.run(5 * WINDOW)

    assert work.refused == 0
    assert work.charged_seconds - before >= 0.9 * 480 * 5


def test_one_process_alone_uses_the_budget_as_well(client: redis.Redis) -> None:
    world = World(client)
    work = Work(weight=None, cost_seconds=lambda: 0.5)
    world.start(worker(world, work))

    world.run(6 * WINDOW)

    assert work.refused == 0
    assert work.charged_seconds >= 0.9 * 480 * 6


def test_crowd_that_knows_no_costs_yet_is_refused_once_and_learns(client: redis.Redis) -> None:
    """Ten at once, and each command takes four times what an unknown one is taken for."""
    world = World(client)
    work = Work(weight=None, cost_seconds=lambda: 2.0)
    for _ in range(10):
        world.start(worker(world, work))

    world.run(WINDOW)
    assert 0 < work.refused <= 10
    work.refused = 0

    world.run(4 * WINDOW)

    assert work.refused == 0
