from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from sync_worker.cli.waiting import STILL_SECONDS, Fate, await_fate, follow
from sync_worker.domain.letter import ReplayRun, Selection
from sync_worker.sync.office import DeadLetterOffice, NotPossible
from tests.contract.store_worlds import NOON, letter
from tests.fakes.stores import (
    MemoryAudit,
    MemoryDeadLetters,
    MemoryLinks,
    MemoryOutbox,
    MemoryReplays,
    MemoryStories,
    take,
)


@dataclass
class EventfulClock:
    """Time that passes only by sleeping; meanwhile happens what is written for that second."""

    events: dict[float, Callable[[], Any]] = field(default_factory=dict)
    slept_seconds: float = 0

    def now(self) -> datetime:
        return NOON.fromtimestamp(NOON.timestamp() + self.slept_seconds, NOON.tzinfo)

    def sleep(self, seconds: float) -> None:
        self.slept_seconds += seconds
        for due in [second for second in self.events if second <= self.slept_seconds]:
            self.events.pop(due)()


@pytest.fixture
def clock() -> EventfulClock:
    return EventfulClock()


@pytest.fixture
def office(clock: EventfulClock) -> DeadLetterOffice:
    letters = MemoryDeadLetters()
    return DeadLetterOffice(
        letters=letters,
        replays=MemoryReplays(letters, now=clock.now),
        audit=MemoryAudit(),
        stories=MemoryStories(),
        links=MemoryLinks(),
        outbox=MemoryOutbox(),
        clock=clock,
    )


def still_at(clock: EventfulClock) -> tuple[list[float], Callable[[], None]]:
    """A list of the seconds at which it was told that nothing moves, and who tells."""
    told: list[float] = []
    return told, lambda: told.append(clock.slept_seconds)


def test_a_letter_that_goes_is_settled(office: DeadLetterOffice, clock: EventfulClock) -> None:
    sent = office.replay_one(office.letters.add(letter()).id, by="anna")
    clock.events[3] = lambda: take(office.letters, sent.id)
    told, on_still = still_at(clock)

    ending = await_fate(office, sent, seconds=60, on_still=on_still)

    assert (ending.fate, ending.letter, clock.slept_seconds, told) == (Fate.SETTLED, sent, 3, [])


def test_a_letter_that_failed_again_is_back(office: DeadLetterOffice, clock: EventfulClock) -> None:
    sent = office.replay_one(office.letters.add(letter()).id, by="anna")
    clock.events[2] = lambda: office.letters.add(replace(sent, cause="link_broken", sent_at=None))

    ending = await_fate(office, sent, seconds=60, on_still=lambda: None)

    assert (ending.fate, ending.letter.cause) == (Fate.BACK, "link_broken")


def test_a_letter_that_nobody_takes_is_told_once_and_given_up(office: DeadLetterOffice, clock: EventfulClock) -> None:
    sent = office.replay_one(office.letters.add(letter()).id, by="anna")
    told, on_still = still_at(clock)

    ending = await_fate(office, sent, seconds=60, on_still=on_still)

    assert (ending.fate, told, clock.slept_seconds) == (Fate.UNDER_WAY, [STILL_SECONDS], 60)


def test_a_replay_is_followed_until_it_is_over(office: DeadLetterOffice, clock: EventfulClock) -> None:
    filed = office.letters.add(letter())
    run = office.replay(Selection(), by="anna")
    clock.events |= {2: office.advance, 5: lambda: office.replays.ended(run.id, filed.id, closed=True)}
    seen: list[ReplayRun] = []
    told, on_still = still_at(clock)

    last = follow(office, run, on_step=seen.append, on_still=on_still)

    assert (last.closed, last.is_over, told) == (1, True, [])
    assert [(run.pending, run.under_way) for run in (seen[0], seen[5], seen[-1])] == [(1, 0), (0, 1), (0, 0)]


def test_a_replay_that_does_not_move_is_told_each_time_it_takes_long(
    office: DeadLetterOffice, clock: EventfulClock
) -> None:
    filed = office.letters.add(letter())
    run = office.replay(Selection(), by="anna")
    clock.events |= {25: office.advance, 40: lambda: office.replays.ended(run.id, filed.id, closed=False)}
    told, on_still = still_at(clock)

    last = follow(office, run, on_step=lambda _: None, on_still=on_still)

    assert (last.failed, told) == (1, [10, 20, 35])


def test_a_replay_that_is_cancelled_by_somebody_else_ends(office: DeadLetterOffice, clock: EventfulClock) -> None:
    office.letters.add(letter())
    run = office.replay(Selection(), by="anna")
    clock.events[1] = lambda: office.cancel(run.id, by="boris")

    last = follow(office, run, on_step=lambda _: None, on_still=lambda: None)

    assert last.cancelled_by == "boris"


def test_a_replay_that_is_not_there_is_said(office: DeadLetterOffice) -> None:
    run = ReplayRun(id="gone", by="anna", at=NOON, selection=Selection(), total=1, pending=1)

    with pytest.raises(NotPossible, match="no replay gone"):
        follow(office, run, on_step=lambda _: None, on_still=lambda: None)
