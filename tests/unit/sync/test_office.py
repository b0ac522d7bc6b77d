"""What a person can do with a dead letter, alone and with many, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.letter import Act, Choice, DeadLetter, Decision, Selection
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Owner
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.office import (
    LOST_AFTER,
    MOST_DEEDS,
    MOST_UNDER_WAY,
    NotPossible,
    choose_side,
    choose_value,
    options,
    owner_rules,
    refuse_unfit,
    told,
)
from sync_worker.sync.retry_policy import GiveUp
from tests.fakes.stores import take
from tests.unit.sync.world import COMPANY, CONTACT, DEAL, OTHER_PARTY, PARTY, World, company

BY = "anna"
NAME = {"baseline": "Ромашка", "bitrix24": "Ромашка-А", "onec": "Ромашка-Б"}
TAKE_LEFT = Choice(value="Ромашка-А", bitrix24="Ромашка-А", onec="Ромашка-Б")
ONE_FIELD = Decision(fields={"name": TAKE_LEFT})


def a_letter(
    world: World, cause: str = "field_conflict", record: RecordRef | None = CONTACT, **more: Any
) -> DeadLetter:
    """A letter that is not filed yet."""
    details: Mapping[str, Any] = {"fields": {"name": NAME}} if cause == "field_conflict" else {}
    event = world.ring(record).dump() if record else {}
    standing: dict[str, Any] = {
        "id": "", "entity": "contact", "record": record, "partner": None, "cause": cause, "message": "…",
        "details": details, "event": event, "attempts": 1, "first_at": world.clock.now(), "last_at": world.clock.now(),
    }  # fmt: skip
    return DeadLetter(**{**standing, **more})


def filed(world: World, count: int = 1, **more: Any) -> list[DeadLetter]:
    """So many letters, of as many contacts."""
    refs = [bitrix24_ref(RecordType.CONTACT, 100 + number) for number in range(count)]
    return [world.letters.add(a_letter(world, record=ref, **more)) for ref in refs]


def conflict(world: World) -> DeadLetter:
    """A conflict about a company's name, as the flow files it."""
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка-А")
    world.base.edit(party.ref, name="Ромашка-Б")
    assert world.run(world.ring(COMPANY)) == GiveUp()
    world.forget_calls()
    return world.letter()


# --- what can be decided ---------------------------------------------------------------------------------------------


def test_a_conflict_offers_its_fields_and_nothing_else(world: World) -> None:
    offered = options(a_letter(world))

    assert offered.fields == {"name": NAME}
    assert (offered.candidates, offered.names_in, offered.can_create, offered.can_reopen) == ((), None, False, False)
    assert offered.can_decide
    assert offered.can_replay


@pytest.mark.parametrize("cause", ["ambiguous_match", "invalid_key"])
def test_an_ambiguous_match_offers_its_candidates_or_a_new_record(world: World, cause: str) -> None:
    offered = options(a_letter(world, cause, details={"candidates": [str(PARTY), str(OTHER_PARTY)]}))

    assert offered.candidates == (PARTY, OTHER_PARTY)
    assert offered.can_create


def test_a_document_that_matches_twice_in_1c_is_settled_there(world: World) -> None:
    letter = a_letter(world, "ambiguous_match", entity="deal", details={"candidates": [str(PARTY)]})

    assert not options(letter).can_decide


@pytest.mark.parametrize(
    ("entity", "gone", "names_in", "can_create"),
    [
        pytest.param("contact", CONTACT, System.BITRIX24, True, id="a card: named, or made anew of what 1C has"),
        pytest.param("contact", PARTY, System.ONEC, False, id="a counterparty: another one is named"),
        pytest.param("invoice", bitrix24_ref(RecordType.INVOICE, 1), None, True, id="an invoice's card: made anew"),
        pytest.param("deal", DEAL, None, False, id="a deal: only restored"),
        pytest.param("contact", None, None, False, id="it is not known which"),
    ],
)
def test_what_takes_the_place_of_a_deleted_record(
    world: World, entity: str, gone: RecordRef | None, names_in: System | None, can_create: bool
) -> None:
    letter = a_letter(world, "link_broken", entity=entity, details={"gone": str(gone)} if gone else {})

    assert (options(letter).names_in, options(letter).can_create) == (names_in, can_create)


def test_a_closed_deal_may_be_reopened(world: World) -> None:
    assert options(a_letter(world, "deal_closed")).can_reopen


def test_what_could_not_be_read_can_only_be_discarded(world: World) -> None:
    offered = options(a_letter(world, "bad_event", record=None))

    assert not offered.can_decide
    assert not offered.can_replay


# --- a decision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "value"), [(Owner.BITRIX24, "Ромашка-А"), (Owner.ONEC, "Ромашка-Б")], ids=["Bitrix24", "1C"]
)
def test_a_side_is_taken_with_what_was_seen(world: World, side: Owner, value: str) -> None:
    assert choose_side(a_letter(world), "name", side) == replace(TAKE_LEFT, value=value)


def test_a_value_is_typed(world: World) -> None:
    assert choose_value(a_letter(world), "name", "Ромашка-В") == replace(TAKE_LEFT, value="Ромашка-В")


def test_a_field_that_is_not_in_conflict_has_no_sides(world: World) -> None:
    with pytest.raises(NotPossible, match="no conflict about 'inn'; it has: name"):
        choose_side(a_letter(world), "inn", Owner.ONEC)


@pytest.mark.parametrize(
    ("cause", "details", "decision", "words"),
    [
        ("field_conflict", {"fields": {"name": NAME}}, Decision(), "nothing is decided"),
        ("field_conflict", {"fields": {"name": NAME, "comment": NAME}}, ONE_FIELD, "missing: c"),
        ("status_unmapped", {}, ONE_FIELD, "no conflict about name"),
        ("ambiguous_match", {"candidates": [str(PARTY)]}, Decision(pick=OTHER_PARTY), "none of the candidates"),
        ("ambiguous_match", {"candidates": [str(PARTY)]}, Decision(pick=PARTY, create=True), "either pick"),
        ("remote_rejected", {}, Decision(create=True), "nothing to create"),
        ("field_conflict", {}, Decision(reopen=True), "not about a closed deal"),
    ],
)  # fmt: skip
def test_what_the_letter_does_not_offer_is_refused(
    world: World, cause: str, details: Mapping[str, Any], decision: Decision, words: str
) -> None:
    with pytest.raises(NotPossible, match=words):
        refuse_unfit(decision, a_letter(world, cause, details=details))


def test_the_one_that_takes_a_deleted_records_place_may_be_any_of_its_side(world: World) -> None:
    letter = a_letter(world, "link_broken", details={"gone": str(PARTY)})

    refuse_unfit(Decision(pick=OTHER_PARTY), letter)
    with pytest.raises(NotPossible, match="none of the candidates"):
        refuse_unfit(Decision(pick=CONTACT), letter)


def test_a_decision_is_told_without_values() -> None:
    decision = Decision(
        fields={"name": TAKE_LEFT, "comment": Choice(value="c", bitrix24="a", onec="b"),
                "full_name": Choice(value="b", bitrix24="a", onec="b")},
        pick=PARTY, reopen=True,
    )  # fmt: skip

    text = told(decision)

    assert text == f"comment: edited; full_name: 1C's; name: Bitrix24's; partner: {PARTY}; reopen the deal"
    assert told(Decision(create=True)) == "a new record"


def test_a_rule_for_always_is_what_sync_toml_takes() -> None:
    assert owner_rules({"name": Owner.ONEC}) == '[owners.counterparty]\nname = "onec"\n'


# --- one letter ------------------------------------------------------------------------------------------------------


def test_a_conflict_that_is_decided_is_written_on_both_sides(world: World) -> None:
    letter = conflict(world)

    world.office.resolve(letter.id, ONE_FIELD, by=BY)
    (event,) = world.outbox.published

    assert world.run(event) is Outcome.UPDATED
    assert [one.fields["name"] for one in (*world.portal.records.values(), *world.base.records.values())] == [
        "Ромашка-А", "Ромашка-А",
    ]  # fmt: skip
    assert world.letters.count() == 0


def test_a_decision_goes_in_the_bulk_lane_with_all_tries_before_it(world: World) -> None:
    letter = conflict(world)

    world.office.resolve(letter.id, ONE_FIELD, by=BY)

    (event,) = world.outbox.published
    assert (event.lane, event.attempts, event.letter, event.whole) == (Lane.BULK, 0, letter.id, True)


def test_values_that_changed_since_they_were_seen_are_asked_about_again(world: World) -> None:
    letter = conflict(world)
    world.office.resolve(letter.id, ONE_FIELD, by=BY)
    world.portal.edit(COMPANY, name="Ромашка-Г")
    (event,) = world.outbox.published

    assert world.run(event) == GiveUp()

    again = world.letter()
    assert again.details["fields"]["name"]["bitrix24"] == "Ромашка-Г"
    assert (again.decision, again.sent_at, again.run) == (None, None, "")
    assert [deed.act for deed in again.deeds] == [Act.RESOLVED]


def test_two_who_press_at_once_have_one_effect(world: World) -> None:
    letter = conflict(world)
    world.office.replay_one(letter.id, by=BY)

    with pytest.raises(NotPossible, match="being replayed already"):
        world.office.replay_one(letter.id, by="boris")
    with pytest.raises(NotPossible, match="being replayed already"):
        world.office.resolve(letter.id, ONE_FIELD, by="boris")

    assert len(world.outbox.published) == 1


def test_a_replay_that_was_lost_may_be_repeated(world: World) -> None:
    letter = conflict(world)
    world.office.replay_one(letter.id, by=BY)
    world.clock.time += LOST_AFTER

    world.office.replay_one(letter.id, by=BY)

    assert len(world.outbox.published) == 2


@pytest.mark.parametrize("act", ["resolve", "replay_one", "discard", "get"])
def test_a_letter_that_is_gone_is_told(world: World, act: str) -> None:
    how: dict[str, dict[str, Any]] = {
        "resolve": {"decision": Decision(create=True), "by": BY}, "replay_one": {"by": BY},
        "discard": {"by": BY, "reason": "x"}, "get": {},
    }  # fmt: skip

    with pytest.raises(NotPossible, match="no letter nope"):
        getattr(world.office, act)("nope", **how[act])


def test_what_holds_no_event_cannot_be_sent_again(world: World) -> None:
    letter = world.letters.add(a_letter(world, "bad_event", record=None))

    with pytest.raises(NotPossible, match="holds no event"):
        world.office.replay_one(letter.id, by=BY)

    assert world.outbox.published == []


# --- discard ---------------------------------------------------------------------------------------------------------


def test_discarding_needs_a_reason(world: World) -> None:
    letter = conflict(world)

    with pytest.raises(NotPossible, match="say why"):
        world.office.discard(letter.id, by=BY, reason="  ")

    assert world.letters.count() == 1


def test_a_discarded_letter_is_gone_and_its_reason_kept(world: World) -> None:
    letter = conflict(world)

    world.office.discard(letter.id, by=BY, reason="a test record")

    assert world.letters.count() == 0
    assert world.outbox.published == []
    (deed,), _ = world.audit.page()
    assert (deed.act, deed.by, deed.letter, deed.note) == (Act.DISCARDED, BY, letter.id, "a test record")
    assert (deed.entity, deed.record, deed.cause) == ("contact", COMPANY, "field_conflict")


def test_what_came_behind_a_discarded_letter_goes_round(world: World) -> None:
    letter = conflict(world)
    later = world.ring(COMPANY)
    assert world.run(later) is Outcome.PARKED

    world.office.discard(letter.id, by=BY, reason="settled by hand")

    (event,) = world.outbox.published
    assert (event.record, event.letter, event.lane) == (COMPANY, None, Lane.BULK)


def test_what_came_behind_a_discarded_letter_does_not_bring_it_back(world: World) -> None:
    letter = conflict(world)
    world.run(world.ring(COMPANY))
    world.office.discard(letter.id, by=BY, reason="it may differ")
    (event,) = world.outbox.published

    world.run(event)

    assert world.letters.count() == 0
    assert world.office.story(COMPANY)[-1].what == "given_up"


def test_another_failure_behind_a_discarded_letter_is_a_letter(world: World) -> None:
    letter = conflict(world)
    world.run(world.ring(COMPANY))
    world.office.discard(letter.id, by=BY, reason="it may differ")
    (event,) = world.outbox.published
    world.portal.edit(COMPANY, name="Ромашка-Г")

    world.run(event)

    assert world.letter().details["fields"]["name"]["bitrix24"] == "Ромашка-Г"


# --- many ------------------------------------------------------------------------------------------------------------


def work_off(world: World, *, fails: bool = False) -> int:
    """What was sent comes to its end: the letters are closed, or are back."""
    events, world.outbox.published = world.outbox.published, []
    for event in events:
        assert event.letter is not None
        letter = world.letters.get(event.letter)
        assert letter is not None
        if fails:
            world.letters.add(a_letter(world, record=letter.record))
        else:
            take(world.letters, letter.id)
        world.replays.ended(letter.run, letter.id, closed=not fails)
    return len(events)


def test_a_run_sends_its_letters_oldest_first_and_no_more_than_so_many_at_once(world: World) -> None:
    letters = filed(world, MOST_UNDER_WAY + 20)
    run = world.office.replay(Selection(cause="field_conflict"), by=BY)

    assert world.office.advance() == MOST_UNDER_WAY
    assert world.office.advance() == 0
    first = [event.record for event in world.outbox.published]
    assert first == [letter.record for letter in letters[:MOST_UNDER_WAY]]
    work_off(world)
    assert world.office.advance() == 20
    work_off(world)

    after = world.replays.get(run.id)
    assert after is not None
    assert (after.total, after.closed, after.is_over) == (MOST_UNDER_WAY + 20, MOST_UNDER_WAY + 20, True)
    assert world.letters.count() == 0


def test_letters_that_are_back_are_counted_as_such_and_sent_once(world: World) -> None:
    filed(world, 3)
    run = world.office.replay(Selection(), by=BY)
    world.office.advance()
    work_off(world, fails=True)

    assert world.office.advance() == 0
    after = world.replays.get(run.id)
    assert after is not None
    assert (after.failed, after.closed, after.is_over) == (3, 0, True)
    assert world.letters.count() == 3


def test_a_letter_that_somebody_else_sent_is_skipped(world: World) -> None:
    one, other = filed(world, 2)
    run = world.office.replay(Selection(), by=BY)
    world.office.replay_one(one.id, by="boris")
    take(world.letters, other.id)
    world.outbox.published.clear()

    assert world.office.advance() == 0

    after = world.replays.get(run.id)
    assert after is not None
    assert (after.skipped, after.is_over) == (2, True)
    assert world.outbox.published == []


def test_two_runs_over_the_same_letters_have_one_effect(world: World) -> None:
    filed(world, 5)
    world.office.replay(Selection(), by=BY)
    world.office.replay(Selection(), by="boris")

    assert world.office.advance() == 5
    assert len(world.outbox.published) == 5


def test_a_step_that_was_killed_while_it_sent_is_done_again(world: World) -> None:
    """The letter is marked, and the run does not know of it."""
    (letter,) = filed(world)
    run = world.office.replay(Selection(), by=BY)
    world.letters.change(letter.id, lambda one: replace(one, sent_at=world.clock.now(), run=run.id))

    assert world.office.advance() == 1

    after = world.replays.get(run.id)
    assert after is not None
    assert (after.under_way, after.skipped, len(world.outbox.published)) == (1, 0, 1)


def test_a_replay_that_could_not_leave_is_not_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (letter,) = filed(world)
    away = StoreUnavailable("the broker is away")
    monkeypatch.setattr(world.outbox, "publish", lambda event: (_ for _ in ()).throw(away))

    with pytest.raises(StoreUnavailable):
        world.office.replay_one(letter.id, by=BY)

    kept = world.letters.get(letter.id)
    assert kept is not None
    assert kept.sent_at is None


def test_a_cancelled_run_sends_no_more(world: World) -> None:
    filed(world, MOST_UNDER_WAY + 5)
    run = world.office.replay(Selection(), by=BY)
    world.office.advance()

    cancelled = world.office.cancel(run.id, by="boris")
    work_off(world)

    assert world.office.advance() == 0
    assert (cancelled.cancelled_by, cancelled.pending) == ("boris", 0)
    assert world.letters.count() == 5
    acts = [deed.act for deed in world.audit.page()[0]]
    assert acts == [Act.CANCELLED, Act.REPLAYED]


def test_an_unknown_run_cannot_be_cancelled(world: World) -> None:
    with pytest.raises(NotPossible, match="no replay nope"):
        world.office.cancel("nope", by=BY)


def test_a_run_over_chosen_letters_leaves_the_others(world: World) -> None:
    one, _, other = filed(world, 3)

    world.office.replay(Selection(ids=(other.id, one.id)), by=BY)
    world.office.advance()

    assert {event.letter for event in world.outbox.published} == {one.id, other.id}


def test_a_run_tells_its_end_through_the_worker(world: World) -> None:
    letter = conflict(world)
    world.portal.edit(COMPANY, name="Ромашка-Б")
    run = world.office.replay(Selection(entity="contact"), by=BY)
    world.office.advance()
    (event,) = world.outbox.published

    assert world.run(event) is Outcome.UPDATED or world.letters.get(letter.id) is None

    after = world.replays.get(run.id)
    assert after is not None
    assert (after.closed, after.is_over) == (1, True)


def test_a_run_whose_letter_fails_again_tells_that_too(world: World) -> None:
    conflict(world)
    run = world.office.replay(Selection(), by=BY)
    world.office.advance()
    (event,) = world.outbox.published

    assert world.run(event) == GiveUp()

    after = world.replays.get(run.id)
    assert after is not None
    assert (after.failed, after.is_over) == (1, True)


def test_a_replay_of_what_the_base_no_longer_offers_gives_the_letter_back(world: World) -> None:
    letter = conflict(world)
    run = world.office.replay(Selection(), by=BY)
    world.office.advance()
    world.capabilities.lacking.add(EntityKind.CONTACT)
    (event,) = world.outbox.published

    assert world.run(event) is Outcome.OFF

    after, kept = world.replays.get(run.id), world.letters.get(letter.id)
    assert after is not None
    assert kept is not None
    assert (after.failed, kept.sent_at) == (1, None)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_who_did_what_is_on_the_letter_in_the_audit_and_in_the_story(world: World) -> None:
    letter = conflict(world)

    world.office.resolve(letter.id, ONE_FIELD, by=BY)

    (deed,) = world.letter().deeds
    assert (deed.act, deed.by, deed.note) == (Act.RESOLVED, BY, "name: Bitrix24's")
    (kept,), _ = world.audit.page()
    assert (kept.letter, kept.record, kept.cause) == (letter.id, COMPANY, "field_conflict")
    entry = world.office.story(COMPANY)[-1]
    assert (entry.what, entry.facts["by"], entry.facts["note"]) == ("resolved", BY, "name: Bitrix24's")


def test_a_letter_keeps_its_newest_deeds(world: World) -> None:
    letter = conflict(world)

    for number in range(MOST_DEEDS + 3):
        world.clock.time += LOST_AFTER + timedelta(seconds=1)
        world.office.replay_one(letter.id, by=f"operator {number}")

    deeds = world.letter().deeds
    assert (len(deeds), deeds[-1].by) == (MOST_DEEDS, f"operator {MOST_DEEDS + 2}")


def test_the_story_of_a_record_is_told_under_both_its_names(world: World) -> None:
    _, party = world.linked_company()
    world.base.edit(party.ref, name="Ромашка-Б")
    world.clock.time += timedelta(seconds=1)

    world.run(world.tell(world.base.records[party.ref]))

    told_by_both = [world.office.story(ref) for ref in (COMPANY, party.ref)]
    assert told_by_both[0] == told_by_both[1]
    assert [entry.what for entry in told_by_both[0]] == ["created", "updated"]
    assert told_by_both[0][-1].facts["wrote"] == {"bitrix24": ["name"]}


def test_the_groups_are_of_entity_cause_and_topic(world: World) -> None:
    filed(world, 3, topic="name")
    world.letters.add(a_letter(world, "status_unmapped", entity="status", record=DEAL, topic="Закрыт"))

    groups = [(one.entity, one.cause, one.topic, one.count) for one in world.office.groups()]

    assert groups == [("contact", "field_conflict", "name", 3), ("status", "status_unmapped", "Закрыт", 1)]


def test_a_letter_is_found_by_the_inn_and_emails_of_its_record(world: World) -> None:
    letter = conflict(world)

    assert [found.id for found in world.letters.search("7707083893")] == [letter.id]
    assert ChangeEvent.load(letter.event).record == COMPANY


def test_a_company_that_nobody_linked_has_a_story_of_its_own(world: World) -> None:
    world.portal.put(company())
    world.handle(world.ring(COMPANY))

    assert [entry.what for entry in world.office.story(COMPANY)] == ["created"]
