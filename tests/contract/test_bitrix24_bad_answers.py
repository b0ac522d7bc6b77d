"""Answers that are none, over real HTTP: each is an error of ours, says what to do, and keeps the webhook's secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sync_worker.errors import (
    LinkBroken,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    RemoteRejected,
    RemoteUnavailable,
    ShutOut,
    SyncError,
)
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from tests.contract.portal_world import client_of, everything_said
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import running

SECRET = "s3cr3t-of-the-webhook"
READ, WRITE = "crm.contact.get", "crm.contact.update"
PAGE = b"<html><body><center><h1>Bitrix24</h1></center></body></html>"
HTML = "text/html; charset=utf-8"
GOOD = json.dumps({"result": {"ID": "1"}, "time": {"operating": 0.1}}).encode()


class Canned:
    """A server that has one answer to everything, and counts who asks."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.asked: list[str] = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                canned.asked.append(self.path.rpartition("/")[2])
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/rest/1/{SECRET}/"


@contextmanager
def portal_that_answers(
    body: bytes | dict[str, Any], *, status: int = 200, **headers: str
) -> Iterator[tuple[Canned, Bitrix24Client, StandInGovernor]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    canned, governor = (
        Canned(status, raw, {name.replace("_", "-"): value for name, value in headers.items()}),
        StandInGovernor(),
    )
    thread = threading.Thread(target=canned.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with client_of(canned.url, governor) as client:
            yield canned, client, governor
    finally:
        canned.server.shutdown()
        canned.server.server_close()
        thread.join()


def error_of(client: Bitrix24Client, method: str) -> SyncError:
    with pytest.raises(SyncError) as raised:
        client.call(method, id=1, fields={})
    assert SECRET not in everything_said(raised.value)
    return raised.value


LOST = {
    "page": (200, PAGE, {"Content_Type": HTML}),
    "truncated": (200, GOOD[: len(GOOD) // 2], {}),
    "empty": (200, b"", {}),
    "no content": (204, b"", {}),
    "no result": (200, b'{"time": {"operating": 0.1}}', {}),
    "list": (200, b"[]", {}),
    "null": (200, b"null", {}),
    "other bytes": (200, b"\xff\xfe\x00", {}),
    "page of a proxy, 500": (500, PAGE, {"Content_Type": HTML}),
    "page of a proxy, 502": (502, PAGE, {"Content_Type": HTML}),
    "page of a proxy, 503": (503, PAGE, {"Content_Type": HTML}),
    "page of a proxy, 504": (504, PAGE, {"Content_Type": HTML}),
    "cut short": (200, GOOD, {"Content_Length": str(len(GOOD) + 10), "Connection": "close"}),
}


@pytest.mark.parametrize(("method", "kind"), [(READ, RemoteUnavailable), (WRITE, OutcomeUnknown)])
@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_answer_that_is_none_leaves_a_write_unknown(answer, method, kind):
    status, body, headers = answer
    with portal_that_answers(body, status=status, **headers) as (canned, client, governor):
        assert type(error_of(client, method)) is kind
    assert canned.asked == [method]
    assert [(failure.cause, failure.is_final) for failure in governor.failures] == [("remote_unavailable", False)]
    assert [(told.is_lost, told.is_failed) for told in governor.settled] == [(True, True)]
    assert governor.refusals == []


SAID = {
    "error in a 200": (200, "", "Not found", LinkBroken),
    "server error in a 200": (200, "INTERNAL_SERVER_ERROR", "Internal server error", RemoteUnavailable),
    "all requests": (503, "QUERY_LIMIT_EXCEEDED", "Too many requests", RateLimited),
    "running time": (429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit", RateLimited),
    "blocked": (503, "OVERLOAD_LIMIT", "REST API is blocked due to overload", ShutOut),
    "expired": (401, "expired_token", "The access token provided has expired", ShutOut),
    "wrong secret": (401, "INVALID_CREDENTIALS", "Invalid request credentials", ShutOut),
    "a right": (403, "INVALID_CREDENTIALS", "Invalid request credentials", Misconfigured),
    "licence": (403, "ACCESS_DENIED", "REST API is available only on commercial plans", ShutOut),
    "subscription": (401, "PAYMENT_REQUIRED", "Subscription has been ended", ShutOut),
    "closed": (410, "PORTAL_DELETED", "Portal was deleted", ShutOut),
    "a record": (400, "ACCESS_DENIED", "Access denied", RemoteRejected),
}


@pytest.mark.parametrize(("status", "code", "words", "kind"), SAID.values(), ids=SAID)
def test_error_is_what_the_portal_says_it_is(status, code, words, kind):
    body = {"error": code, "error_description": words}
    with portal_that_answers(body, status=status) as (canned, client, governor):
        error = error_of(client, READ)
    assert type(error) is kind
    assert words in str(error)
    assert len(canned.asked) == 1
    assert bool(governor.failures) is (kind is ShutOut), "a method that breaks does not mean that the portal is down"
    assert bool(governor.refusals) is (code == "QUERY_LIMIT_EXCEEDED")
    assert [told.refused for told in governor.settled] == [{READ} if code == "OPERATION_TIME_LIMIT" else set()]


def test_429_of_something_before_the_portal_makes_everybody_step_back():
    with portal_that_answers(PAGE, status=429, Content_Type=HTML) as (_, client, governor):
        assert type(error_of(client, READ)) is RateLimited
    assert len(governor.refusals) == 1
    assert [told.refused for told in governor.settled] == [set()]  # the method has done nothing


@pytest.mark.parametrize("method", [READ, WRITE])
def test_renamed_portal_is_not_followed_and_says_what_to_do(method):
    with (
        running() as other,
        portal_that_answers(b"", status=302, Location=f"{other.base}{method}") as (canned, client, _),
    ):
        error = error_of(client, method)
        assert other.portal.journal == []
    assert type(error) is ShutOut
    assert "B24_WEBHOOK_URL" in str(error)
    assert canned.asked == [method]


SPOILT_BATCHES = {
    "no map": {"result": "done"},
    "list": {"result": []},
    "nothing": {"result": {}},
    "no maps inside": {"result": {"result": 5, "result_error": "x", "result_time": None}},
    "others' keys": {"result": {"result": {"stranger": 1}, "result_error": {"other": {"error": "x"}}}},
}


@pytest.mark.parametrize("body", SPOILT_BATCHES.values(), ids=SPOILT_BATCHES)
def test_batch_answer_of_a_wrong_shape_is_a_lost_one(body):
    with portal_that_answers(body) as (canned, client, _):
        for method, kind in ((READ, RemoteUnavailable), (WRITE, OutcomeUnknown)):
            commands = {key: Command(method=method, params={"id": 1, "fields": {}}) for key in ("one", "two")}
            with pytest.raises(kind) as raised:
                client.batch(commands).get("one")
            assert SECRET not in everything_said(raised.value)
    assert canned.asked == ["batch", "batch"]


def test_errors_of_a_batch_are_each_commands_own():
    problems = {
        "gone": {"error": "", "error_description": "Not found"},
        "late": {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"},
        "odd": "no object",
    }
    body = {"result": {"result": {"good": {"ID": "1"}}, "result_error": problems, "result_time": []}}
    with portal_that_answers(body) as (_, client, governor):
        batch = client.batch({key: Command(method=READ, params={"id": 1}) for key in ("good", "gone", "late", "odd")})
    assert batch.get("good") == {"ID": "1"}
    assert {key: type(error) for key, error in batch.errors.items()} == {
        "gone": LinkBroken,
        "late": RateLimited,
        "odd": RemoteRejected,
    }
    assert [told.refused for told in governor.settled] == [{READ}]


def test_error_on_top_of_a_batch_is_everybodys():
    blocked = {"error": "OVERLOAD_LIMIT", "error_description": "Blocked"}
    with portal_that_answers(blocked) as (_, client, _governor), pytest.raises(ShutOut, match="Blocked"):
        client.batch({key: Command(method=READ) for key in ("one", "two")})
