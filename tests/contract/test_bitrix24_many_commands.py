"""`run_many`: any number of commands, in few requests, each with its own result or error in its own place."""

from __future__ import annotations

import threading

import pytest

from sync_worker.domain.budget import BATCH
from sync_worker.domain.identity import Lane, RecordType
from sync_worker.errors import CircuitOpen, LinkBroken, OutcomeUnknown, RateLimited
from sync_worker.gateways.bitrix24 import client as client_module
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.reads import read_by_id
from tests.contract.crowd import crowd
from tests.contract.portal_world import client_of
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import running
from tests.threads import LONG

UPDATE = "crm.deal.update"


@pytest.fixture
def world():
    with crowd() as world:
        world.token.opened.set()
        yield world


def update(id_, title="новая"):
    return Command(method=UPDATE, params={"id": id_, "fields": {"TITLE": title}})


def add(title):
    return Command(method="crm.deal.add", params={"fields": {"TITLE": title}})


def titles(world):
    return [deal["TITLE"] for deal in world.peer.call("crm.deal.list", select=["TITLE"], order={"ID": "ASC"})]


def test_500_updates_take_10_requests_and_every_result_is_in_its_place(world):
    deals = world.deals(100)
    world.mark()
    commands = [update(deal, f"{turn} {deal}") for turn in range(5) for deal in deals]
    commands[7], commands[499] = update(7777), Command(method="crm.deal.get", params={"id": deals[0]})
    answers = world.client.run_many(commands)
    assert len(world.seen) == 10
    assert [len(one) for one in world.seen] == [50] * 10
    assert type(answers[7]) is LinkBroken
    assert answers[499]["ID"] == str(deals[0])
    assert [answer for place, answer in enumerate(answers) if place not in (7, 499)] == [True] * 498


def test_nothing_to_run_is_nothing_sent(world):
    assert world.client.run_many([]) == []
    assert world.governor.takes == []


def test_reads_by_id_become_lists_and_a_missing_one_is_broken_in_its_place(world):
    deals = world.deals(60)
    world.mark()
    answers = world.client.run_many([read_by_id(RecordType.DEAL, str(id_)) for id_ in [*deals, 7777]])
    assert [answer["ID"] for answer in answers[:-1]] == [str(deal) for deal in deals]
    assert type(answers[-1]) is LinkBroken
    assert sorted(map(str, world.seen)) == ["crm.deal.get", "crm.deal.list", "crm.deal.list"]


def test_part_of_a_budget_lets_part_of_the_commands_leave(world):
    deals = world.deals(50)
    world.mark()
    world.governor.at_most = {UPDATE: 20}
    assert world.client.run_many([update(deal) for deal in deals]) == [True] * 50
    assert [len(one) for one in world.seen] == [20, 20, 10]


def test_commands_that_take_long_leave_in_more_requests(world):
    deals = world.deals(20)
    world.mark()
    world.governor.cost_seconds = {UPDATE: 4.0}
    world.client.call(UPDATE, id=deals[0], fields={})  # by which the client hears what it costs
    assert world.client.run_many([update(deal) for deal in deals]) == [True] * 20
    assert [len(one) for one in world.seen[1:]] == [10, 10]


def test_budget_that_is_spent_is_waited_for(world):
    deals = world.deals(2)
    world.governor.refusing = [RateLimited("later", retry_after_seconds=7), RateLimited("later")]
    assert world.client.run_many([update(deal) for deal in deals]) == [True, True]
    assert world.slept == [7, 1]


def test_patience_ends_with_the_refusal_in_every_place(world, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE_SECONDS", 100.0)
    world.governor.blocked = {UPDATE: 60.0}
    answers = world.client.run_many([update(1), update(2), Command(method="profile")])
    assert [type(answer) for answer in answers] == [RateLimited, RateLimited, dict]
    assert world.slept == [60]


def test_portals_own_refusal_in_a_batch_is_waited_for_and_not_asked_for_at_once():
    with crowd(operating_limit_seconds=-1) as world:
        world.token.opened.set()
        answers = world.client.run_many([update(1), update(2)])
    assert [type(answer) for answer in answers] == [RateLimited, RateLimited]
    assert world.slept == [60] * 15  # 900 s, and then it is the caller's to decide
    assert len(world.seen) == 16


@pytest.mark.parametrize("error", [CircuitOpen("shut"), ValueError("a bug")])
def test_other_errors_are_not_waited_for(world, error):
    world.governor.refusing = [error]
    if isinstance(error, ValueError):
        with pytest.raises(ValueError, match="a bug"):
            world.client.run_many([update(1)])
    else:
        assert world.client.run_many([update(1), update(2)]) == [error, error]
    assert world.slept == []


def test_lost_answer_of_one_request_is_unknown_in_its_places_and_never_sent_again(world):
    world.peer.portal.faults.replace("reset_after:batch=1x1")
    answers = world.client.run_many([add(f"№ {number}") for number in range(100)])
    assert [type(answer) for answer in answers].count(OutcomeUnknown) == 50
    assert len(world.seen) == 2
    assert world.peer.body("crm.deal.list")["total"] == 100


def test_answer_that_says_nothing_of_a_command_is_unknown_and_never_sent_again(world):
    world.peer.portal.faults.replace("no_result:crm.deal.add=1x1")
    answers = world.client.run_many([add("одна"), add("другая")])
    assert [type(answer) for answer in answers] == [OutcomeUnknown, int]
    assert titles(world) == ["одна", "другая"]


def test_without_a_budget_for_batches_a_refusal_in_the_midst_repeats_nothing(world):
    world.governor.blocked = {BATCH: 100.0}
    world.governor.refusing = [None, None, RateLimited("later", retry_after_seconds=2), None]
    answers = world.client.run_many([add("одна"), add("другая"), add("третья")])
    assert [type(answer) for answer in answers] == [int] * 3
    assert sorted(titles(world)) == ["другая", "одна", "третья"]


def test_text_that_looks_like_a_reference_arrives_as_it_was_typed(world):
    world.client.run_many([add("одна"), add("$result[0]"), add("третья")])
    assert titles(world) == ["одна", "$result[0]", "третья"]


def test_lane_is_that_of_the_calling_thread():
    governor, own = StandInGovernor(), threading.local()
    with running() as peer, client_of(peer.base, governor, lane=lambda: getattr(own, "lane", Lane.LIVE)) as client:
        own.lane = Lane.BULK
        client.run_many([add(f"№ {number}") for number in range(150)])
        assert {take.lane for take in governor.takes} == {told.lane for told in governor.settled} == {Lane.BULK}
        live = threading.Thread(target=client.call, args=("profile",))
        live.start()
        live.join(LONG)
        assert governor.takes[-1].lane is Lane.LIVE


def test_lanes_do_not_wait_for_one_another_nor_share_a_request():
    lanes = {"bulk": Lane.BULK}
    with crowd() as world:
        world.client._lane = lambda: lanes.get(threading.current_thread().name, Lane.LIVE)
        world.governor.wait_seconds = 0.5
        bulk = threading.Thread(target=world.client.call, args=("profile",), name="bulk")
        bulk.start()
        assert world.token.reached.wait(LONG)
        world.governor.wait_seconds = 0.0
        assert world.client.call("profile")["ID"]
        assert bulk.is_alive()
        world.token.opened.set()
        bulk.join(LONG)
        assert world.seen == ["profile", "profile"]


def test_refusal_of_the_first_of_those_that_go_singly_is_waited_for(world):
    world.governor.refusing = [RateLimited("later", retry_after_seconds=3)]
    assert [type(one) for one in world.client.run_many([add("$result[0]"), add("другая")])] == [int, int]
    assert (world.slept, titles(world)) == ([3], ["$result[0]", "другая"])
