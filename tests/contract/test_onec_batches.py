"""Joined upserts against the sandbox base, over real HTTP and with slots in a real Redis."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis
import responses

from sync_worker.domain.identity import Lane, RecordType
from sync_worker.errors import LeaseLost, LinkBroken, OutcomeUnknown, RateLimited, RemoteRejected, RemoteUnavailable
from sync_worker.gateways.fence import no_fence
from sync_worker.gateways.onec.about import OnecCapabilities
from sync_worker.gateways.onec.client import OnecClient, Timeouts
from sync_worker.gateways.onec.upserts import upsert_one
from sync_worker.store.slots import Slots
from tests.contract.onec_world import PARTIES, Crowd, Served, WallClock, in_line, open_client, party, serving
from tests.contract.store_worlds import eventually

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@contextmanager
def all_slots_used(store: redis.Redis, limit: int = 1) -> Iterator[None]:
    slots = Slots(store, name="onec", limit=limit)
    with ExitStack() as held:
        for _ in range(limit):
            held.enter_context(slots.hold(5))
        yield


def send_together(
    client: OnecClient, store: redis.Redis, items: list[dict[str, Any]], *, limit: int = 1, lane: Lane = Lane.LIVE
) -> list[Any]:
    """Send while no slot is free, so that they leave in company; each item's result or error."""
    crowd = Crowd()
    with all_slots_used(store, limit):
        for number, item in enumerate(items, start=1):
            crowd.start(lambda item=item: client.send_item(PARTIES, item))
            assert eventually(lambda number=number: in_line(client, lane) == number)
    return crowd.ends()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as base:
        yield base


@pytest.fixture
def onec(served: Served, client: redis.Redis) -> Iterator[OnecClient]:
    """With one slot. The base said that it takes 100 items."""
    onec = open_client(served.url, client, limit=1)
    onec.allow_items(100)
    yield onec
    onec.close()


def test_an_item_that_comes_alone_leaves_alone(onec: OnecClient, served: Served) -> None:
    for number in range(3):
        onec.send_item(PARTIES, party(number + 1))

    assert served.posts() == [1, 1, 1]


def test_items_that_wait_leave_together_and_each_gets_its_own_result(
    onec: OnecClient, served: Served, client: redis.Redis
) -> None:
    results = send_together(onec, client, [party(number) for number in range(1, 17)])

    assert served.posts() == [16]
    assert [result["external_id"] for result in results] == [f"b24:company:{number}" for number in range(1, 17)]
    refs = {record["external_id"]: record["ref"] for record in served.base.show_state()["counterparties"]}
    assert [result["ref"] for result in results] == [refs[result["external_id"]] for result in results]


def test_no_more_leave_together_than_the_base_says(client: redis.Redis) -> None:
    with serving(max_batch=5) as served:
        onec = open_client(served.url, client, limit=1)
        OnecCapabilities(client=onec, clock=WallClock()).about()

        results = send_together(onec, client, [party(number) for number in range(1, 13)])

        assert {result["outcome"] for result in results} == {"created"}
        assert served.posts() == [5, 5, 2]
        onec.close()


def test_nothing_is_joined_before_the_base_has_said_what_it_takes(served: Served, client: redis.Redis) -> None:
    onec = open_client(served.url, client, limit=1)

    send_together(onec, client, [party(number) for number in range(1, 4)])

    assert served.posts() == [1, 1, 1]
    onec.close()


def test_a_rejected_item_fails_alone(onec: OnecClient, served: Served, client: redis.Redis) -> None:
    crowd = Crowd()
    items = [party(1), party(2, ref=UNKNOWN), party(3, inn="1"), party(4)]
    with all_slots_used(client):
        for number, item in enumerate(items, start=1):
            crowd.start(lambda item=item: upsert_one(onec, RecordType.COUNTERPARTY, item))
            assert eventually(lambda number=number: in_line(onec) == number)
    ends = crowd.ends()

    assert [type(end).__name__ for end in ends] == ["UpsertResult", "LinkBroken", "RemoteRejected", "UpsertResult"]
    assert isinstance(ends[1], LinkBroken)
    assert isinstance(ends[2], RemoteRejected)
    assert ends[2].field == "inn"
    assert served.names() == ["ООО 0001", "ООО 0004"]


def test_two_items_of_one_object_never_share_a_post(onec: OnecClient, served: Served, client: redis.Redis) -> None:
    ref = onec.send_item(PARTIES, party(9))["ref"]
    items = [party(1), party(1, name="ООО позже"), party(2), party(9, ref=ref), party(3, ref=ref)]

    results = send_together(onec, client, items)

    assert served.posts()[1:] == [3, 2]
    assert [result["outcome"] for result in results] == ["created", "updated", "created", "unchanged", "rejected"]
    assert "ООО позже" in served.names()  # what came later was done later


def test_live_items_do_not_wait_behind_bulk_ones(served: Served, client: redis.Redis) -> None:
    lanes = threading.local()
    onec = open_client(served.url, client, limit=1, lane=lambda: lanes.lane)
    onec.allow_items(100)

    def send(number: int, lane: Lane) -> None:
        lanes.lane = lane
        onec.send_item(PARTIES, party(number))

    crowd = Crowd()
    with all_slots_used(client):
        for number in range(1, 9):
            crowd.start(lambda number=number: send(number, Lane.BULK))
        assert eventually(lambda: in_line(onec, Lane.BULK) == 8)
        assert eventually(lambda: client.zcard("sync:slots:onec:line") == 1)
        crowd.start(lambda: send(99, Lane.LIVE))
        assert eventually(lambda: client.zcard("sync:slots:onec:line") == 2)
    crowd.ends()

    assert served.posts() == [1, 8]
    onec.close()


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_lost_answer_leaves_all_aboard_unknown_and_nothing_is_made_twice(
    onec: OnecClient, served: Served, client: redis.Redis
) -> None:
    items = [party(number) for number in range(1, 17)]
    served.base.faults.replace("reset_after:/counterparties=1x1")

    lost = send_together(onec, client, items)
    results = send_together(onec, client, items)

    assert {type(error) for error in lost} == {OutcomeUnknown}
    assert len(set(map(id, lost))) == 16  # nobody raises another's exception
    assert {result["outcome"] for result in results} == {"unchanged"}
    assert len(served.names()) == 16
    assert served.posts()[1:] == [2] * 8  # an eighth of the company that was lost


def test_after_a_post_that_arrived_the_company_is_large_again(
    onec: OnecClient, served: Served, client: redis.Redis
) -> None:
    items = [party(number) for number in range(1, 9)]
    served.base.faults.replace("reset_before:/counterparties=1x1")

    send_together(onec, client, items)
    send_together(onec, client, items)
    send_together(onec, client, items)

    assert served.posts() == [0, *[1] * 8, 8]


@pytest.mark.parametrize("fault", ["maintenance", "http503"])
def test_a_base_that_is_closed_is_asked_once_for_all(
    onec: OnecClient, served: Served, client: redis.Redis, fault: str
) -> None:
    served.base.faults.replace(fault)

    errors = send_together(onec, client, [party(number) for number in range(1, 9)])

    assert {type(error) for error in errors} == {RemoteUnavailable}
    assert served.posts() == [0]


def test_who_gets_no_slot_in_time_was_not_sent(served: Served, client: redis.Redis) -> None:
    onec = open_client(served.url, client, limit=1, timeouts=Timeouts(slot_seconds=0.2))
    crowd = Crowd()
    with all_slots_used(client):
        for number in range(1, 9):
            crowd.start(lambda number=number: onec.send_item(PARTIES, party(number)))
        ends = crowd.ends()

    assert {type(end) for end in ends} == {RateLimited}
    assert served.posts() == []
    onec.close()


def test_a_batch_that_is_larger_than_the_base_now_takes_is_halved_and_the_size_is_learned(client: redis.Redis) -> None:
    with serving(max_batch=4) as served:
        onec = open_client(served.url, client, limit=1)
        onec.allow_items(100)  # what it took yesterday

        first = send_together(onec, client, [party(number) for number in range(1, 17)])
        second = send_together(onec, client, [party(number) for number in range(21, 29)])

        assert {result["outcome"] for result in first + second} == {"created"}
        assert served.posts() == [0, 0, 4, 4, 0, 4, 4, 4, 4]  # 16 and 8 are refused; then 8 as two of 4 at once
        onec.close()


# --- answers that the sandbox does not give --------------------------------------------------------------------------

ROOT = "https://1c.example.com/trade"
Answer = Callable[[list[dict[str, Any]]], tuple[int, dict[str, str], str]]


def answer_all(client: redis.Redis, answer: Answer, count: int, **options: Any) -> tuple[list[Any], list[Any]]:
    """What `count` items, sent together, each got; and the requests that left."""
    with responses.RequestsMock() as mock:
        url = f"{ROOT}/hs/crm-exchange/v1{PARTIES}"
        mock.add_callback("POST", url, callback=lambda request: answer(json.loads(request.body)["items"]))
        onec = open_client(ROOT, client, limit=1, **options)
        onec.allow_items(100)
        ends = send_together(onec, client, [party(number) for number in range(1, count + 1)])
        return ends, [call.request for call in mock.calls]


def done(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"index": place, "external_id": item["external_id"], "outcome": "created", "ref": UNKNOWN}
        for place, item in enumerate(items)
    ]


def ok(results: list[Any]) -> tuple[int, dict[str, str], str]:
    return 200, {}, json.dumps({"results": results})


def test_one_item_that_the_base_cannot_read_takes_no_other_down(client: redis.Redis) -> None:
    def answer(items: list[dict[str, Any]]) -> tuple[int, dict[str, str], str]:
        if any(item["external_id"] == "b24:company:6" for item in items):
            return 400, {}, json.dumps({"code": "malformed", "message": "a sign that is not allowed"})
        return ok(done(items))

    ends, requests = answer_all(client, answer, 8)

    assert [number for number, end in enumerate(ends, start=1) if isinstance(end, Exception)] == [6]
    assert isinstance(ends[5], RemoteRejected)
    assert len(requests) == 7  # 8, then 4 + 4, then 2 + 2, then 1 + 1


def test_halves_that_were_not_sent_are_not_unknown(client: redis.Redis) -> None:
    answers = iter(
        [
            (400, {}, json.dumps({"code": "malformed", "message": "no"})),
            (502, {}, "<html><title>Bad Gateway</title></html>"),
        ]
    )

    ends, requests = answer_all(client, lambda _: next(answers), 4)

    assert [type(end) for end in ends] == [OutcomeUnknown, OutcomeUnknown, RemoteUnavailable, RemoteUnavailable]
    assert len(requests) == 2


def test_a_result_that_is_another_items_is_not_believed(client: redis.Redis) -> None:
    ends, _ = answer_all(client, lambda items: ok([*reversed(done(items[:2])), *done(items)[2:]]), 3)

    assert [type(end) for end in ends] == [OutcomeUnknown, OutcomeUnknown, dict]


def test_an_answer_with_too_few_results_is_believed_of_nobody(client: redis.Redis) -> None:
    ends, _ = answer_all(client, lambda items: ok(done(items)[1:]), 3)

    assert {type(end) for end in ends} == {OutcomeUnknown}


def test_a_batch_carries_the_traces_of_all_its_items(client: redis.Redis) -> None:
    traces = iter(["first", "second", "second", None])
    asked = threading.Lock()

    def trace() -> str | None:
        with asked:
            return next(traces)

    _, (request,) = answer_all(client, lambda items: ok(done(items)), 4, trace=trace)

    assert request.headers["X-Trace-Id"] == "first,second"


# --- leases that ran out ---------------------------------------------------------------------------------------------


def lost() -> None:
    raise LeaseLost("held for too long")


def test_whoever_lost_his_lease_stays_behind_and_the_others_leave(served: Served, client: redis.Redis) -> None:
    fences = threading.local()
    onec = open_client(served.url, client, limit=1, fence=lambda: fences.mine)
    onec.allow_items(100)

    def send(number: int) -> Any:
        fences.mine = lost if number in (2, 4) else no_fence
        return onec.send_item(PARTIES, party(number))

    crowd = Crowd()
    with all_slots_used(client):
        for number in range(1, 6):
            crowd.start(lambda number=number: send(number))
            assert eventually(lambda number=number: in_line(onec) == number)
    ends = crowd.ends()

    assert [isinstance(end, LeaseLost) for end in ends] == [False, True, False, True, False]
    assert served.posts() == [3]
    assert served.names() == ["ООО 0001", "ООО 0003", "ООО 0005"]
    onec.close()


def test_where_nobody_may_leave_nothing_is_sent_and_the_session_is_kept(served: Served, client: redis.Redis) -> None:
    open_client(served.url, client, limit=1).send_item(PARTIES, party(1))
    onec = open_client(served.url, client, limit=1, fence=lambda: lost)

    with pytest.raises(LeaseLost):
        onec.send_item(PARTIES, party(2))
    with pytest.raises(LeaseLost):
        onec.get("/about")
    open_client(served.url, client, limit=1).send_item(PARTIES, party(3))

    assert served.names() == ["ООО 0001", "ООО 0003"]
    assert served.counters["sessions_started"] == 1
    onec.close()
