"""Who is taken for hung, and who is left alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from sync_worker.cli.stillness import Look, Standstill, Watch
from sync_worker.contract import Lane

HUNG = 10.0
PROGRAMS = {"worker1": Lane.LIVE, "worker2": Lane.LIVE, "bulk": Lane.BULK}
ALL = tuple(PROGRAMS)
NOTHING_WAITS: Mapping[Lane, Hashable] = {}


def look(*answered: str, waiting: Mapping[Lane, Hashable] = NOTHING_WAITS) -> Look:
    return Look(answered=frozenset(answered), waiting=waiting)


def watch() -> Watch:
    return Watch(PROGRAMS, hung_seconds=HUNG)


def replaced(watch: Watch, seen: Look, *, until: float, start: float = 0) -> list[tuple[float, str]]:
    """Look once a second from `start` to `until`: when who was replaced."""
    found = []
    for second in range(int(start), int(until) + 1):
        found += [(float(second), one.program) for one in watch.see(seen, now=second)]
    return found


def test_an_idle_exchange_is_left_alone() -> None:
    assert replaced(watch(), look(*ALL), until=1000) == []


def test_a_worker_that_answers_nothing_is_replaced_after_its_time_and_no_other() -> None:
    assert replaced(watch(), look("worker2", "bulk"), until=10) == [(10, "worker1")]


def test_one_answer_in_between_is_enough() -> None:
    eyes = watch()
    replaced(eyes, look("worker2", "bulk"), until=9)
    eyes.see(look(*ALL), now=10)

    assert replaced(eyes, look("worker2", "bulk"), start=11, until=20) == []


def test_who_never_comes_to_an_answer_is_given_twice_as_long_each_time() -> None:
    moments = replaced(watch(), look("worker2", "bulk"), until=100)

    assert moments == [(10, "worker1"), (31, "worker1"), (72, "worker1")]


def test_an_answer_ends_the_row() -> None:
    eyes = watch()
    replaced(eyes, look("worker2", "bulk"), until=10)
    eyes.see(look(*ALL), now=11)

    assert replaced(eyes, look("worker2", "bulk"), start=12, until=22) == [(22, "worker1")]


def test_a_lane_where_nothing_moves_gets_new_workers_though_they_answer() -> None:
    seen = look(*ALL, waiting={Lane.LIVE: ("17 done", "first in line")})

    assert replaced(watch(), seen, until=50) == [(50, "worker1"), (50, "worker2")]


def test_a_task_that_comes_to_an_end_is_progress_as_is_a_message_that_is_taken() -> None:
    eyes = watch()
    moves: list[Standstill] = []
    for second in range(200):
        mark = ("parked or tried again", second // 40)
        moves += eyes.see(look(*ALL, waiting={Lane.LIVE: mark}), now=second)

    assert moves == []


def test_a_queue_that_was_empty_for_a_moment_is_no_queue_that_stands() -> None:
    eyes = watch()
    seen = look(*ALL, waiting={Lane.BULK: "the same"})
    replaced(eyes, seen, until=49)
    eyes.see(look(*ALL), now=50)

    assert replaced(eyes, seen, start=51, until=100) == []


def test_where_nothing_could_be_seen_the_time_begins_anew() -> None:
    eyes = watch()
    replaced(eyes, look(), until=9)
    eyes.forget()

    assert replaced(eyes, look(), start=10, until=19) == []


def test_a_watch_that_was_stopped_itself_begins_anew() -> None:
    eyes = watch()
    replaced(eyes, look(), until=5)

    assert eyes.see(look(), now=5000) == []
    assert eyes.see(look(), now=5009) == []
    assert [one.program for one in eyes.see(look(), now=5010)] == list(ALL)
