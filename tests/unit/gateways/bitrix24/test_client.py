"""What the client sends, when it waits, and what it says of a network that fails."""

from __future__ import annotations

import json

import pytest
import requests

from sync_worker.errors import OutcomeUnknown, RemoteUnavailable
from sync_worker.gateways.bitrix24.client import MAX_BATCH, Command

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
    canned.answer("batch", {"result": {"result": {"one": 1}, "result_error": []}})
    batch = canned.client.batch({"one": Command(method=READ, params={"id": 7})}, halt=True)
    assert batch.get("one") == 1
    assert json.loads(canned.mock.calls[0].request.body) == {"halt": 1, "cmd": {"one": "crm.contact.get?id=7"}}


def test_skipped_command_has_neither_result_nor_error(canned):
    error = {"error": "ERROR_CORE", "error_description": "No"}
    canned.answer("batch", {"result": {"result": [], "result_error": {"one": error}}})
    batch = canned.client.batch({"one": Command(method=WRITE), "two": Command(method=WRITE)}, halt=True)
    assert batch.get("two") is None
    assert "two" not in batch.results


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_batch_of_none_or_too_many_is_never_sent(canned, count):
    with pytest.raises(ValueError, match="1 to 50"):
        canned.client.batch({str(index): Command(method=READ) for index in range(count)})
    assert canned.bucket.taken == []


def test_answer_that_is_no_batch_is_a_lost_one(canned):
    canned.answer("batch", {"result": []})
    with pytest.raises(RemoteUnavailable, match="no batch result"):
        canned.client.batch({"one": Command(method=READ)})


def test_token_is_taken_once_a_request_whatever_it_holds(canned):
    canned.answer(READ, {"result": 1})
    canned.answer("batch", {"result": {"result": {str(index): 1 for index in range(20)}}})
    canned.client.call(READ, id=1)
    canned.client.batch({str(index): Command(method=READ) for index in range(20)})
    assert canned.bucket.taken == [(2, 47), (2, 47)]
    assert canned.slept == []


def test_client_sleeps_as_long_as_the_bucket_says(canned):
    canned.bucket.wait_seconds = 1.5
    canned.answer(READ, {"result": 1})
    canned.client.call(READ, id=1)
    assert canned.slept == [1.5]


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
