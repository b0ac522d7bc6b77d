"""Calls made at once leave together, over real HTTP, and each caller gets what it would have got alone."""

from __future__ import annotations

import threading

import pytest

from sync_worker.domain.identity import RecordType
from sync_worker.errors import LeaseLost, LinkBroken, RemoteRejected
from sync_worker.gateways.bitrix24 import departures
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.reads import read_by_id
from tests.contract.crowd import crowd
from tests.threads import LONG, await_that


@pytest.fixture
def world():
    with crowd() as world:
        yield world


def update(id_, title="новая"):
    return lambda client: client.call("crm.deal.update", id=id_, fields={"TITLE": title})


def read(id_, type_=RecordType.DEAL):
    return lambda client: client.run(read_by_id(type_, str(id_)))


def test_call_with_tokens_to_spare_goes_alone_and_at_once(world):
    (deal,) = world.deals(1)
    world.mark()
    assert update(deal)(world.client) is True
    assert read(deal)(world.client)["TITLE"] == "новая"
    assert world.seen == ["crm.deal.update", "crm.deal.get"]
    assert world.slept == []
    assert len(world.governor.takes) == 2


def test_50_calls_without_a_token_leave_as_one_batch_and_the_next_in_the_next(world):
    deals = world.deals(51)
    assert world.leave_together([update(deal, f"№ {deal}") for deal in deals]) == [True] * 51
    assert [sum(take.wanted.values()) for take in world.governor.takes] == [1, 50, 1, 1]
    assert sorted(world.seen, key=str) == [["crm.deal.update"] * 50, "crm.deal.update"]
    assert [world.title(deal) for deal in deals] == [f"№ {deal}" for deal in deals]


def test_reads_of_one_kind_become_one_list(world):
    deals = world.deals(20)
    answers = world.leave_together([read(deal) for deal in [*deals, deals[0]]])
    assert [answer["ID"] for answer in answers] == [str(deal) for deal in [*deals, deals[0]]]
    assert world.seen == ["crm.deal.list"]


def test_row_of_a_list_says_what_the_read_itself_says(world):
    fields = {"NAME": "Анна", "PHONE": [{"VALUE": "+79161234567", "VALUE_TYPE": "WORK"}], "COMMENTS": "жду"}
    ids = [world.peer.call("crm.contact.add", fields=fields) for _ in range(2)]
    alone = [world.peer.call("crm.contact.get", id=id_) for id_ in ids]
    together = world.leave_together([read(id_, RecordType.CONTACT) for id_ in ids])
    for row, card in zip(together, alone, strict=True):
        missing = {key for key, value in card.items() if row.get(key, value) != value}
        assert missing == set()
        assert {"NAME", "PHONE", "COMMENTS", "ASSIGNED_BY_ID", "COMPANY_ID"} <= row.keys()


def test_record_that_a_list_lacks_is_asked_for_by_itself_and_is_broken_for_its_caller_only(world):
    first, second = world.deals(2)
    one, gone, other = world.leave_together([read(first), read(7777), read(second)])
    assert (one["ID"], type(gone), other["ID"]) == (str(first), LinkBroken, str(second))
    assert world.seen == ["crm.deal.list", "crm.deal.get"]


def test_list_that_is_refused_is_no_answer_to_those_who_asked_for_a_record(world):
    deals = world.deals(3)
    world.peer.portal.faults.replace("error_in_200:crm.deal.list=1")
    seen = world.leave_together([update(deals[0]), *map(read, deals)])
    assert [answer if answer is True else answer["ID"] for answer in seen] == [True, *map(str, deals)]


def test_one_bad_command_fails_alone(world):
    deals = world.deals(3)
    *good, bad, stranger = world.leave_together(
        [*map(update, deals), update(7777), lambda client: client.call("crm.deal.add", fields="no array")]
    )
    assert (good, type(bad), type(stranger)) == ([True] * 3, LinkBroken, RemoteRejected)
    assert len(world.seen) == 1


def test_chain_leaves_alone_and_stops_nobody_but_itself(world):
    first, second = world.deals(2)
    commands = {
        "bad": Command(method="crm.deal.update", params={"id": 7777, "fields": {"TITLE": "x"}}),
        "next": Command(method="crm.deal.update", params={"id": first, "fields": {"TITLE": "x"}}),
    }
    one, chain, other = world.leave_together(
        [update(first), lambda client: client.batch(commands, halt=True), update(second)]
    )
    assert (one, other) == (True, True)
    assert (chain.has("bad"), chain.has("next")) == (True, False)
    assert sorted(map(len, world.seen)) == [2, 2]
    assert world.title(first) == "новая"


def test_chain_of_one_command_goes_along_and_stops_nobody(world):
    deals = world.deals(2)
    bad = {"one": Command(method="crm.deal.update", params={"id": 7777, "fields": {"TITLE": "x"}})}
    chain, *others = world.leave_together([lambda client: client.batch(bad, halt=True), *map(update, deals)])
    assert (type(chain.errors["one"]), others, len(world.seen)) == (LinkBroken, [True, True], 1)


@pytest.mark.parametrize("title", ["$result[one][ID]", "цена: $result[g1_one]", "a & b = 100% + $result[0]"])
def test_text_that_looks_like_a_reference_arrives_as_it_was_typed(world, title):
    deals = world.deals(4)
    both = {key: Command(method="crm.deal.update", params={"id": id_, "fields": {"TITLE": title}})
            for key, id_ in zip(("one", "two"), deals[2:], strict=True)}  # fmt: skip
    world.leave_together([update(deals[0], "ранее"), update(deals[1], title), lambda client: client.batch(both)])
    assert [world.title(deal) for deal in deals] == ["ранее", title, title, title]


def test_reference_is_to_its_own_callers_command(world):
    def add_and_mark(client):
        commands = {
            "one": Command(method="crm.deal.add", params={"fields": {"TITLE": "новая"}}),
            "two": Command(method="crm.deal.update", params={"id": Result("one"), "fields": {"COMMENTS": "моя"}}),
            "three": Command(method="crm.deal.get", params={"id": Result("one")}),
        }
        return client.batch(commands)

    batches = world.leave_together([add_and_mark] * 5)
    assert {batch.get("three")["ID"] for batch in batches} == {str(batch.get("one")) for batch in batches}
    assert len({batch.get("one") for batch in batches}) == 5
    assert [batch.get("three")["COMMENTS"] for batch in batches] == ["моя"] * 5
    assert len(world.seen) == 1


def test_what_is_read_behind_a_write_shows_it_whoever_else_reads(world):
    deals = world.deals(4)

    def write_and_look(id_):
        change = Command(method="crm.deal.update", params={"id": id_, "fields": {"TITLE": "новая"}})
        return lambda client: client.batch({"write": change, "card": read_by_id(RecordType.DEAL, str(id_))}).get("card")

    cards = world.leave_together([read(deals[0]), write_and_look(deals[1]), read(deals[2]), write_and_look(deals[3])])
    assert [card["TITLE"] for card in cards] == ["Сделка 0", "новая", "Сделка 2", "новая"]


def test_with_few_tokens_left_a_call_waits_for_those_under_way_and_takes_company_along(world, monkeypatch):
    monkeypatch.setattr(departures, "LONGEST_GATHERING_SECONDS", LONG)
    deals = world.deals(4)
    world.governor.spare = 0.1
    world.client.call("profile")  # by which the client hears how few there are
    world.mark()
    with world.peer.portal.world.lock:  # the portal is busy
        under_way = world.send(update(deals[0]))
        await_that(lambda: len(world.governor.takes) == 2 and not world.in_line())
        waiting = [world.come(update(deal)) for deal in deals[1:]]
    assert [future.result(LONG) for future in [under_way, *waiting]] == [True] * 4
    assert world.seen == ["crm.deal.update", ["crm.deal.update"] * 3]


def test_800_calls_of_64_threads_are_each_applied(world):
    deals = world.deals(200)
    world.governor.spare = 0.1
    world.mark()
    calls = [world.send(update(deal, f"{deal} {turn}")) for turn in range(4) for deal in deals]
    assert [future.result(LONG) for future in calls] == [True] * 800
    assert sum(1 if isinstance(one, str) else len(one) for one in world.seen) == 800
    assert len(world.seen) < 400  # they did leave together
    assert {world.title(deal).split()[0] for deal in deals} == set(map(str, deals))


@pytest.fixture
def stopped(world):
    """A caller who finds at the last moment that his lease is lost."""
    here = threading.local()

    def fence():
        is_lost = getattr(here, "is_lost", False)

        def check():
            if is_lost:
                raise LeaseLost("held for too long")

        return check

    def make(call):
        def run(client):
            here.is_lost = True
            return call(client)

        return run

    world.client._fence = fence
    return make


def test_whoever_lost_his_lease_stays_behind_and_the_others_leave(world, stopped):
    first, late, last = world.deals(3)
    answers = world.leave_together([update(first), stopped(update(late, "поздно")), update(last)])
    assert [type(answer) for answer in answers] == [bool, LeaseLost, bool]
    assert [world.title(deal) for deal in (first, late, last)] == ["новая", "Сделка 1", "новая"]
    assert world.seen[0] == ["crm.deal.update"] * 2


def test_where_all_have_lost_their_leases_nothing_leaves_and_the_budget_is_free_again(world, stopped):
    deals = world.deals(2)
    answers = world.leave_together([stopped(update(deal, "поздно")) for deal in deals])
    assert [type(answer) for answer in answers] == [LeaseLost] * 2
    assert world.seen == []
    assert world.governor.settled[-1].is_failed
    assert not world.governor.settled[-1].spent


def test_many_commands_of_one_caller_are_asked_about_for_him(world, stopped):
    commands = [Command(method="crm.deal.get", params={"id": deal}) for deal in world.deals(3)]
    world.mark()
    answers = stopped(lambda client: client.run_many(commands))(world.client)
    assert [type(answer) for answer in answers] == [LeaseLost] * 3
    assert world.seen == []
