from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.letter import DeadLetter, ReplayRun, Selection
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.replays import KEPT_SECONDS, LOST_AFTER, RedisReplays
from tests.contract.store_worlds import STORES, at, letter
from tests.fakes.stores import FakeClock, MemoryDeadLetters, MemoryReplays

CONFLICTS = Selection(cause="field_conflict")


@dataclass
class Desk:
    """Letters, replays of them, and the clock that the replays go by."""

    letters: Any
    replays: Any
    clock: FakeClock

    def file(self, count: int, **changed: Any) -> list[DeadLetter]:
        """Letters of as many deals, the one filed first being the youngest."""
        return [
            self.letters.add(letter(record=bitrix24_ref(RecordType.DEAL, number), first_at=at(-number), **changed))
            for number in range(count)
        ]

    def start(self, selection: Selection = CONFLICTS, *, id_: str = "run-1", seconds: float = 0) -> ReplayRun:
        run = ReplayRun(id=id_, by="anna", at=at(seconds), selection=selection, total=0)
        return self.replays.start(run)

    def send(self, count: int, *, run_id: str = "run-1") -> list[str]:
        """Of the next letters so many."""
        ids = self.replays.next(run_id, limit=count)
        for id_ in ids:
            self.replays.sent(run_id, id_, at=self.clock.now())
        return ids


def desk_over_memory() -> Desk:
    letters, clock = MemoryDeadLetters(), FakeClock(time=at(60))
    return Desk(letters, MemoryReplays(letters, now=clock.now), clock)


def desk_over_redis(client: redis.Redis) -> Desk:
    clock = FakeClock(time=at(60))
    return Desk(RedisDeadLetters(client), RedisReplays(client, now=clock.now), clock)


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest) -> Desk:
    return desk_over_memory() if request.param == "memory" else desk_over_redis(request.getfixturevalue("client"))


def counts(run: ReplayRun | None) -> dict[str, int]:
    """What of it is not 0."""
    assert run is not None
    names = ("total", "pending", "under_way", "closed", "failed", "skipped")
    return {name: getattr(run, name) for name in names if getattr(run, name)}


def test_run_is_kept_with_the_number_of_its_letters(desk: Desk) -> None:
    desk.file(3)

    run = desk.start()

    assert counts(run) == {"total": 3, "pending": 3}
    assert desk.replays.get("run-1") == run
    assert (run.by, run.at, run.selection) == ("anna", at(0), CONFLICTS)
    assert desk.replays.get("run-2") is None


def test_letters_are_those_of_the_start_in_the_order_of_their_first_failures(desk: Desk) -> None:
    filed = desk.file(3)
    desk.start()
    desk.letters.add(letter())

    assert desk.replays.next("run-1", limit=9) == [item.id for item in reversed(filed)]
    assert desk.replays.next("run-1", limit=2) == [filed[2].id, filed[1].id]
    assert desk.replays.next("run-1", limit=0) == desk.replays.next("run-2", limit=9) == []


@pytest.mark.parametrize(
    ("selection", "total"),
    [
        (Selection(), 5),
        (Selection(cause="link_broken"), 2),
        (Selection(entity="contact"), 3),
        (Selection(entity="deal", cause="field_conflict"), 0),
    ],
)
def test_run_is_of_the_letters_that_its_selection_means(desk: Desk, selection: Selection, total: int) -> None:
    desk.file(3)
    desk.file(2, entity="deal", cause="link_broken")

    assert counts(desk.start(selection)).get("total", 0) == total
    assert len(desk.replays.next("run-1", limit=9)) == total


def test_run_is_of_a_group(desk: Desk) -> None:
    desk.file(2)
    filed = desk.letters.add(letter(topic="name"))
    group = next(group for group in desk.letters.groups() if group.topic == "name")

    desk.start(Selection(group=group.id))

    assert desk.replays.next("run-1", limit=9) == [filed.id]


def test_named_letters_that_are_there_are_sent_oldest_first(desk: Desk) -> None:
    filed = desk.file(4)
    named = Selection(ids=(filed[0].id, "unknown", filed[3].id, filed[2].id, filed[0].id))

    run = desk.start(named)

    assert counts(run) == {"total": 3, "pending": 3}
    assert run.selection == named
    assert desk.replays.next("run-1", limit=9) == [filed[3].id, filed[2].id, filed[0].id]


def test_letter_goes_its_way(desk: Desk) -> None:
    desk.file(4)
    desk.start()

    first, second, third, fourth = desk.send(3) + desk.replays.next("run-1", limit=1)
    desk.replays.ended("run-1", first, closed=True)
    desk.replays.ended("run-1", second, closed=False)
    desk.replays.skipped("run-1", fourth)

    assert counts(desk.replays.get("run-1")) == {"total": 4, "under_way": 1, "closed": 1, "failed": 1, "skipped": 1}
    desk.replays.ended("run-1", third, closed=True)
    run = desk.replays.get("run-1")
    assert run.is_over
    assert counts(run) == {"total": 4, "closed": 2, "failed": 1, "skipped": 1}


def test_step_that_is_done_twice_counts_once(desk: Desk) -> None:
    desk.file(3)
    desk.start()
    desk.start(Selection(cause="link_broken"))  # the first answer was lost

    sent, closed, skipped = desk.replays.next("run-1", limit=3)
    for _ in range(2):
        desk.replays.sent("run-1", sent, at=at(60))
        desk.replays.sent("run-1", closed, at=at(60))
        desk.replays.ended("run-1", closed, closed=True)
        desk.replays.skipped("run-1", skipped)
        desk.replays.ended("run-1", skipped, closed=True)
        desk.replays.skipped("run-1", sent)

    assert counts(desk.replays.get("run-1")) == {"total": 3, "under_way": 1, "closed": 1, "skipped": 1}


def test_steps_of_what_is_no_part_of_it_are_nothing(desk: Desk) -> None:
    desk.file(1)
    run = desk.start()

    for run_id in ("run-1", "unknown"):
        desk.replays.sent(run_id, "unknown", at=at(60))
        desk.replays.skipped(run_id, "unknown")
        desk.replays.ended(run_id, "unknown", closed=True)

    assert desk.replays.get("run-1") == run
    assert desk.replays.get("unknown") is None
    assert desk.replays.page() == [run]


def test_letter_of_which_nothing_was_heard_counts_as_failed_until_it_is(desk: Desk) -> None:
    desk.file(2)
    desk.start()
    lost, _ = desk.send(2)
    desk.clock.sleep(LOST_AFTER.total_seconds())
    assert counts(desk.replays.get("run-1")) == {"total": 2, "under_way": 2}

    desk.clock.sleep(0.000001)
    assert counts(desk.replays.get("run-1")) == {"total": 2, "failed": 2}
    assert desk.replays.get("run-1").is_over

    desk.replays.ended("run-1", lost, closed=True)
    assert counts(desk.replays.get("run-1")) == {"total": 2, "closed": 1, "failed": 1}


def test_cancelled_run_forgets_what_waits_for_its_turn(desk: Desk) -> None:
    desk.file(4)
    desk.start()
    sent = desk.send(1)

    desk.replays.cancel("run-1", by="boris", at=at(70))
    run = desk.replays.cancel("run-1", by="clara", at=at(80))

    assert (run.cancelled_by, run.cancelled_at) == ("boris", at(70))
    assert desk.replays.next("run-1", limit=9) == desk.replays.unfinished() == []
    desk.replays.ended("run-1", sent[0], closed=True)
    assert desk.replays.get("run-1") == replace(run, under_way=0, closed=1)
    assert counts(desk.replays.get("run-1")) == {"total": 4, "closed": 1}


def test_finished_run_cannot_be_cancelled(desk: Desk) -> None:
    desk.file(1)
    desk.start()
    desk.replays.skipped("run-1", *desk.replays.next("run-1", limit=1))

    run = desk.replays.cancel("run-1", by="boris", at=at(70))

    assert (run.cancelled_at, run.cancelled_by) == (None, "")
    assert desk.replays.cancel("unknown", by="boris", at=at(70)) is None


def test_what_was_cancelled_before_it_was_sent_is_not_under_way(desk: Desk) -> None:
    desk.file(1)
    desk.start()
    (id_,) = desk.replays.next("run-1", limit=1)

    desk.replays.cancel("run-1", by="boris", at=at(70))
    desk.replays.sent("run-1", id_, at=at(71))

    assert counts(desk.replays.get("run-1")) == {"total": 1}


def test_runs_are_listed_newest_first_and_unfinished_ones_oldest_first(desk: Desk) -> None:
    desk.file(2)
    for number in (2, 1, 3, 4):
        desk.start(id_=f"run-{number}", seconds=number)
    desk.send(2, run_id="run-3")  # under way, and nothing waits

    assert [run.id for run in desk.replays.page()] == ["run-4", "run-3", "run-2", "run-1"]
    assert [run.id for run in desk.replays.page(limit=2)] == ["run-4", "run-3"]
    assert [run.id for run in desk.replays.unfinished()] == ["run-1", "run-2", "run-4"]
    assert counts(desk.replays.page(limit=2)[1]) == {"total": 2, "under_way": 2}


def test_run_of_no_letters_is_over_at_once(desk: Desk) -> None:
    run = desk.start()

    assert run.is_over
    assert desk.replays.get("run-1") == run
    assert desk.replays.unfinished() == []


def step_of(name: str) -> Callable[[Desk, str], object]:
    steps: dict[str, Callable[[Desk, str], object]] = {
        "sent": lambda desk, id_: desk.replays.sent("run-1", id_, at=desk.clock.now()),
        "skipped": lambda desk, id_: desk.replays.skipped("run-1", id_),
        "closed": lambda desk, id_: desk.replays.ended("run-1", id_, closed=True),
        "failed": lambda desk, id_: desk.replays.ended("run-1", id_, closed=False),
        "pass": lambda desk, id_: desk.clock.sleep(400),
        "cancel": lambda desk, id_: desk.replays.cancel("run-1", by="boris", at=at(70)),
    }
    return steps[name]


steps = st.lists(
    st.tuples(st.sampled_from(["sent", "sent", "skipped", "closed", "failed", "pass", "cancel"]), st.integers(0, 3)),
    max_size=20,
)


@settings(max_examples=50, deadline=None)
@given(steps=steps)
def test_any_steps_come_to_the_same_over_memory_and_redis(redis_server: Any, steps: list[tuple[str, int]]) -> None:
    redis_server.flush()
    with redis.Redis.from_url(redis_server.url(), decode_responses=True) as client:
        for desk in (desks := [desk_over_memory(), desk_over_redis(client)]):
            for number in range(4):
                desk.letters.add(letter(id=f"id{number}", record=bitrix24_ref(RecordType.DEAL, number)))
            desk.start()
        for name, number in steps:
            for desk in desks:
                step_of(name)(desk, f"id{number}")
            memory, kept = (desk.replays.get("run-1") for desk in desks)
            assert kept == memory
            counted = counts(kept)
            total = counted.pop("total")
            assert sum(counted.values()) == total or kept.cancelled_at is not None
        assert desks[0].replays.next("run-1", limit=9) == desks[1].replays.next("run-1", limit=9)


def test_finished_run_is_kept_for_a_month_and_an_unfinished_one_for_ever(client: redis.Redis) -> None:
    desk = desk_over_redis(client)
    desk.file(2)
    desk.start()
    sent, skipped = desk.replays.next("run-1", limit=2)
    desk.replays.sent("run-1", sent, at=at(60))
    assert {client.ttl(key) for key in client.scan_iter("sync:replay*")} == {-1}

    desk.replays.skipped("run-1", skipped)

    kept = {key: client.ttl(key) for key in client.scan_iter("sync:replay:*")}
    assert set(kept) == {"sync:replay:run-1", "sync:replay:run-1:under_way"}
    assert all(KEPT_SECONDS - 60 < seconds <= KEPT_SECONDS for seconds in kept.values())
    assert client.exists("sync:replays:unfinished") == 0


def test_cancelled_run_is_kept_for_a_month(client: redis.Redis) -> None:
    desk = desk_over_redis(client)
    desk.file(1)
    desk.start()

    desk.replays.cancel("run-1", by="boris", at=at(70))

    assert 0 < client.ttl("sync:replay:run-1") <= KEPT_SECONDS


def test_expired_runs_are_listed_no_more(client: redis.Redis) -> None:
    desk = desk_over_redis(client)
    desk.start(id_="run-1")
    client.delete("sync:replay:run-1")  # as its life ends

    assert desk.replays.page() == []
    desk.start(id_="run-2", seconds=1)
    assert client.zrange("sync:replays", 0, -1) == ["run-2"]


def test_rivals_count_each_letter_once(client: redis.Redis) -> None:
    desk = desk_over_redis(client)
    ids = [item.id for item in desk.file(20)]
    desk.start()
    start = threading.Barrier(4)

    def work(_: int) -> None:
        start.wait()
        for id_ in ids:
            desk.replays.sent("run-1", id_, at=at(60))
            desk.replays.ended("run-1", id_, closed=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert counts(desk.replays.get("run-1")) == {"total": 20, "closed": 20}
