"""Deal -> customer order, when it reaches a sending stage, and on every change after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import EntityKind, RecordType, System, bitrix24_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import NoCounterparty, NotYetLinked, OrderLocked, OutcomeUnknown, RecordBusy
from sync_worker.sync.retry_policy import GiveUp, WaitFor
from tests.unit.sync.world import (
    COMPANY,
    CONTACT,
    DEAL,
    ORDER,
    PARTY,
    ROMASHKA,
    World,
    company,
    contact,
    deal,
    hours,
    linked,
)

# --- when it travels -------------------------------------------------------------------------------------------------


def test_a_deal_at_a_sending_stage_becomes_an_order(world: World) -> None:
    _, party = world.linked_company()
    world.deals.records[DEAL] = deal()

    outcome = world.handle(world.ring(DEAL))

    ref, fields = world.documents.documents["b24:deal:5"]
    assert outcome is Outcome.CREATED
    assert (fields["title"], fields["counterparty_ref"], fields["contact_ref"]) == ("Поставка", party.ref.id, None)
    assert world.links.find(DEAL) == linked(DEAL, ref)
    assert world.deals.records[DEAL].onec_id == ref.id
    assert world.deals.comments == [(DEAL, "1С: создан заказ № УТ-000001")]


@pytest.mark.parametrize(
    "standing",
    [{"stage": "NEW"}, {"category": 1, "stage": "C1:EXECUTING"}],
    ids=["not at a sending stage", "in a pipeline that does not sync"],
)
def test_a_deal_stays_here(world: World, standing: dict[str, object]) -> None:
    world.linked_company()
    world.deals.records[DEAL] = deal(**standing)

    assert world.handle(world.ring(DEAL)) is Outcome.SKIPPED
    assert world.documents.calls == []


def test_a_deal_that_passed_the_stage_before_we_looked_is_sent(world: World) -> None:
    world.linked_company()
    passed = (("EXECUTING", world.clock.now() - hours(1)), ("NEW", world.clock.now() - hours(2)))
    world.deals.records[DEAL] = deal(stage="FINAL_INVOICE")
    world.deals.history[DEAL] = passed

    assert world.handle(world.ring(DEAL)) is Outcome.CREATED


def test_old_history_makes_no_order(world: World) -> None:
    world.linked_company()
    passed = (("EXECUTING", world.clock.now() - hours(25)),)
    world.deals.records[DEAL] = deal(stage="WON", is_closed=True)
    world.deals.history[DEAL] = passed

    assert world.handle(world.ring(DEAL)) is Outcome.SKIPPED


def test_the_history_is_not_asked_for_where_the_stage_says_enough(world: World) -> None:
    world.sent_deal()
    world.handle(world.ring(DEAL))  # sent already
    elsewhere = bitrix24_ref(RecordType.DEAL, 6)
    world.deals.records[elsewhere] = replace(deal(category=1, stage="C1:NEW"), ref=elsewhere)
    world.handle(world.ring(elsewhere))

    assert world.deals.count("past_stages") == 0


# --- later changes ---------------------------------------------------------------------------------------------------


def test_a_deal_that_was_sent_is_followed_at_any_stage(world: World) -> None:
    order = world.sent_deal()
    moved = replace(world.deals.records[DEAL], stage="NEW", fields={"title": "Иначе"})
    world.deals.records[DEAL] = moved

    assert world.handle(world.ring(DEAL)) is Outcome.UPDATED
    assert world.documents.documents["b24:deal:5"][0] == order
    assert world.documents.documents["b24:deal:5"][1]["title"] == "Иначе"


def test_the_echo_of_our_write_back_makes_no_call_to_onec(world: World) -> None:
    world.sent_deal()

    assert world.handle(world.ring(DEAL)) is Outcome.ECHO
    assert (world.deals.calls, world.documents.calls) == (["read"], [])


def test_a_move_along_the_pipeline_is_no_change_of_the_order(world: World) -> None:
    world.sent_deal()
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], stage="FINAL_INVOICE")

    assert world.handle(world.ring(DEAL)) is Outcome.ECHO


def test_the_number_is_told_once(world: World) -> None:
    world.sent_deal()
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={"title": "Иначе"})
    world.handle(world.ring(DEAL))

    assert len(world.deals.comments) == 1


def test_the_number_is_not_told_where_the_rules_say_so(world: World) -> None:
    world.rules = replace(world.rules, comment_on_create=False)
    world.sent_deal()

    assert world.deals.comments == []


def test_an_order_without_a_number_is_not_told_of(world: World) -> None:
    world.documents.has_numbers = False
    world.sent_deal()

    assert world.deals.comments == []


def test_a_ref_that_was_wiped_is_written_again(world: World) -> None:
    order = world.sent_deal()
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], onec_id=None)

    assert world.handle(world.ring(DEAL)) is Outcome.UPDATED
    assert world.deals.records[DEAL].onec_id == order.id


def test_a_deal_is_known_by_its_written_ref_where_the_link_was_lost(world: World) -> None:
    world.linked_company()
    world.deals.records[DEAL] = deal(stage="NEW", onec_id=ORDER.id.upper())

    assert world.handle(world.ring(DEAL)) is Outcome.UPDATED
    assert world.links.find(DEAL) == linked(DEAL, ORDER)


def test_a_copied_deal_gets_an_order_of_its_own_when_it_reaches_the_stage(world: World) -> None:
    order = world.sent_deal()
    copy = bitrix24_ref(RecordType.DEAL, 6)
    world.deals.records[copy] = replace(world.deals.records[DEAL], ref=copy, stage="NEW")
    assert world.handle(world.ring(copy)) is Outcome.SKIPPED
    world.deals.records[copy] = replace(world.deals.records[copy], stage="EXECUTING")

    assert world.handle(world.ring(copy)) is Outcome.CREATED
    assert world.documents.documents["b24:deal:5"][0] == order
    assert world.deals.records[copy].onec_id == world.documents.documents["b24:deal:6"][0].id != order.id


def test_a_locked_order_stops_the_deal_and_keeps_its_link(world: World) -> None:
    order = world.sent_deal()
    world.documents.locked.add("b24:deal:5")
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={"title": "Иначе"})

    decision = world.run(world.ring(DEAL))

    assert decision == GiveUp()
    assert (world.letter().cause, world.letter().partner) == (OrderLocked.cause, order)


# --- its counterparty ------------------------------------------------------------------------------------------------


def test_the_counterparty_is_sent_first(world: World) -> None:
    world.portal.put(company())
    world.deals.records[DEAL] = deal()

    assert world.handle(world.ring(DEAL)) is Outcome.CREATED

    (party,) = world.base.records.values()
    assert world.documents.documents["b24:deal:5"][1]["counterparty_ref"] == party.ref.id


def test_the_contact_stands_for_a_company_that_is_not_there(world: World) -> None:
    world.portal.put(contact())
    world.deals.records[DEAL] = deal(company=None, contact=CONTACT)

    world.handle(world.ring(DEAL))

    (party,) = world.base.records.values()
    fields = world.documents.documents["b24:deal:5"][1]
    assert (fields["counterparty_ref"], fields["contact_ref"]) == (party.ref.id, party.ref.id)


@pytest.mark.parametrize("is_deleted", [False, True], ids=["linked", "deleted"])
def test_the_contact_goes_along_while_onec_has_it(world: World, is_deleted: bool) -> None:
    world.linked_company()
    world.links.save(linked(CONTACT, PARTY, deleted_in=System.ONEC if is_deleted else None))
    world.deals.records[DEAL] = deal(contact=CONTACT)

    world.handle(world.ring(DEAL))

    assert world.documents.documents["b24:deal:5"][1]["contact_ref"] == (None if is_deleted else PARTY.id)


def test_another_counterparty_is_a_change_of_the_order(world: World) -> None:
    world.sent_deal()
    world.portal.put(contact())
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], company=None, contact=CONTACT)

    assert world.handle(world.ring(DEAL)) is Outcome.UPDATED


def test_a_deal_with_nobody_is_a_question(world: World) -> None:
    world.deals.records[DEAL] = deal(company=None)

    with pytest.raises(NoCounterparty):
        world.handle(world.ring(DEAL))


def test_a_deal_whose_party_the_rules_keep_out_is_a_question(world: World) -> None:
    world.rules = replace(world.rules, counterparties=replace(world.rules.counterparties, companies=False))
    world.portal.put(company())
    world.deals.records[DEAL] = deal()

    assert world.run(world.ring(DEAL)) == GiveUp()
    assert world.letter().cause == NoCounterparty.cause


def test_a_counterparty_in_conflict_holds_the_deal_back_and_gets_its_own_event(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY, fields={**ROMASHKA, "name": "ООО Ромашка"}))
    world.deals.records[DEAL] = deal()

    decision = world.run(world.ring(DEAL))

    assert isinstance(decision, WaitFor)
    assert world.letters.count_by_cause() == {}
    (event,) = world.outbox.published
    assert (event.entity, event.record, event.change) == (EntityKind.CONTACT, COMPANY, Change.CHANGED)
    assert world.documents.calls == []


def test_the_reason_that_holds_a_deal_back_names_the_counterparty(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.ONEC))
    world.deals.records[DEAL] = deal()

    with pytest.raises(NotYetLinked, match="deleted in onec") as caught:
        world.handle(world.ring(DEAL))

    assert caught.value.need == COMPANY


# --- crashes, lost answers, deleting ---------------------------------------------------------------------------------


def test_an_order_whose_answer_was_lost_is_made_once(world: World) -> None:
    world.linked_company()
    world.deals.records[DEAL] = deal()
    world.documents.fail("upsert_order", OutcomeUnknown("the answer was lost"), is_done=True)
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(DEAL))

    world.handle(world.ring(DEAL))

    (ref, _), *more = world.documents.documents.values()
    assert (world.links.find(DEAL), more) == (linked(DEAL, ref), [])


def test_a_crash_before_the_write_back_is_made_good(world: World) -> None:
    world.linked_company()
    world.deals.records[DEAL] = deal()
    world.deals.fail("write_back", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.handle(world.ring(DEAL))

    world.handle(world.ring(DEAL))

    assert len(world.documents.documents) == len(world.deals.comments) == 1
    assert world.deals.records[DEAL].onec_id == world.documents.documents["b24:deal:5"][0].id


@pytest.mark.parametrize("change", list(Change))
def test_a_deleted_deal_leaves_a_tombstone_and_the_order(world: World, change: Change) -> None:
    order = world.sent_deal()
    del world.deals.records[DEAL]

    world.lose(world.ring(DEAL, change=change))

    assert world.links.find(order) == linked(DEAL, order, deleted_in=System.BITRIX24)
    assert world.documents.calls == []


def test_a_tombstone_is_final(world: World) -> None:
    order = world.sent_deal()
    world.links.save(linked(DEAL, order, deleted_in=System.ONEC))
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={"title": "Иначе"})

    assert world.handle(world.ring(DEAL)) is Outcome.SKIPPED


def test_a_deal_that_another_task_holds_is_left_to_it(world: World) -> None:
    with world.locks.hold(str(DEAL)), pytest.raises(RecordBusy):
        world.handle(world.ring(DEAL))

    assert world.deals.calls == []
