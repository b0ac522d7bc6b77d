"""Doorbells that need no look of their own: which, when, and that none is ever missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_worker.contract import Change, ChangeEvent, Lane
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import RecordBusy, RemoteUnavailable, StoreUnavailable
from sync_worker.sync.coalescing import CLOCK_MARGIN, QUIET, Covered, Gather, Look, judge
from sync_worker.sync.retry_policy import Park, WaitFor
from tests.fakes.stores import FakeClock, MemoryReads
from tests.unit.sync.world import COMPANY, DEAL, REQUISITE, World, company, deal

NOON = FakeClock().now()
AN_HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)
TITLE = "Иначе"


# --- the judgement ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rang", "began", "expected"),
    [
        pytest.param(-AN_HOUR, None, Look(), id="never read"),
        pytest.param(-CLOCK_MARGIN - MOMENT, timedelta(0), Covered(), id="rung before the read, whatever the clocks"),
        pytest.param(-CLOCK_MARGIN, timedelta(0), Gather(NOON + QUIET), id="perhaps after it began"),
        pytest.param(timedelta(0), -QUIET, Look(), id="rung since, and it was quiet"),
        pytest.param(timedelta(0), MOMENT - QUIET, Gather(NOON + MOMENT), id="rung since, hardly quiet"),
        pytest.param(-AN_HOUR, AN_HOUR, Look(), id="a read to come is a wrong clock's"),
        pytest.param(-AN_HOUR, CLOCK_MARGIN, Covered(), id="a read to come, within the margin"),
    ],
)
def test_what_a_doorbell_is_worth(rang: timedelta, began: timedelta | None, expected: Any) -> None:
    moment = None if began is None else NOON + began

    assert judge(rang_at=NOON + rang, began=moment, now=NOON) == expected


def test_the_quiet_is_at_least_what_clocks_may_differ_by() -> None:
    assert QUIET >= CLOCK_MARGIN


# --- many doorbells of one record ------------------------------------------------------------------------------------


def edit(world: World, number: int) -> ChangeEvent:
    """Somebody changes the deal; its doorbell rings at this moment."""
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={"title": f"{TITLE} {number}"})
    return replace(world.ring(DEAL), seen_at=world.clock.now(), trace=f"edit {number}")


def title_in_onec(world: World) -> object:
    return world.documents.documents["b24:deal:5"][1]["title"]


@pytest.fixture
def sent(world: World) -> World:
    world.sent_deal()
    return world


def test_a_thousand_edits_that_wait_in_the_queue_cost_one_read(sent: World) -> None:
    queued = [edit(sent, number) for number in range(1000)]
    sent.clock.sleep(2)

    outcomes = [sent.handle(event) for event in queued]

    assert outcomes == [Outcome.UPDATED, *[Outcome.COVERED] * 999]
    assert (sent.deals.calls, sent.documents.calls) == (["read"], ["upsert_order", "order_total"])
    assert title_in_onec(sent) == f"{TITLE} 999"


def test_a_thousand_edits_that_keep_coming_cost_one_read_a_second(sent: World) -> None:
    bell = sent.ring(DEAL)
    for number in range(1000):  # for ten seconds
        sent.deals.records[DEAL] = replace(sent.deals.records[DEAL], fields={"title": f"{TITLE} {number}"})
        sent.handle(replace(bell, seen_at=sent.clock.now()))
        sent.clock.time += timedelta(milliseconds=10)
        handle_released(sent)
    sent.clock.sleep(2)
    handle_released(sent)

    assert sent.deals.count("read") == 11
    assert title_in_onec(sent) == f"{TITLE} 999"
    assert sent.parked.count() == 0


def handle_released(world: World) -> list[Any]:
    world.worker.release_parked()
    released = list(world.outbox.published)
    world.outbox.published.clear()
    return [world.run(event) for event in released]


def test_doorbells_of_a_moment_become_one(sent: World) -> None:
    sent.handle(edit(sent, 1))
    seen_at = sent.clock.now()
    bells = [replace(edit(sent, 2), seen_at=seen_at + number * MOMENT) for number in range(3)]
    sent.clock.time = seen_at + 5 * MOMENT

    assert [sent.handle(bell) for bell in bells] == [Outcome.GATHERED] * 3
    assert sent.parked.count() == 1
    sent.clock.time = seen_at + QUIET
    assert handle_released(sent) == [Outcome.UPDATED]
    assert sent.deals.count("read") == 2


def test_a_doorbell_that_rings_while_its_record_is_in_hand_is_gathered(
    sent: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, read, met = sent.worker, sent.deals.read, []
    first, second = edit(sent, 1), edit(sent, 2)

    def look(ref: Any) -> Any:
        met.append(worker.handle(second))  # another thread of the process, at this very moment
        return read(ref)

    monkeypatch.setattr(sent.deals, "read", look)
    assert worker.handle(first) is Outcome.UPDATED
    monkeypatch.undo()

    assert met == [Outcome.GATHERED]
    assert sent.parked.count() == 1
    assert worker.handle(edit(sent, 3)) is Outcome.UPDATED  # it is in nobody's hand any more


def test_a_covered_doorbell_costs_one_question_to_the_store(sent: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bell = edit(sent, 1)
    sent.clock.sleep(2)
    sent.handle(bell)
    worker = replace(sent.worker, letters=None, links=None, parked=None, capabilities=None, flows={})  # type: ignore[arg-type]

    assert worker.handle(bell) is Outcome.COVERED


def test_a_busy_record_gathers_its_doorbells(sent: World) -> None:
    with sent.locks.hold(str(DEAL)):
        decisions = [sent.run(edit(sent, number)) for number in range(3)]

    assert all(isinstance(decision, Park) for decision in decisions)
    assert sent.parked.count() == 1
    sent.clock.sleep(5)
    assert handle_released(sent) == [Outcome.UPDATED]
    assert title_in_onec(sent) == f"{TITLE} 2"


def test_an_event_with_the_state_of_onec_is_never_coalesced(world: World) -> None:
    _, party = world.linked_company()
    world.reads.note(world.ring(COMPANY).entity, party.ref, world.clock.now() + AN_HOUR, whole=True)

    assert world.handle(world.tell(world.base.edit(party.ref, full_name="новое"))) is Outcome.UPDATED
    with world.locks.hold(str(party.ref)):
        assert isinstance(world.run(world.tell(world.base.edit(party.ref, full_name="другое"))), WaitFor)


def test_a_deletion_is_never_coalesced(sent: World) -> None:
    bell = sent.ring(DEAL, change=Change.DELETED)
    sent.clock.sleep(5)
    sent.handle(edit(sent, 1))
    del sent.deals.records[DEAL]

    assert type(sent.run(bell)).__name__ == "GiveUp"


def test_a_record_of_a_deal_covers_no_other_kind_of_work(sent: World) -> None:
    bell = sent.ring(COMPANY)
    sent.clock.sleep(5)
    sent.handle(edit(sent, 1))

    assert sent.handle(bell) is Outcome.ECHO


# --- what covers nothing ---------------------------------------------------------------------------------------------


def crash_after_read(world: World) -> None:
    world.deals.fail("read", KeyboardInterrupt(), is_done=True)


def crash_after_write(world: World) -> None:
    world.documents.fail("upsert_order", KeyboardInterrupt(), is_done=True)


def crash_in(store: str, method: str, *, is_done: bool) -> Callable[[World], None]:
    def plan(world: World) -> None:
        keeper = getattr(world, store)
        work = getattr(keeper, method)

        def die(*args: Any, **named: Any) -> None:
            delattr(keeper, method)
            if is_done:
                work(*args, **named)
            raise KeyboardInterrupt

        setattr(keeper, method, die)

    return plan


@pytest.mark.parametrize(
    "crash",
    [
        pytest.param(crash_after_read, id="after the read"),
        pytest.param(crash_after_write, id="after the write"),
        pytest.param(crash_in("links", "save", is_done=True), id="after the link was saved"),
        pytest.param(crash_in("memories", "save", is_done=True), id="after the memory was saved"),
        pytest.param(crash_in("reads", "note", is_done=False), id="before the read was noted"),
        pytest.param(crash_in("reads", "note", is_done=True), id="after the read was noted"),
    ],
)
def test_a_process_that_dies_anywhere_leaves_no_edit_behind(sent: World, crash: Callable[[World], None]) -> None:
    first, second = edit(sent, 1), edit(sent, 2)
    sent.clock.sleep(2)
    crash(sent)
    with pytest.raises(KeyboardInterrupt):
        sent.handle(first)
    sent.clock.sleep(60)  # the broker gives it out again

    sent.handle(second)
    sent.handle(first)

    assert title_in_onec(sent) == f"{TITLE} 2"


def test_a_read_whose_work_failed_covers_nothing(sent: World) -> None:
    first, second = edit(sent, 1), edit(sent, 2)
    sent.clock.sleep(2)
    sent.documents.fail("upsert_order", RemoteUnavailable("503"))

    assert isinstance(sent.run(first), WaitFor)
    assert sent.handle(second) is Outcome.UPDATED


def test_a_failed_event_may_be_covered_by_anothers_success(sent: World) -> None:
    first, second = edit(sent, 1), edit(sent, 2)
    sent.clock.sleep(2)
    sent.documents.fail("upsert_order", RemoteUnavailable("503"))
    sent.run(first)
    sent.handle(second)

    assert sent.handle(replace(first, attempts=1)) is Outcome.COVERED


def test_an_edit_during_the_work_is_looked_at_again(sent: World) -> None:
    during: list[ChangeEvent] = []
    sent.documents.before("upsert_order", lambda: during.append(edit(sent, 2)))
    sent.handle(edit(sent, 1))
    sent.clock.sleep(2)

    assert sent.handle(during[0]) is Outcome.UPDATED
    assert title_in_onec(sent) == f"{TITLE} 2"


def test_waiting_behind_a_letter_covers_nothing(sent: World) -> None:
    sent.documents.locked.add("b24:deal:5")
    sent.run(edit(sent, 1))
    assert sent.run(edit(sent, 2)) is Outcome.PARKED

    assert sent.run(edit(sent, 3)) is Outcome.PARKED
    assert sent.letter().waiting == 2


def test_a_replay_is_never_judged(sent: World) -> None:
    bell = edit(sent, 1)
    sent.clock.sleep(2)
    sent.handle(bell)

    assert sent.handle(replace(bell, letter="gone")) is Outcome.ECHO


class NoStore(MemoryReads):
    def note(self, *_args: Any, **_named: Any) -> None:
        raise StoreUnavailable("away")


def test_a_note_that_is_lost_costs_a_read_and_no_more(world: World) -> None:
    world.reads = NoStore()
    world.sent_deal()

    assert world.handle(edit(world, 1)) is Outcome.UPDATED
    assert world.handle(world.ring(DEAL)) is Outcome.ECHO


# --- parts of a record -----------------------------------------------------------------------------------------------


def test_a_look_at_the_card_covers_no_event_of_a_part(world: World) -> None:
    world.linked_company()
    world.portal.requisites[REQUISITE] = COMPANY
    world.handle(world.ring(REQUISITE))
    part = world.ring(REQUISITE)
    world.clock.sleep(5)
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert world.portal.calls[-1] == "read_card"

    assert world.handle(part) is Outcome.ECHO
    assert world.portal.calls[-1] == "read"
    assert world.handle(part) is Outcome.COVERED


def test_a_record_that_was_just_created_was_read_whole(world: World) -> None:
    world.portal.put(company())
    world.portal.requisites[REQUISITE] = COMPANY
    part = world.ring(REQUISITE)
    world.clock.sleep(5)
    assert world.handle(world.ring(COMPANY)) is Outcome.CREATED

    assert world.handle(part) is Outcome.COVERED


# --- who waits for whom ----------------------------------------------------------------------------------------------


def test_what_an_event_causes_stays_in_its_lane(world: World) -> None:
    world.portal.put(company())
    world.deals.records[DEAL] = deal()
    world.base.fail("create", RecordBusy("held"))
    bulk = replace(world.ring(DEAL), lane=Lane.BULK)

    assert isinstance(world.run(bulk), Park)

    world.clock.sleep(60)
    world.worker.release_parked()
    assert [event.lane for event in world.outbox.published] == [Lane.BULK]
