"""Whatever befalls the thread that leads, or one that waits, the others are served."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.threads import LONG, Gate, await_that
from tests.unit.gateways.lines import Line, answer, calls_in_line, everybody


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=64) as pool:
        yield pool


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupt_of_the_leader_is_its_own(pool, interrupt):
    gate, left = Gate(), Gate()

    def travel(journey):
        if left.reached.is_set():
            answer(everybody(journey))
            return
        gate.stop()
        journey.depart(journey.waiting()[:2])
        left.reached.set()
        raise interrupt

    line = Line(travel)
    leader, aboard, behind = calls_in_line(line, 3, pool)
    gate.opened.set()
    assert behind.result(LONG) == 6
    with pytest.raises(RuntimeError, match="neither answered nor failed"):
        aboard.result(LONG)
    with pytest.raises(interrupt):
        leader.result(LONG)


def test_interrupt_before_anybody_left_passes_the_lead_on(pool):
    gate = Gate()

    def travel(journey):
        if not gate.reached.is_set():
            gate.stop()
            raise KeyboardInterrupt
        answer(everybody(journey))

    line = Line(travel)
    leader, behind = calls_in_line(line, 2, pool)
    gate.opened.set()
    with pytest.raises(KeyboardInterrupt):
        leader.result(LONG)
    assert behind.result(LONG) == 4
    assert line.run(3) == 6


def test_interrupt_of_one_who_waits_takes_it_out_of_the_line(pool):
    gate, journeys = Gate(), []

    def travel(journey):
        gate.stop()
        tickets = everybody(journey)
        journeys.append([ticket.item for ticket in tickets])
        answer(tickets)

    def interrupt_when_both_wait():
        await_that(lambda: len(line._waiting()) == 2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    line = Line(travel)
    (leader,) = calls_in_line(line, 1, pool)
    pool.submit(interrupt_when_both_wait)
    with pytest.raises(KeyboardInterrupt):
        line.run(2)
    gate.opened.set()
    assert (leader.result(LONG), journeys) == (2, [[1]])
    assert line.run(3) == 6


def test_64_threads_with_random_failures_are_each_answered_once(pool):
    draw, counted = random.Random(1), threading.Lock()
    departed: list[int] = []

    def travel(journey):
        with counted:
            trouble = draw.random()
            share = draw.random()
        if trouble < 0.1:
            raise ValueError("before")
        waiting = journey.waiting()
        some = waiting[int(share * 2) :][: draw.randint(1, 50)] or waiting[:1]  # without the leader, now and then
        journey.depart(some)
        with counted:
            departed.extend(ticket.item for ticket in some)
        for ticket in some[: len(some) // 2 if trouble < 0.2 else len(some)]:
            ticket.answer(ticket.item * 2) if trouble < 0.9 else ticket.fail(KeyError(ticket.item))
        if trouble < 0.2:
            raise ValueError("under way")

    line, start = Line(travel), threading.Barrier(64, timeout=LONG)

    def call_many(thread: int) -> dict[int, object]:
        start.wait()
        return {item: outcome_of(line, item) for item in range(thread * 200, thread * 200 + 200)}

    def outcome_of(line: Line, item: int) -> object:
        try:
            return line.run(item)
        except (ValueError, KeyError) as error:
            return error

    outcomes = {item: what for future in pool.map(call_many, range(64), timeout=LONG) for item, what in future.items()}
    assert len(outcomes) == 64 * 200
    assert all(what == 2 * item for item, what in outcomes.items() if not isinstance(what, Exception))
    assert all(
        what.args[0] in (item, "before", "under way") for item, what in outcomes.items() if isinstance(what, Exception)
    )
    assert len(departed) == len(set(departed))  # nobody left twice
    unanswered = set(outcomes) - set(departed)
    assert all(outcomes[item].args == ("before",) for item in unanswered)
    assert line._waiting() == []
