"""What the client does with the governor's answers, and what it tells the governor of the portal's."""

from __future__ import annotations

import pytest

from sync_worker.domain.budget import BATCH
from sync_worker.domain.identity import Lane, RecordType
from sync_worker.errors import (
    CircuitOpen,
    LinkBroken,
    OutcomeUnknown,
    RateLimited,
    RemoteUnavailable,
    ShutOut,
    StoreUnavailable,
)
from sync_worker.gateways.bitrix24 import transport
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.reads import read_by_id
from tests.contract.crowd import crowd
from tests.sandbox.portal_peer import FakeClock

UPDATE, GET = "crm.deal.update", "crm.deal.get"


@pytest.fixture
def world():
    with crowd() as world:
        yield world


def update(id_, title="новая"):
    return lambda client: client.call(UPDATE, id=id_, fields={"TITLE": title})


def get(id_):
    return lambda client: client.call(GET, id=id_)


def lookup(id_):
    return lambda client: client.run(read_by_id(RecordType.DEAL, str(id_)))


# --- the governor says no -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [RateLimited("later"), CircuitOpen("shut"), StoreUnavailable("no Redis")])
def test_refusal_is_the_first_callers_alone(world, refusal):
    deals = world.deals(3)
    world.governor.refusing = [None, refusal]  # the first is told to wait, and is refused afterwards
    first, *others = world.leave_together([*map(update, deals)])
    assert (first, others) == (refusal, [True, True])


def test_method_that_is_blocked_for_long_turns_away_only_its_callers(world):
    deals = world.deals(4)
    world.governor.blocked = {UPDATE: 100.0}
    late, card, later, other = world.leave_together([update(deals[0]), get(deals[1]), update(deals[2]), get(deals[3])])
    assert (type(late), type(later)) == (RateLimited, RateLimited)
    assert late.retry_after_seconds == 100
    assert UPDATE in str(late)
    assert (card["ID"], other["ID"]) == (str(deals[1]), str(deals[3]))
    assert world.seen == [[GET, GET]]


def test_list_that_is_blocked_is_named_to_those_who_wanted_its_rows(world):
    deals = world.deals(3)
    world.governor.blocked = {"crm.deal.list": 100.0}
    first, second, third = world.leave_together([lookup(deals[0]), lookup(deals[1]), update(deals[2])])
    assert {(first.retry_after_seconds, second.retry_after_seconds)} == {(100, 100)}
    assert "crm.deal.list" in str(first)
    assert third is True


def test_short_block_is_waited_for_in_line_and_holds_nobody_else_up(world):
    deals = world.deals(2)
    world.governor.blocked = {UPDATE: 1.0}
    blocked = world.come(update(deals[0]))
    assert world.token.reached.wait(30)  # it waits for its method
    assert world.client.call(GET, id=deals[1])["ID"] == str(deals[1])
    world.governor.blocked = {}
    world.token.opened.set()
    assert blocked.result(30) is True
    assert world.slept[0] == 1.0


def test_what_was_reserved_for_a_caller_who_stays_is_given_back(world):
    (deal,) = world.deals(1)
    world.governor.blocked = {UPDATE: 100.0}
    both = {"look": Command(method=GET, params={"id": deal}), "change": Command(method=UPDATE, params={"id": deal})}
    with pytest.raises(RateLimited):
        world.client.batch(both)
    (told,) = world.governor.settled
    assert (told.permit.allowed, told.spent, told.is_failed) == ({GET: 1}, {}, True)


def test_refusal_of_the_second_question_is_that_records_alone(world):
    (deal,) = world.deals(1)
    late = RateLimited("later")
    world.governor.refusing = [None, None, late]  # the list leaves; who is missing in it asks once more
    assert [str(one) if one is late else one["ID"] for one in world.leave_together([lookup(deal), lookup(7777)])] == [
        str(deal),
        "later",
    ]


def test_probe_takes_nobody_along(world):
    deals = world.deals(3)
    world.governor.is_probing = True
    assert world.leave_together([*map(update, deals)]) == [True] * 3
    assert world.seen == [UPDATE] * 3
    assert all(told.permit.is_probe for told in world.governor.settled)


# --- a budget of batches that is spent ------------------------------------------------------------------------------


def test_without_a_budget_for_batches_references_are_resolved_here(world):
    world.governor.blocked = {BATCH: 100.0}
    world.mark()
    commands = {
        "new": Command(method="crm.deal.add", params={"fields": {"TITLE": "новая"}}),
        "mark": Command(method=UPDATE, params={"id": Result("new"), "fields": {"COMMENTS": "моя"}}),
        "list": Command(method="crm.deal.list", params={"filter": {"ID": Result("new")}}),
        "card": Command(method=GET, params={"id": Result("list", (0, "ID"))}),
    }
    batch = world.client.batch(commands)
    assert batch.get("card")["COMMENTS"] == "моя"
    assert world.seen == ["crm.deal.add", UPDATE, "crm.deal.list", GET]


@pytest.mark.parametrize(("halt", "is_run"), [(True, False), (False, True)])
def test_without_a_budget_for_batches_halt_is_honoured(world, halt, is_run):
    (deal,) = world.deals(1)
    world.governor.blocked = {BATCH: 100.0}
    commands = {
        key: Command(method=UPDATE, params={"id": id_, "fields": {"TITLE": key}})
        for key, id_ in {"first": deal, "bad": 7777, "last": deal}.items()
    }
    batch = world.client.batch(commands, halt=halt)
    assert (batch.get("first"), type(batch.errors["bad"]), batch.has("last")) == (True, LinkBroken, is_run)
    assert world.title(deal) == ("last" if is_run else "first")


def test_without_a_budget_for_batches_a_crowd_goes_one_by_one(world):
    deals = world.deals(4)
    world.governor.blocked = {BATCH: 100.0}
    assert world.leave_together([*map(update, deals)]) == [True] * 4
    assert world.seen == [UPDATE] * 4


def test_method_that_is_blocked_as_well_turns_away_whoever_would_go_singly(world):
    deals = world.deals(2)
    world.governor.blocked = {BATCH: 100.0, UPDATE: 50.0}
    assert [one.retry_after_seconds for one in world.leave_together([*map(update, deals)])] == [50, 50]


def test_refusal_in_the_midst_does_not_undo_what_was_run(world):
    world.governor.blocked = {BATCH: 100.0}
    world.governor.refusing = [None, None, RateLimited("later")]  # the batch, the first, the second
    commands = {key: Command(method="crm.deal.add", params={"fields": {"TITLE": key}}) for key in ("one", "two")}
    batch = world.client.batch(commands)
    assert (batch.has("one"), type(batch.errors["two"])) == (True, RateLimited)


# --- what the governor is told --------------------------------------------------------------------------------------


def test_running_time_is_told_by_method_with_the_portals_own_sum(world):
    deals = world.deals(3)
    world.leave_together([*map(update, deals), get(deals[0])])
    (told,) = world.governor.settled
    assert {method: one.commands for method, one in told.spent.items()} == {UPDATE: 3, GET: 1}
    for one in told.spent.values():
        assert one.operating_seconds is not None
        assert one.resets_at is not None
        assert one.seconds >= 0
    assert told.waited_seconds > 0
    assert (told.lane, told.refused, told.is_lost, told.is_failed) == (Lane.LIVE, set(), False, False)


@pytest.mark.parametrize(("billing", "has_batch"), [("nested", False), ("batch", True)])
def test_batch_that_is_billed_as_such_is_told_so(billing, has_batch):
    with crowd(batch_billing=billing) as world:
        world.leave_together([*map(update, world.deals(2))])
        (told,) = world.governor.settled
    assert (BATCH in told.spent) is has_batch


def test_methods_whose_running_time_is_spent_are_told():
    clock = FakeClock()
    with crowd(operating_limit_seconds=-1, clock=clock) as world:
        first, second = world.leave_together([update(1), get(1)])
        with pytest.raises(RateLimited):
            world.client.call("crm.lead.list")
    assert (type(first), type(second)) == (RateLimited, RateLimited)
    assert [told.refused for told in world.governor.settled] == [{UPDATE, GET}, {"crm.lead.list"}]
    assert (world.governor.refusals, world.governor.failures) == ([], [])


@pytest.mark.parametrize("fault", ["reset_after", "html", "truncated", "no_result", "http502"])
def test_lost_answer_of_a_crowd_is_unknown_to_its_writes_only(world, fault):
    deals = world.deals(3)
    world.peer.portal.faults.replace(f"{fault}:batch=1")
    seen = world.leave_together([update(deals[0]), get(deals[1]), update(deals[2])])
    assert [type(one) for one in seen] == [OutcomeUnknown, RemoteUnavailable, OutcomeUnknown]
    assert len(world.seen) == 1  # nothing was sent again
    assert [(told.is_lost, told.is_failed) for told in world.governor.settled] == [(True, True)]
    assert [(failure.cause, failure.is_final) for failure in world.governor.failures] == [("remote_unavailable", False)]


def test_answer_that_is_too_long_in_coming_is_lost(world, monkeypatch):
    deals = world.deals(2)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    with world.peer.portal.world.lock:
        seen = world.leave_together([update(deals[0]), get(deals[1])])
    assert [type(one) for one in seen] == [OutcomeUnknown, RemoteUnavailable]


@pytest.mark.parametrize("fault", ["blocked", "expired", "licence", "renamed"])
def test_portal_that_shuts_us_out_is_told_at_once(world, caplog, fault):
    world.governor.opens_circuit = True
    world.peer.portal.faults.replace(f"{fault}=1")
    seen = world.leave_together([update(1), get(2)])
    assert [type(one) for one in seen] == [ShutOut, ShutOut]
    assert [(failure.cause, failure.is_final) for failure in world.governor.failures] == [("shut_out", True)]
    assert [(told.is_lost, told.is_failed) for told in world.governor.settled] == [(False, True)]
    assert [record.levelname for record in caplog.records if "is shut to us" in record.message] == ["ERROR"]


def test_store_that_fails_after_the_answer_harms_nobody(world):
    deals = world.deals(2)
    world.governor.is_store_gone = True
    assert world.leave_together([*map(update, deals)]) == [True, True]
    for fault, error in (("http502", RemoteUnavailable), ("expired", ShutOut)):
        world.peer.portal.faults.replace(f"{fault}=1")
        with pytest.raises(error):
            world.client.call(GET, id=1)


def test_store_that_fails_after_a_refusal_harms_nobody():
    with crowd(rate_per_second=0.001, burst=0) as world:
        world.governor.is_store_gone = True
        with pytest.raises(RateLimited):
            world.client.call(GET, id=1)
