"""One event to its outcome: letters that hold a record, replays, parking, and what a failure becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_worker.contract import ChangeEvent, Lane, Misfit
from sync_worker.domain.identity import EntityKind, System
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import (
    AmbiguousMatch,
    BadEvent,
    CircuitOpen,
    LinkBroken,
    Misconfigured,
    NotYetLinked,
    OutcomeUnknown,
    RateLimited,
    RecordBusy,
    RemoteRejected,
    RemoteUnavailable,
    StoreUnavailable,
)
from sync_worker.sync.retry_policy import GiveUp, Halt, Park, WaitFor
from tests.fakes.stores import MemoryTally, take
from tests.unit.sync.world import (
    COMPANY,
    CONTACT,
    DEAL,
    LEAD,
    REQUISITE,
    World,
    company,
    contact,
    deal,
)


def conflict(world: World) -> Any:
    """A linked company whose name was changed on both sides, filed as a letter. Returns 1C's record."""
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс")
    world.base.edit(party.ref, name="Ромашка Люкс")
    world.run(world.ring(COMPANY))
    world.forget_calls()
    return world.base.records[party.ref]


# --- before the flow -------------------------------------------------------------------------------------------------


def test_an_entity_that_the_base_does_not_offer_is_off(world: World) -> None:
    world.capabilities.lacking.add(EntityKind.CONTACT)
    world.portal.put(company())

    assert world.handle(world.ring(COMPANY)) is Outcome.OFF
    assert world.portal.calls == []


def test_an_event_about_nothing_of_ours_is_resolved_to_nothing(world: World) -> None:
    assert world.worker.resolve(world.ring(REQUISITE)) is None


def test_an_event_of_a_record_is_resolved_to_itself(world: World) -> None:
    event = world.ring(COMPANY)

    assert world.worker.resolve(event) == event


# --- behind a letter -------------------------------------------------------------------------------------------------


def test_a_conflict_becomes_a_letter_with_both_values(world: World) -> None:
    party = conflict(world)

    letter = world.letter()

    assert (letter.entity, letter.cause) == ("contact", "field_conflict")
    assert (letter.record, letter.partner) == (COMPANY, party.ref)
    name = {"baseline": "Ромашка", "bitrix24": "Ромашка Плюс", "onec": "Ромашка Люкс"}
    assert letter.details == {"fields": {"name": name}}
    assert (letter.attempts, letter.code_version, letter.trace) == (1, "1.2.3", f"ring {COMPANY}")


def test_later_events_of_the_record_wait_behind_its_letter(world: World) -> None:
    conflict(world)

    assert world.run(world.ring(COMPANY)) is Outcome.PARKED
    assert world.letter().waiting == 1
    assert world.portal.calls == world.base.calls == []


def test_events_of_the_partner_wait_behind_the_same_letter(world: World) -> None:
    party = conflict(world)

    assert world.run(world.tell(party)) is Outcome.PARKED


def test_events_of_another_record_do_not_wait(world: World) -> None:
    conflict(world)
    world.portal.put(contact())

    assert world.run(world.ring(CONTACT)) is Outcome.CREATED


def test_other_work_on_the_same_record_does_not_wait(world: World) -> None:
    world.sent_deal()
    world.documents.locked.add("b24:deal:5")
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={"title": "Иначе"})
    world.run(world.ring(DEAL))

    assert world.run(world.ring(DEAL, entity=EntityKind.STATUS)) is Outcome.SKIPPED


# --- replay ----------------------------------------------------------------------------------------------------------


def test_a_replay_that_succeeds_removes_the_letter(world: World) -> None:
    party = conflict(world)
    world.portal.edit(COMPANY, name="Ромашка Люкс")

    assert world.run(world.replay()) is Outcome.UNCHANGED
    assert world.letters.count_by_cause() == {}
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert world.base.records[party.ref].fields["name"] == "Ромашка Люкс"


def test_a_replay_that_fails_keeps_the_letter(world: World) -> None:
    conflict(world)
    before = world.letter()
    world.clock.sleep(60)

    assert world.run(world.replay()) == GiveUp()

    after = world.letter()
    assert (after.id, after.first_at) == (before.id, before.first_at)
    assert after.last_at == before.last_at + timedelta(seconds=60)


def test_a_replay_that_has_to_wait_keeps_the_letter(world: World) -> None:
    conflict(world)
    event = world.replay()

    with world.locks.hold(str(COMPANY)):
        decision = world.run(event)

    assert isinstance(decision, Park)
    assert world.letter().cause == "field_conflict"
    world.portal.edit(COMPANY, name="Ромашка Люкс")
    world.clock.sleep(decision.seconds)
    world.worker.release_parked()
    assert world.run(*world.outbox.published) is Outcome.UNCHANGED
    assert world.letters.count_by_cause() == {}


def test_a_replay_starts_with_a_clean_slate(world: World) -> None:
    conflict(world)
    world.clock.sleep(100 * 3600)

    event = world.replay()

    assert (event.attempts, event.seen_at, event.letter) == (0, world.clock.now(), world.letter().id)
    assert (event.lane, event.whole) == (Lane.BULK, True)


def test_a_replay_whose_letter_was_discarded_meanwhile_still_has_its_outcome(world: World) -> None:
    conflict(world)
    event = world.replay()
    take(world.letters, world.letter().id)
    world.portal.edit(COMPANY, name="Ромашка Люкс")

    assert world.run(event) is Outcome.UNCHANGED


def test_a_letter_that_is_discarded_during_its_replay_is_not_missed(world: World) -> None:
    conflict(world)
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")
    world.portal.before("read", lambda: take(world.letters, world.letter().id))

    assert world.run(event) is Outcome.UNCHANGED
    assert world.outbox.published == []


def test_the_newest_state_of_onec_is_kept_behind_a_letter(world: World) -> None:
    party = conflict(world)
    newer = world.base.edit(party.ref, name="Ромашка Плюс", full_name="новое")
    world.run(world.tell(newer))
    world.run(world.tell(party))  # an older one, late

    event = world.replay()

    assert world.run(event) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["full_name"] == "новое"


def test_a_state_that_comes_while_the_replay_lies_in_the_queue_is_the_one_handled(world: World) -> None:
    party = conflict(world)
    world.run(world.tell(party))
    event = world.replay()
    newer = world.base.edit(party.ref, name="Ромашка Плюс", full_name="новое")
    world.run(world.tell(newer))

    assert world.run(event) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["full_name"] == "новое"
    assert world.letters.count_by_cause() == {}


def test_a_state_that_comes_during_the_replay_goes_round_on_its_own(world: World) -> None:
    party = conflict(world)
    world.run(world.tell(party))
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")
    newer: list[ChangeEvent] = []

    def change_in_onec() -> None:
        newer.append(world.tell(world.base.edit(party.ref, full_name="новое")))
        assert world.run(newer[0]) is Outcome.PARKED

    world.portal.after("read", change_in_onec)
    world.run(event)

    assert newer[0].onec in [event.onec for event in world.outbox.published]
    assert world.letters.count_by_cause() == {}


def test_a_doorbell_that_is_rung_during_the_replay_is_not_lost(world: World) -> None:
    """A letter keeps 1C's state rather than a doorbell, but the portal was read before the doorbell rang."""
    party = conflict(world)
    world.run(world.tell(party))
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")

    def change_on_the_portal() -> None:
        world.portal.edit(COMPANY, phones=["+78005553535"])
        assert world.run(world.ring(COMPANY)) is Outcome.PARKED

    world.portal.after("read", change_on_the_portal)
    world.run(event)
    world.clock.sleep(2)
    for again in world.outbox.published:
        world.handle(again)

    assert world.base.records[party.ref].fields["phones"] == ["+78005553535"]


def test_an_event_of_a_part_that_is_rung_during_the_replay_is_not_lost(world: World) -> None:
    """A letter keeps the newer doorbell, which is about the card, and the card does not show the part."""
    conflict(world)
    world.links.remember_owner(REQUISITE, COMPANY)
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")

    def change_on_the_portal() -> None:
        world.portal.edit(COMPANY, ogrn="1027700132195")
        assert world.run(world.ring(REQUISITE)) is Outcome.PARKED
        assert world.run(world.ring(COMPANY)) is Outcome.PARKED

    world.portal.after("read", change_on_the_portal)
    world.run(event)
    world.clock.sleep(2)
    for again in world.outbox.published:
        world.handle(again)

    (party,) = world.base.records.values()
    assert party.fields["ogrn"] == "1027700132195"


def test_a_doorbell_during_the_replay_of_a_doorbell_is_sent_on_once(world: World) -> None:
    conflict(world)
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")
    world.portal.after("read", lambda: world.run(world.ring(COMPANY)))

    world.run(event)

    assert [again.record for again in world.outbox.published] == [COMPANY]


def test_a_replay_under_another_name_that_fails_keeps_its_letter(world: World) -> None:
    """Filed under the requisite; the replay knows its owner, and fails for another reason."""
    world.worker.settle(world.ring(REQUISITE), BadEvent("cannot be told"))
    before = world.letter()
    world.portal.put(company())
    world.portal.requisites[REQUISITE] = COMPANY
    world.portal.fail("read", LinkBroken("gone"))

    assert world.run(world.replay()) == GiveUp()
    assert (world.letter().id, world.letter().cause) == (before.id, "link_broken")


def test_a_replay_that_nothing_came_behind_sends_nothing_on(world: World) -> None:
    conflict(world)
    event = world.replay()
    world.portal.edit(COMPANY, name="Ромашка Люкс")

    world.run(event)

    assert world.outbox.published == []


def test_a_letter_of_a_requisite_is_removed_under_its_owners_name(world: World) -> None:
    """It was filed while nobody could say whose requisite it was."""
    event = world.ring(REQUISITE)
    world.worker.settle(event, BadEvent("cannot be told"))
    world.portal.put(company())
    world.portal.requisites[REQUISITE] = COMPANY

    assert world.run(world.replay()) is Outcome.CREATED
    assert world.letters.count_by_cause() == {}


# --- what a failure becomes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        AmbiguousMatch("two", candidates=("onec:counterparty:a",)),
        LinkBroken("gone"),
        RemoteRejected("no", code="validation", field="inn"),
        BadEvent("?", raw={"a": 1}),
    ],
    ids=lambda error: error.cause,
)
def test_what_only_a_person_can_decide_becomes_a_letter(world: World, error: Any) -> None:
    event = world.ring(COMPANY)

    assert world.worker.settle(event, error) == GiveUp()

    letter = world.letter()
    assert (letter.cause, letter.message) == (error.cause, str(error))
    assert letter.details == error.details()
    assert ChangeEvent.load(letter.event) == event
    assert world.parked.count() == 0


def test_a_short_wait_is_the_callers_to_carry_out(world: World) -> None:
    decision = world.worker.settle(world.ring(COMPANY), RemoteUnavailable("503"))

    assert isinstance(decision, WaitFor)
    assert (world.parked.count(), world.letters.count_by_cause()) == (0, {})


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        (RemoteUnavailable("503", retry_after_seconds=300), 4, Park),
        (OutcomeUnknown("lost"), 4, Park),
        (RateLimited("budget", retry_after_seconds=300), 3, Park),
        (Misconfigured("401"), 3, Halt),
        (CircuitOpen("down", retry_after_seconds=5), 3, Halt),
    ],
)
def test_a_long_wait_is_parked_and_comes_back(world: World, error: Any, attempts: int, expected: type) -> None:
    event = replace(world.ring(COMPANY), attempts=3)

    decision = world.worker.settle(event, error)

    assert isinstance(decision, expected)
    assert world.worker.release_parked() == 0
    world.clock.sleep(decision.seconds)  # type: ignore[union-attr]
    assert world.worker.release_parked() == 1
    assert world.outbox.published == [replace(event, attempts=attempts)]
    assert world.parked.count() == 0


def test_an_error_that_nobody_foresaw_is_given_up_after_three_times(world: World) -> None:
    event = world.ring(COMPANY)
    assert isinstance(world.worker.settle(event, KeyError("rows")), WaitFor)

    assert world.worker.settle(replace(event, attempts=2), KeyError("rows")) == GiveUp()

    letter = world.letter()
    assert (letter.cause, letter.message, letter.attempts) == ("internal_error", "KeyError: 'rows'", 3)


def test_a_wait_that_grew_too_old_becomes_a_letter_under_its_own_cause(world: World) -> None:
    event = replace(world.ring(COMPANY), attempts=2)
    world.clock.sleep(24 * 3600 + 1)

    assert world.worker.settle(event, RemoteUnavailable("503")) == GiveUp()
    assert world.letter().cause == "remote_unavailable"


def test_the_needed_record_gets_an_event_of_its_own(world: World) -> None:
    world.worker.settle(world.ring(DEAL), NotYetLinked("first", need=COMPANY))

    (event,) = world.outbox.published
    assert (event.entity, event.record, event.trace) == (EntityKind.CONTACT, COMPANY, f"ring {DEAL}")


def test_a_need_without_a_name_sends_nothing(world: World) -> None:
    world.worker.settle(world.ring(LEAD), NotYetLinked("first"))

    assert world.outbox.published == []


@pytest.mark.parametrize("error", [LinkBroken("https://portal/rest/1/hunter2/"), KeyError("hunter2")])
def test_a_letter_holds_no_secret(world: World, error: Exception) -> None:
    world.worker.settle(replace(world.ring(COMPANY), attempts=2), error)

    assert "hunter2" not in world.letter().message
    assert "***" in world.letter().message


def test_an_event_that_could_not_be_read_is_kept(world: World) -> None:
    misfit = Misfit(
        system=System.ONEC,
        seen_at=world.clock.now(),
        trace="t",
        errors={"data": ["Missing"]},
        raw={"type": "invoice.changed"},
        entity=EntityKind.INVOICE,
    )

    letter = world.worker.keep(misfit)

    assert world.letter() == letter
    assert (letter.entity, letter.cause, letter.record) == ("invoice", "bad_event", None)
    assert letter.details == {"errors": {"data": ["Missing"]}, "raw": {"type": "invoice.changed"}}


def test_an_event_of_nobody_knows_what_is_kept_as_unknown(world: World) -> None:
    misfit = Misfit(system=System.BITRIX24, seen_at=world.clock.now(), trace="t", errors={}, raw={})

    assert world.worker.keep(misfit).entity == "unknown"


def test_the_deal_goes_once_its_counterparty_is_settled(world: World) -> None:
    party = conflict(world)
    world.deals.records[DEAL] = deal()

    assert world.run(world.ring(DEAL)) is Outcome.CREATED  # linked is enough: the conflict is not the deal's
    assert world.documents.documents["b24:deal:5"][1]["counterparty_ref"] == party.ref.id


# --- lanes and tally -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", list(Lane))
def test_the_needed_record_is_sent_in_the_lane_of_what_needs_it(world: World, lane: Lane) -> None:
    world.worker.settle(replace(world.ring(DEAL), lane=lane), NotYetLinked("first", need=COMPANY))

    assert [event.lane for event in world.outbox.published] == [lane]


def test_what_became_of_events_is_counted(world: World) -> None:
    world.linked_company()
    world.handle(replace(world.ring(COMPANY), lane=Lane.BULK))
    world.handle(world.ring(REQUISITE))

    assert world.tally.events() == {
        (EntityKind.CONTACT, Lane.LIVE, "created"): 1,
        (EntityKind.CONTACT, Lane.BULK, "echo"): 1,
        (EntityKind.CONTACT, Lane.LIVE, "skipped"): 1,
    }


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (RemoteUnavailable("503"), "failed"),
        (RemoteUnavailable("503", retry_after_seconds=300), "failed"),
        (LinkBroken("gone"), "dead_letter"),
        (RecordBusy("held"), "waited"),
        (RateLimited("budget"), "waited"),
        (Misconfigured("401"), "waited"),
    ],
    ids=repr,
)
def test_what_a_failure_counts_as(world: World, error: Exception, counted: str) -> None:
    world.worker.settle(world.ring(LEAD), error)

    assert world.tally.events() == {(EntityKind.LEAD, Lane.LIVE, counted): 1}


class NoTally(MemoryTally):
    def count(self, *_args: Any) -> None:
        raise StoreUnavailable("away")


def test_no_event_waits_for_its_tally(world: World) -> None:
    world.tally = NoTally()
    world.portal.put(company())

    assert world.handle(world.ring(COMPANY)) is Outcome.CREATED
    assert isinstance(world.worker.settle(world.ring(LEAD), RemoteUnavailable("503")), WaitFor)
