"""What the client sends, when it waits, and what it says of a network that fails."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sync_worker.domain.identity import Lane
from sync_worker.errors import LinkBroken, OutcomeUnknown, RemoteRejected, RemoteUnavailable
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import MAX_BATCH, Command
from tests.governors import Take
from tests.threads import LONG, await_that
from tests.unit.gateways.bitrix24.conftest import BASE

READ, WRITE = "crm.contact.get", "crm.contact.add"


def test_call_posts_json_and_returns_the_result(canned):
    canned.answer("crm.contact.add", {"result": 46, "time": {}})
    assert canned.client.call("crm.contact.add", fields={"NAME": "Анна"}) == 46
    assert json.loads(canned.mock.calls[0].request.body) == {"fields": {"NAME": "Анна"}}


@pytest.mark.parametrize("result", [None, False, 0, [], {}])
def test_empty_result_is_an_answer(canned, result):
    canned.answer(READ, {"result": result})
    assert canned.client.call(READ, id=1) == result


def test_batch_sends_commands_as_queries_and_leaves_an_empty_error_map_alone(canned):
    canned.answer("batch", {"result": {"result": {"one": 1, "two": 2}, "result_error": []}})
    commands = {key: Command(method=READ, params={"id": 7}) for key in ("one", "two")}
    batch = canned.client.batch(commands, halt=True)
    assert (batch.get("one"), batch.get("two"), batch.errors) == (1, 2, {})
    text = "crm.contact.get?id=7"
    assert json.loads(canned.mock.calls[0].request.body) == {"halt": 1, "cmd": {"one": text, "two": text}}


def test_batch_of_one_command_is_a_plain_call(canned):
    canned.answer(WRITE, {"result": 46})
    batch = canned.client.batch({"one": Command(method=WRITE, params={"fields": {"NAME": "Анна"}})}, halt=True)
    assert batch.get("one") == 46
    assert json.loads(canned.mock.calls[0].request.body) == {"fields": {"NAME": "Анна"}}


def test_error_of_a_batch_of_one_is_that_commands_own(canned):
    canned.problem(READ, "", "Not found")
    batch = canned.client.batch({"one": Command(method=READ)})
    assert {key: type(error) for key, error in batch.errors.items()} == {"one": LinkBroken}


def test_map_keyed_from_0_up_may_come_as_a_list(canned):
    problem = {"error": "", "error_description": "Not found"}
    canned.answer("batch", {"result": {"result": {"1": "a", "2": "b"}, "result_error": [problem]}})
    batch = canned.client.batch({str(index): Command(method=READ) for index in range(3)})
    assert (batch.results, list(batch.errors)) == ({"1": "a", "2": "b"}, ["0"])


def test_skipped_command_has_neither_result_nor_error(canned):
    error = {"error": "ERROR_CORE", "error_description": "No"}
    canned.answer("batch", {"result": {"result": [], "result_error": {"one": error}}})
    batch = canned.client.batch({"one": Command(method=WRITE), "two": Command(method=WRITE)}, halt=True)
    assert batch.get("two") is None
    assert (batch.has("one"), batch.has("two")) == (True, False)


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_batch_of_none_or_too_many_is_never_sent(canned, count):
    with pytest.raises(ValueError, match="1 to 50"):
        canned.client.batch({str(index): Command(method=READ) for index in range(count)})
    assert canned.governor.takes == []


@pytest.mark.parametrize("result", [[], "done", True, None, 7])
@pytest.mark.parametrize(("last", "error"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_answer_that_is_no_batch_is_a_lost_one(canned, result, last, error):
    canned.answer("batch", {"result": result})
    with pytest.raises(error, match="no batch result"):
        canned.client.batch({"one": Command(method=READ), "two": Command(method=last)})


@pytest.mark.parametrize("maps", [{}, {"result": "done"}, {"result": None, "result_error": 5, "result_time": "now"}])
def test_command_of_which_nothing_is_said_is_a_lost_answer_of_its_own(canned, maps):
    canned.answer("batch", {"result": maps})
    batch = canned.client.batch({"read": Command(method=READ), "write": Command(method=WRITE)})
    assert batch.results == {}
    assert {key: type(error) for key, error in batch.errors.items()} == {
        "read": RemoteUnavailable,
        "write": OutcomeUnknown,
    }


def test_write_before_the_halt_of_which_nothing_is_said_is_unknown(canned):
    error = {"error": "ERROR_CORE", "error_description": "No"}
    canned.answer("batch", {"result": {"result": [], "result_error": {"two": error}}})
    batch = canned.client.batch({key: Command(method=WRITE) for key in ("one", "two", "three")}, halt=True)
    assert {key: type(error) for key, error in batch.errors.items()} == {"one": OutcomeUnknown, "two": RemoteRejected}


def test_oddly_shaped_parts_of_an_answer_spoil_nothing_else(canned):
    maps = {"result": {"one": 1, "stranger": 9}, "result_error": {"two": "so"}, "result_time": {"one": [], "two": None}}
    canned.answer("batch", {"result": maps, "time": []})
    batch = canned.client.batch({"one": Command(method=READ), "two": Command(method=READ)})
    assert (batch.results, type(batch.errors["two"])) == ({"one": 1}, RemoteRejected)


def test_token_is_taken_once_a_request_whatever_it_holds(canned):
    canned.answer(READ, {"result": 1})
    canned.answer("batch", {"result": {"result": {str(index): 1 for index in range(20)}}})
    canned.client.call(READ, id=1)
    canned.client.batch({str(index): Command(method=READ) for index in range(20)})
    assert canned.governor.takes == [
        Take(lane=Lane.LIVE, wanted={READ: 1}, is_batch=False, is_paid=False),
        Take(lane=Lane.LIVE, wanted={READ: 20}, is_batch=True, is_paid=False),
    ]
    assert canned.slept == []


def test_client_sleeps_as_long_as_the_governor_says_and_then_has_paid(canned):
    canned.governor.wait_seconds = 1.5
    canned.answer(READ, {"result": 1})
    canned.client.call(READ, id=1)
    assert canned.slept == [1.5]
    assert [take.is_paid for take in canned.governor.takes] == [False, True]


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ReadTimeout("read timed out"),
        requests.exceptions.ConnectionError("Connection aborted.", ConnectionResetError(104, "reset by peer")),
        requests.exceptions.ChunkedEncodingError("broken"),
        requests.exceptions.SSLError("EOF occurred in violation of protocol"),
    ],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize(("method", "error"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_lost_answer_may_be_repeated_by_a_read_only(canned, failure, method, error):
    canned.answer(method, body=failure)
    with pytest.raises(error):
        canned.client.call(method)


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ConnectTimeout("connect timed out"),
        requests.exceptions.ConnectionError("NewConnectionError(refused)"),
        requests.exceptions.ConnectionError("NameResolutionError(who is that)"),
        requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"),
    ],
    ids=["connect_timeout", "refused", "no_such_name", "bad_certificate"],
)
def test_request_that_was_never_sent_is_no_unknown_write(canned, failure):
    canned.answer(WRITE, body=failure)
    with pytest.raises(RemoteUnavailable, match="cannot connect"):
        canned.client.call(WRITE)


@pytest.mark.parametrize(("last", "error"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_one_write_makes_a_write_of_the_whole_batch(canned, last, error):
    canned.answer("batch", body=requests.exceptions.ReadTimeout("read timed out"))
    with pytest.raises(error):
        canned.client.batch({"first": Command(method=READ), "last": Command(method=last)})


@pytest.mark.parametrize(
    ("method", "is_write"),
    [
        ("crm.contact.get", False),
        ("crm.contact.list", False),
        ("crm.duplicate.findbycomm", False),
        ("profile", False),
        ("crm.item.productrow.set", True),
        ("crm.timeline.comment.add", True),
        ("crm.requisite.link.register", True),
        ("crm.deal.userfield.add", True),
        ("crm.item.delete", True),
    ],
)
def test_writes_are_known_by_the_methods_verb(method, is_write):
    assert Command(method=method).is_write is is_write


@pytest.mark.parametrize(("method", "kind"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
def test_interrupt_of_who_sends_leaves_the_others_without_an_answer_only(canned, method, kind):
    def break_off(_request):
        raise KeyboardInterrupt

    def have_company(_seconds):
        company.append(pool.submit(client.call, method))
        await_that(lambda: len(client._lines[Lane.LIVE]._waiting()) == 2)

    canned.mock.add_callback("POST", f"{BASE}/batch", break_off)
    canned.governor.wait_seconds = 1.0
    client = Bitrix24Client(webhook_url=BASE, governor=canned.governor, http=canned.session, sleep=have_company)
    company: list[Future[Any]] = []
    with ThreadPoolExecutor() as pool:
        with pytest.raises(KeyboardInterrupt):
            client.call(READ)
        assert type(company[0].exception(LONG)) is kind
