"""A contact or company on the portal -> its контрагент: later edits, crashes and deletions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import System
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Kind
from sync_worker.errors import (
    FieldConflict,
    LinkBroken,
    OutcomeUnknown,
    RecordBusy,
    RemoteUnavailable,
    VersionMoved,
)
from sync_worker.sync.retry_policy import WaitFor
from tests.unit.sync.world import (
    BRANCH_KPP,
    COMPANY,
    INN,
    KPP,
    OTHER_PARTY,
    PARTY,
    ROMASHKA,
    World,
    company,
    linked,
)

# --- later edits -----------------------------------------------------------------------------------------------------


def test_an_edit_is_copied_and_only_what_changed(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, phones=["+78005553535"])

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.base.records[party.ref].fields == {**ROMASHKA, "phones": ["+78005553535"]}
    assert world.portal.count("update") == 0


def test_the_echo_of_our_own_write_costs_one_read_and_no_call_to_onec(world: World) -> None:
    world.linked_company()

    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert (world.portal.calls, world.base.calls) == (["read"], [])


def test_a_value_that_onec_owns_is_put_back(world: World) -> None:
    world.linked_company()
    world.portal.edit(COMPANY, kpp=BRANCH_KPP)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["kpp"] == KPP
    assert world.base.count("update") == 0


def test_both_sides_changed_a_shared_field_and_neither_is_written(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс", phones=["+78005553535"])
    world.base.edit(party.ref, name="Ромашка Люкс")

    with pytest.raises(FieldConflict) as caught:
        world.handle(world.ring(COMPANY))

    shown = {"baseline": "Ромашка", "bitrix24": "Ромашка Плюс", "onec": "Ромашка Люкс"}
    assert caught.value.conflicts == {"name": shown}
    assert world.base.count("update") == world.portal.count("update") == 0


def test_the_link_is_written_again_where_it_was_wiped(world: World) -> None:
    _, party = world.linked_company()
    world.portal.alter(COMPANY, other_ref=None)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].other_ref == party.ref.id


def test_a_linked_card_keeps_its_partner_whatever_is_typed_over_the_ref(world: World) -> None:
    _, party = world.linked_company()
    world.base.put(company(OTHER_PARTY, fields={**ROMASHKA, "name": "Чужая"}))
    world.portal.alter(COMPANY, other_ref=OTHER_PARTY.id)

    world.handle(world.ring(COMPANY))

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)
    assert world.portal.records[COMPANY].other_ref == party.ref.id


def test_nothing_is_written_where_both_sides_agree_already(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс")
    world.base.edit(party.ref, name="Ромашка Плюс")

    assert world.handle(world.ring(COMPANY)) is Outcome.UNCHANGED
    assert world.base.count("update") == world.portal.count("update") == 0


def test_a_company_that_became_a_sole_trader_becomes_one_in_onec(world: World) -> None:
    _, party = world.linked_company()
    world.portal.alter(COMPANY, kind=Kind.SOLE_TRADER)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.base.records[party.ref].kind is Kind.SOLE_TRADER
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO


def test_a_kind_that_moved_in_onec_is_not_moved_back(world: World) -> None:
    _, party = world.linked_company()
    moved = world.base.alter(party.ref, kind=Kind.SOLE_TRADER)

    assert world.handle(world.tell(moved)) is Outcome.UNCHANGED
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert world.base.records[party.ref].kind is Kind.SOLE_TRADER


def test_kinds_that_differ_at_the_first_meeting_are_left_as_they_are(world: World) -> None:
    world.portal.put(company())
    world.base.put(replace(company(PARTY), kind=Kind.SOLE_TRADER))

    world.handle(world.ring(COMPANY))

    assert world.base.records[PARTY].kind is Kind.SOLE_TRADER


def test_a_kind_that_moved_alike_on_both_sides_is_not_written(world: World) -> None:
    _, party = world.linked_company()
    world.portal.alter(COMPANY, kind=Kind.SOLE_TRADER)
    world.base.alter(party.ref, kind=Kind.SOLE_TRADER)

    assert world.handle(world.ring(COMPANY)) is Outcome.UNCHANGED
    assert world.base.count("update") == 0


def test_a_responsible_whom_onec_does_not_know_is_left_out_once_and_for_all(world: World) -> None:
    world.linked_company()
    world.base.unknown_people = frozenset({"new@example.com"})
    world.portal.edit(COMPANY, responsible="new@example.com")

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO


def test_a_record_that_moved_between_read_and_write_is_read_again(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, phones=["+78005553535"])
    world.base.before("update", lambda: world.base.edit(party.ref, comment="звонить утром"))

    with pytest.raises(VersionMoved):
        world.handle(world.ring(COMPANY))

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["comment"] == "звонить утром"


def test_a_record_that_another_task_holds_is_left_to_it(world: World) -> None:
    world.portal.put(company())

    with world.locks.hold(str(COMPANY)), pytest.raises(RecordBusy):
        world.handle(world.ring(COMPANY))

    assert world.portal.calls == []


def test_two_records_with_one_key_wait_for_each_other(world: World) -> None:
    world.portal.put(company())

    with world.locks.hold(f"inn:{INN}"), pytest.raises(RecordBusy):
        world.handle(world.ring(COMPANY))

    assert world.base.calls == []


def test_a_match_that_another_task_holds_is_left_to_it(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY))

    with world.locks.hold(str(PARTY)), pytest.raises(RecordBusy):
        world.handle(world.ring(COMPANY))

    assert world.base.count("update") == 0


def test_a_record_that_was_just_made_is_held_until_it_is_whole(world: World) -> None:
    """Its own event may be here before we are done."""
    world.portal.put(company())
    outcomes: list[object] = []
    world.portal.before("update", lambda: outcomes.append(world.run(world.tell(*world.base.records.values()))))

    world.handle(world.ring(COMPANY))

    assert [type(outcome) for outcome in outcomes] == [WaitFor]


# --- crashes and lost answers ----------------------------------------------------------------------------------------


def test_a_crash_before_the_link_was_saved_makes_one_record(world: World) -> None:
    world.portal.put(company())
    world.base.fail("create", KeyboardInterrupt(), is_done=True)
    with pytest.raises(KeyboardInterrupt):
        world.handle(world.ring(COMPANY))
    assert world.links.find(COMPANY) is None

    world.handle(world.ring(COMPANY))

    (made,) = world.base.records.values()
    assert world.links.find(COMPANY) == linked(COMPANY, made.ref)


def test_a_create_that_timed_out_but_was_done_is_found_by_the_retry(world: World) -> None:
    world.portal.put(company(fields={**ROMASHKA, "inn": None}))  # nothing to be recognised by but our own name
    world.base.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(COMPANY))

    world.handle(world.ring(COMPANY))

    assert len(world.base.records) == 1
    assert world.base.count("create") == 1


def test_a_crash_between_the_two_writes_is_made_good(world: World) -> None:
    world.portal.put(company())
    world.portal.fail("update", RemoteUnavailable("503"))
    with pytest.raises(RemoteUnavailable):
        world.handle(world.ring(COMPANY))

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED

    (made,) = world.base.records.values()
    assert world.portal.records[COMPANY].other_ref == made.ref.id


# --- deleting --------------------------------------------------------------------------------------------------------


def test_deleting_in_bitrix24_leaves_a_tombstone_and_the_counterparty(world: World) -> None:
    _, party = world.linked_company()
    del world.portal.records[COMPANY]

    world.lose(world.ring(COMPANY, change=Change.DELETED))

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref, deleted_in=System.BITRIX24)
    assert (world.base.records[party.ref], world.base.calls) == (party, [])


def test_a_record_that_turns_out_to_be_gone_leaves_a_tombstone_too(world: World) -> None:
    _, party = world.linked_company()
    del world.portal.records[COMPANY]

    world.lose(world.ring(COMPANY))

    assert world.links.find(party.ref) == linked(COMPANY, party.ref, deleted_in=System.BITRIX24)


@pytest.mark.parametrize("change", list(Change))
def test_a_tombstone_is_final(world: World, change: Change) -> None:
    world.portal.put(company())
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.ONEC))

    assert world.handle(world.ring(COMPANY, change=change)) is Outcome.SKIPPED
    assert world.portal.calls == []


def test_deleting_an_unknown_record_is_nothing(world: World) -> None:
    assert world.handle(world.ring(COMPANY, change=Change.DELETED)) is Outcome.SKIPPED


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_a_linked_counterparty_that_is_gone_is_not_made_again(world: World, is_marked: bool) -> None:
    _, party = world.linked_company()
    if is_marked:
        world.base.alter(party.ref, is_deleted=True)
    else:
        del world.base.records[party.ref]
    world.portal.edit(COMPANY, phones=["+78005553535"])

    with pytest.raises(LinkBroken, match="gone or marked for deletion"):
        world.handle(world.ring(COMPANY))

    assert world.base.count("create", "update") == 0
