"""The server under both systems: kept connections, many at once, and none left when it stops."""

from __future__ import annotations

import http.client
import socket
from contextlib import ExitStack

import pytest
import requests
from flask import Flask, Response, request

from sandbox.serving import Server, reset_connection
from tests.sandbox.portal_peer import running, wait_until


@pytest.fixture
def server():
    app = Flask("echo")

    @app.route("/echo", methods=["GET", "POST"])
    def echo() -> dict[str, object]:
        return {"from": request.environ["REMOTE_PORT"], "body": request.get_data(as_text=True)}

    @app.route("/nothing")
    def nothing() -> Response:
        return Response(status=204)

    @app.route("/unread", methods=["POST"])
    def unread() -> str:
        return "ok"

    @app.route("/cut", methods=["POST"])
    def cut() -> str:
        reset_connection(request.environ)
        return "nobody reads this"

    with Server(app) as server:
        yield server


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


def test_connection_is_kept(server, session):
    answers = [session.post(f"{server.url}/echo", data=f"{number}", timeout=20) for number in range(3)]
    assert {answer.headers["Connection"] for answer in answers} == {"keep-alive"}
    assert len({answer.json()["from"] for answer in answers}) == 1
    assert [answer.json()["body"] for answer in answers] == ["0", "1", "2"]


def test_caller_may_ask_to_close(server, session):
    answers = [session.get(f"{server.url}/echo", headers={"Connection": "close"}, timeout=20) for _ in range(2)]
    assert {answer.headers["Connection"] for answer in answers} == {"close"}
    assert len({answer.json()["from"] for answer in answers}) == 2


def test_body_that_nobody_read_is_not_taken_for_the_next_request(server, session):
    for _ in range(2):
        assert session.post(f"{server.url}/unread", data=b"GET /echo HTTP/1.1\r\n\r\n", timeout=20).text == "ok"


def test_chunked_body_and_empty_answers_keep_the_connection_in_step(server, session):
    chunks = session.post(f"{server.url}/echo", data=iter([b"ab", b"cd"]), timeout=20).json()
    assert chunks["body"] == "abcd"
    assert session.get(f"{server.url}/nothing", timeout=20).content == b""
    assert session.head(f"{server.url}/echo", timeout=20).content == b""
    assert session.get(f"{server.url}/echo", timeout=20).json()["from"] == chunks["from"]


def test_cut_connection_ends_and_the_next_call_gets_a_new_one(server, session):
    before = session.get(f"{server.url}/echo", timeout=20).json()["from"]
    with pytest.raises(requests.ConnectionError):
        session.post(f"{server.url}/cut", timeout=20)
    assert session.get(f"{server.url}/echo", timeout=20).json()["from"] != before


def test_caller_that_leaves_in_the_middle_of_a_body_harms_nobody(server, session):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as leaving:
        leaving.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    assert session.get(f"{server.url}/echo", timeout=20).status_code == 200


def test_length_that_is_no_number_ends_the_connection(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        caller.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
        with caller.makefile("rb") as told:
            answer = told.read()
    assert b"Connection: close" in answer


def test_kept_connection_ends_when_the_server_stops(session):
    app = Flask("short")
    app.add_url_rule("/", "index", lambda: "up")
    with Server(app) as server:
        assert session.get(server.url, timeout=20).text == "up"
    with pytest.raises(requests.ConnectionError):
        session.get(server.url, timeout=20)


@pytest.fixture
def ask():
    """Begins a call of a peer's portal on a connection of its own."""
    with ExitStack() as stack:

        def ask(peer, *, body: bytes, length: int) -> http.client.HTTPConnection:
            host, port = peer.url.removeprefix("http://").split(":")
            caller = http.client.HTTPConnection(host, int(port), timeout=20)
            stack.callback(caller.close)
            caller.putrequest("POST", peer.base.removeprefix(peer.url) + "profile")
            caller.putheader("Content-Type", "application/json")
            caller.putheader("Content-Length", str(length))
            caller.endheaders(body)
            return caller

        yield ask


def statuses(callers) -> list[int]:
    found = []
    for caller in callers:
        with caller.getresponse() as answer:
            found.append(answer.status)
            answer.read()
    return found


def test_64_requests_are_taken_at_once(ask):
    """All of them are begun before the first one can end: each waits for the rest of its own body."""
    with running() as peer:
        callers = [ask(peer, body=b"{", length=2) for _ in range(64)]
        for caller in callers:
            caller.send(b"}")
        assert statuses(callers) == [200] * 64


def test_requests_run_at_the_same_time(ask):
    with running() as peer:
        with peer.portal.world.lock:  # every method waits for the records
            callers = [ask(peer, body=b"{}", length=2) for _ in range(20)]
            wait_until(lambda: peer.portal.journal_log.totals()["open_requests"] == 20)
        assert statuses(callers) == [200] * 20
        assert peer.sandbox("counters")["max_concurrent_requests"] == 20
