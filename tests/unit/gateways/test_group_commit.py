"""Nobody waits for ever, nobody is answered twice, and who comes alone waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.threads import LONG, Gate
from tests.unit.gateways.lines import Line, answer, calls_in_line, everybody


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=64) as pool:
        yield pool


def test_call_that_comes_alone_runs_in_its_own_thread():
    threads = []

    def travel(journey):
        threads.append(threading.current_thread())
        answer(everybody(journey))

    line = Line(travel)
    assert [line.run(number) for number in range(3)] == [0, 2, 4]
    assert set(threads) == {threading.current_thread()}


def test_calls_that_wait_leave_together_in_the_order_of_coming(pool):
    gate, journeys = Gate(), []

    def travel(journey):
        if not gate.reached.is_set():
            gate.stop()
        tickets = everybody(journey)
        journeys.append([ticket.item for ticket in tickets])
        answer(tickets)

    line = Line(travel)
    futures = calls_in_line(line, 20, pool)
    gate.opened.set()
    assert [future.result(LONG) for future in futures] == [2 * number for number in range(1, 21)]
    assert journeys == [list(range(1, 21))]


def test_next_journey_starts_while_the_first_is_under_way(pool):
    both_under_way = threading.Barrier(2, timeout=LONG)

    def travel(journey):
        first = journey.waiting()[:1]
        journey.depart(first)
        both_under_way.wait()  # breaks unless another leads meanwhile
        answer(first)

    line = Line(travel)
    assert sorted(pool.map(line.run, [1, 2], timeout=LONG)) == [2, 4]


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no")])
def test_error_before_anybody_left_is_the_leaders_alone(pool, error):
    gate = Gate()

    def travel(journey):
        if not gate.reached.is_set():
            gate.stop()
            raise error
        answer(everybody(journey))

    line = Line(travel)
    leader, *others = calls_in_line(line, 5, pool)
    gate.opened.set()
    assert leader.exception(LONG) is error
    assert [future.result(LONG) for future in others] == [4, 6, 8, 10]


def test_error_under_way_is_of_those_aboard_who_have_no_answer_yet(pool):
    gate, error = Gate(), ValueError("no")

    def travel(journey):
        if gate.reached.is_set():
            answer(everybody(journey))
            return
        gate.stop()
        aboard = journey.waiting()[:3]
        journey.depart(aboard)
        answer(aboard[:1])
        raise error

    line = Line(travel)
    futures = calls_in_line(line, 5, pool)
    gate.opened.set()
    assert [future.exception(LONG) for future in futures] == [None, error, error, None, None]


def test_who_was_taken_along_and_forgotten_is_told_so(pool):
    gate = Gate()

    def travel(journey):
        gate.stop()
        answer(everybody(journey)[:1])

    line = Line(travel)
    first, second = calls_in_line(line, 2, pool)
    gate.opened.set()
    assert first.result(LONG) == 2
    with pytest.raises(RuntimeError, match="neither answered nor failed"):
        second.result(LONG)


def test_first_answer_counts():
    def travel(journey):
        (ticket,) = everybody(journey)
        ticket.answer("first")
        ticket.answer("second")
        ticket.fail(ValueError("third"))

    assert Line(travel).run(1) == "first"


def test_none_is_an_answer():
    def travel(journey):
        everybody(journey)[0].answer(None)

    assert Line(travel).run(1) is None


def test_leader_who_stays_behind_leads_again():
    journeys = []

    def travel(journey):
        journeys.append(len(journey.waiting()))
        if len(journeys) < 3:
            journey.depart([])
            return
        answer(everybody(journey))

    assert Line(travel).run(4) == 8
    assert journeys == [1, 1, 1]


def test_leader_who_stays_behind_holds_nobody_up_while_it_sends_others_calls(pool):
    gate, under_way = Gate(), Gate()

    def travel(journey):
        if gate.reached.is_set():
            answer(everybody(journey))
            return
        gate.stop()
        others = journey.waiting()[1:]
        journey.depart(others)
        under_way.stop()
        answer(others)

    line = Line(travel)
    leader, other = calls_in_line(line, 2, pool)
    gate.opened.set()
    assert under_way.reached.wait(LONG)
    late = pool.submit(line.run, 5)
    assert late.result(LONG) == 10  # it led itself, and took the first leader along
    assert not other.done()
    under_way.opened.set()
    assert (other.result(LONG), leader.result(LONG)) == (4, 2)
