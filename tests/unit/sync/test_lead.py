"""Lead -> 1C, once it is qualified."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.entities.lead import Lead
from sync_worker.errors import OutcomeUnknown, RecordBusy
from tests.unit.sync.world import COMPANY, LEAD, PARTY, World, linked

ONEC_LEAD = onec_ref(RecordType.LEAD, "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d")


def lead(**changes: Any) -> Lead:
    standing: dict[str, Any] = {"status": "CONVERTED", "fields": {"title": "Заявка с сайта", "phones": []}}
    return Lead(ref=LEAD, **{**standing, **changes})


@pytest.fixture
def sent(world: World) -> World:
    """A world where the lead is in 1C already."""
    world.leads.records[LEAD] = lead()
    world.handle(world.ring(LEAD))
    world.forget_calls()
    return world


def test_a_qualified_lead_is_created_and_gets_its_ref(world: World) -> None:
    world.leads.records[LEAD] = lead()

    outcome = world.handle(world.ring(LEAD))

    ref, fields = world.documents.documents["b24:lead:3"]
    assert outcome is Outcome.CREATED
    assert fields == {"title": "Заявка с сайта", "phones": [], "counterparty_ref": None}
    assert world.links.find(LEAD) == linked(LEAD, ref)
    assert world.leads.records[LEAD].onec_id == ref.id


def test_a_lead_that_is_not_qualified_stays_here(world: World) -> None:
    world.leads.records[LEAD] = lead(status="IN_PROCESS")

    assert world.handle(world.ring(LEAD)) is Outcome.SKIPPED
    assert world.documents.calls == []


def test_a_lead_that_was_sent_is_followed_though_its_status_went_back(sent: World) -> None:
    sent.leads.records[LEAD] = replace(sent.leads.records[LEAD], status="IN_PROCESS", fields={"title": "Иначе"})

    assert sent.handle(sent.ring(LEAD)) is Outcome.UPDATED
    assert sent.documents.documents["b24:lead:3"][1]["title"] == "Иначе"


def test_the_echo_of_our_write_back_makes_no_call_to_onec(sent: World) -> None:
    assert sent.handle(sent.ring(LEAD)) is Outcome.ECHO
    assert (sent.leads.calls, sent.documents.calls) == (["read"], [])


def test_a_ref_that_was_wiped_is_written_again(sent: World) -> None:
    sent.leads.records[LEAD] = replace(sent.leads.records[LEAD], onec_id=None)

    assert sent.handle(sent.ring(LEAD)) is Outcome.UPDATED
    assert sent.leads.records[LEAD].onec_id == sent.documents.documents["b24:lead:3"][0].id


def test_the_counterparty_goes_along_where_it_is_linked(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY))
    world.leads.records[LEAD] = lead(counterparty=COMPANY)

    world.handle(world.ring(LEAD))

    assert world.documents.documents["b24:lead:3"][1]["counterparty_ref"] == PARTY.id


@pytest.mark.parametrize("is_known", [True, False], ids=["deleted", "never linked"])
def test_a_counterparty_that_onec_has_not_is_left_out(world: World, is_known: bool) -> None:
    if is_known:
        world.links.save(linked(COMPANY, PARTY, deleted_in=System.ONEC))
    world.leads.records[LEAD] = lead(counterparty=COMPANY)

    world.handle(world.ring(LEAD))

    assert world.documents.documents["b24:lead:3"][1]["counterparty_ref"] is None


def test_a_lead_is_known_by_its_written_ref_where_the_link_was_lost(world: World) -> None:
    world.leads.records[LEAD] = lead(status="IN_PROCESS", onec_id=ONEC_LEAD.id)

    assert world.handle(world.ring(LEAD)) is Outcome.UPDATED
    assert world.links.find(LEAD) == linked(LEAD, ONEC_LEAD)


def test_a_copied_lead_does_not_take_the_ref_of_its_original(sent: World) -> None:
    copy = bitrix24_ref(RecordType.LEAD, 4)
    sent.leads.records[copy] = replace(sent.leads.records[LEAD], ref=copy, status="IN_PROCESS")

    assert sent.handle(sent.ring(copy)) is Outcome.SKIPPED
    assert sent.documents.calls == []


def test_a_create_that_timed_out_but_was_done_makes_one_lead(world: World) -> None:
    world.leads.records[LEAD] = lead()
    world.documents.fail("upsert_lead", OutcomeUnknown("the answer was lost"), is_done=True)
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(LEAD))

    world.handle(world.ring(LEAD))

    (ref, _), *more = world.documents.documents.values()
    assert (world.links.find(LEAD), more) == (linked(LEAD, ref), [])


@pytest.mark.parametrize("change", list(Change))
def test_a_lead_that_was_deleted_leaves_a_tombstone_and_the_one_in_onec(sent: World, change: Change) -> None:
    del sent.leads.records[LEAD]

    sent.lose(sent.ring(LEAD, change=change))

    link = sent.links.find(LEAD)
    assert link is not None
    assert link.deleted_in is System.BITRIX24
    assert sent.documents.calls == []


def test_a_tombstone_is_final(sent: World) -> None:
    link = sent.links.find(LEAD)
    assert link is not None
    sent.links.save(link.bury(System.ONEC))
    sent.leads.records[LEAD] = replace(sent.leads.records[LEAD], fields={"title": "Иначе"})

    assert sent.handle(sent.ring(LEAD)) is Outcome.SKIPPED
    assert sent.handle(sent.ring(LEAD, change=Change.DELETED)) is Outcome.SKIPPED


def test_an_unknown_lead_that_is_gone_is_nothing(world: World) -> None:
    assert world.handle(world.ring(LEAD)) is Outcome.SKIPPED


def test_a_lead_that_another_task_holds_is_left_to_it(world: World) -> None:
    with world.locks.hold(str(LEAD)), pytest.raises(RecordBusy):
        world.handle(world.ring(LEAD))

    assert world.leads.calls == []
