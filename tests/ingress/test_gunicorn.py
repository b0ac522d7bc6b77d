"""The ingress in its real server: what only a real socket shows."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ingress.answers import MAX_BODY_BYTES
from tests.ingress.conftest import SECRETS, TOKENS, event_form
from tests.services import IngressProcess, RedisServer

pytestmark = pytest.mark.process
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOOK = "/webhooks/bitrix24"


@pytest.fixture(scope="module")
def server(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngressProcess]:
    folder = tmp_path_factory.mktemp("ingress")
    environment = {
        "BROKER_URL": redis_server.url(1),
        "INGRESS_SPOOL": str(folder / "spool"),
        "B24_APPLICATION_TOKENS": ",".join(TOKENS),
        "ONEC_WEBHOOK_SECRETS": ",".join(SECRETS),
        "LOG_LEVEL": "DEBUG",
        "SENTRY_DSN": "",
    }
    process = IngressProcess(folder, environment).start()
    yield process
    process.stop()


@pytest.fixture
def connection(server: IngressProcess) -> Iterator[http.client.HTTPConnection]:
    connection = server.connect()
    yield connection
    connection.close()


def _raw(server: IngressProcess, request: bytes) -> bytes:
    """All that the server answers to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as channel:
        channel.sendall(request)
        channel.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := channel.recv(65536):
            answer += piece
    return answer


def test_a_kept_connection_takes_many_events(connection: http.client.HTTPConnection, redis_server: RedisServer) -> None:
    redis_server.flush()
    sockets = set()

    for number in range(1, 11):
        connection.request("POST", HOOK, event_form("ONCRMDEALADD", ID=number), FORM)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (202, "queued")
        sockets.add(connection.sock.getsockname())

    assert len(sockets) == 1
    with redis.Redis.from_url(redis_server.url(1)) as store:
        assert store.llen("sync:deal") == 10


def test_a_chunked_body_is_read(connection: http.client.HTTPConnection) -> None:
    body = event_form("ONCRMDEALADD", ID=1).encode()

    connection.request("POST", HOOK, iter([body[:20], body[20:]]), FORM, encode_chunked=True)

    assert connection.getresponse().status == 202


@pytest.mark.parametrize("path", [HOOK, "/webhooks/bitrix24/robot", "/webhooks/1c"])
def test_a_chunked_body_over_one_mebibyte_is_a_413(path: str, connection: http.client.HTTPConnection) -> None:
    type_ = "application/json" if path.endswith("1c") else FORM["Content-Type"]
    pieces = iter([b"x" * 65536] * (MAX_BODY_BYTES // 65536) + [b"x"])

    connection.request("POST", path, pieces, {"Content-Type": type_}, encode_chunked=True)

    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]) == (413, "too_large")


def test_a_body_that_says_it_is_too_large_is_refused_unread(server: IngressProcess) -> None:
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['Content-Type']}\r\n"

    assert _raw(server, f"{head}Content-Length: 999999999\r\n\r\n".encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /webhooks/bitrix24 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n",
        b"POST /webhooks/bitrix24 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 500\r\n\r\nevent=ONCRM",
        b"POST /webhooks/bitrix24 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/bitrix24 HTTP/1.1\r\nHost: \xff\xfe\r\nContent-Type: \xff\r\n\r\n",
        b"GET /%ff%00%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /webhooks/bitrix24/robot?secret=%ff%zz&[=]&document_id[2]=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"not http at all\r\n\r\n",
    ],
)
def test_broken_requests_are_the_strangers_fault(request_bytes: bytes, server: IngressProcess) -> None:
    before = len(server.log())

    answer = _raw(server, request_bytes.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost", 1))

    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert "Traceback" not in server.log()[before:]
    assert '"event": "crashed"' not in server.log()[before:]


def test_the_logs_show_the_path_and_no_secret(server: IngressProcess, connection: http.client.HTTPConnection) -> None:
    for path in (f"/webhooks/bitrix24/robot?secret={TOKENS[0]}&deal_id=1", f"/nowhere?secret={TOKENS[0]}"):
        connection.request("GET", path, headers={"Referer": f"http://x/?secret={TOKENS[0]}"})
        connection.getresponse().read()
    _raw(server, f"GET /robot?secret={TOKENS[0]} oh no HTTP/9.9\r\nHost: x\r\n\r\n".encode())
    connection.request("POST", HOOK, event_form("ONCRMDEALADD", ID=1), FORM)
    connection.getresponse().read()

    log = server.log()
    assert "GET /webhooks/bitrix24/robot 202" in log
    assert "secret=***" in log  # gunicorn quotes a request line that it cannot read
    for secret in (*TOKENS, *SECRETS):
        assert secret not in log


def test_the_server_does_not_tell_its_version(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/healthz")

    answer = connection.getresponse()
    answer.read()
    assert answer.headers["Server"] == "ingress"


def test_settings_with_faults_stop_the_start(tmp_path: Path) -> None:
    process = IngressProcess(tmp_path, {"B24_APPLICATION_TOKENS": "", "ONEC_WEBHOOK_SECRETS": "", "BROKER_URL": "x"})

    with pytest.raises(RuntimeError, match="did not start"):
        process.start()

    for name in ("B24_APPLICATION_TOKENS", "ONEC_WEBHOOK_SECRETS", "BROKER_URL"):
        assert f"- {name}: " in process.log()


def test_it_stops_in_good_order_and_leaves_nothing_behind(redis_server: RedisServer, tmp_path: Path) -> None:
    environment = {
        "BROKER_URL": redis_server.url(1),
        "INGRESS_SPOOL": str(tmp_path / "spool"),
        "B24_APPLICATION_TOKENS": TOKENS[0],
        "ONEC_WEBHOOK_SECRETS": SECRETS[0],
    }
    process = IngressProcess(tmp_path, environment).start()

    assert process.stop() == 0
    assert "Traceback" not in process.log()
