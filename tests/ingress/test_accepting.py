"""202 with the broker away: the spool takes over, keeps order, and drains by itself; 503 when neither can take it."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from ingress.accepting import Acceptor, Drain, NotAcceptedError, Place
from ingress.app import Ingress, create_app
from ingress.logs import make_logger
from ingress.publisher import Publisher
from ingress.spool import Spool
from tests.ingress.conftest import event_form, make_settings, onec_event, post_events, post_form, take_all
from tests.ingress.test_spool import fill, ids, message
from tests.services import RedisServer, free_port

LOG = make_logger("ERROR")
PATIENCE_SECONDS = 30

MakeClient = Callable[..., FlaskClient]


def until(look: Callable[[], Any], what: str) -> Any:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < give_up_at, f"not seen: {what}"
        time.sleep(0.02)
    return seen


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[MakeClient]:
    apps: list[Ingress] = []

    def make(broker_url: str, **more: Any) -> FlaskClient:
        given = {"ingress_spool": tmp_path / "spool", "ingress_spool_max_mb": 1, **more}
        app = create_app(make_settings(broker_url, **given))
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", max_mb=1)
    yield spool
    spool.close()


def nowhere() -> Publisher:
    return Publisher(f"redis://127.0.0.1:{free_port()}/1")


def ring(client: FlaskClient, number: int) -> Any:
    return post_form(client, event_form("ONCRMDEALUPDATE", ID=number))


def queued_ids(server: RedisServer) -> list[int]:
    """In order, each once: what was sent twice is harmless."""
    with redis.Redis.from_url(server.url(1)) as store:
        found = [_record_id(item) for item in reversed(store.lrange("sync:deal", 0, -1))]
    return list(dict.fromkeys(found))


def _record_id(item: bytes) -> int:
    """Of a message as kombu lays it into a list; to take a thousand by kombu itself takes ten seconds."""
    _args, kwargs, _embed = json.loads(base64.b64decode(json.loads(item)["body"]))
    return int(kwargs["event"]["record"]["id"])


def figures(client: FlaskClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_without_a_broker_an_event_is_spooled(scheme: str, make_client: MakeClient, spool: Spool) -> None:
    client = make_client(f"{scheme}://127.0.0.1:{free_port()}/1")

    event, events = ring(client, 1), post_events(client, [onec_event("order.deleted"), onec_event("order.deleted")])

    assert (event.status_code, event.json["status"]) == (202, "spooled")
    assert (events.status_code, events.json["accepted"]) == (202, 2)
    assert spool.measure().events == 3


def test_what_fits_no_schema_is_spooled_for_a_person_too(make_client: MakeClient, spool: Spool) -> None:
    client = make_client(f"redis://127.0.0.1:{free_port()}/1")

    answer = post_form(client, event_form("ONCRMDEALADD"))

    assert (answer.status_code, answer.json["status"]) == (202, "kept")
    assert spool.measure().events == 1


def test_a_broker_that_comes_back_gets_all_of_it_in_order(server: RedisServer, make_client: MakeClient) -> None:
    client = make_client(server.url(1))
    assert ring(client, 1).json["status"] == "queued"
    server.kill()
    assert {ring(client, number).json["status"] for number in range(2, 300)} == {"spooled"}
    server.start()

    number = 300
    while ring(client, number).json["status"] == "spooled":  # those that come while it is drained queue up behind
        number += 1

    assert queued_ids(server) == list(range(1, number + 1))
    assert figures(client)["ingress_spool_events"] == 0


def test_a_hung_broker_is_spooled_for_and_gets_it_later(server: RedisServer, make_client: MakeClient) -> None:
    client = make_client(server.url(1))
    assert ring(client, 1).json["status"] == "queued"
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        assert {ring(client, number).json["status"] for number in range(2, 50)} == {"spooled"}
    finally:
        os.kill(server._process.pid, signal.SIGCONT)

    until(lambda: ring(client, 50).json["status"] == "queued", "the spool is empty")
    assert queued_ids(server) == list(range(1, 51))


class HungServer:
    """Takes calls, counts them, and never says a word."""

    def __init__(self) -> None:
        self.calls: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._take_calls)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for channel in (self._listener, *self.calls):
            channel.close()

    def _take_calls(self) -> None:
        while True:
            try:
                self.calls.append(self._listener.accept()[0])
            except OSError:
                return


@pytest.fixture
def hung() -> Iterator[HungServer]:
    server = HungServer()
    yield server
    server.close()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_only_the_first_event_asks_a_hung_broker(scheme: str, hung: HungServer, spool: Spool) -> None:
    acceptor = Acceptor(Publisher(f"{scheme}://127.0.0.1:{hung.port}/1"), spool, log=LOG)

    assert acceptor.accept([message(1)]) is Place.SPOOLED
    calls = until(lambda: len(hung.calls), "it was asked once")
    assert [acceptor.accept([message(number)]) for number in range(2, 50)] == [Place.SPOOLED] * 48

    assert len(hung.calls) == calls
    assert ids(spool) == [str(number) for number in range(1, 50)]


def test_few_ask_a_hung_broker_while_the_spool_cannot_take_it_either(hung: HungServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    spool = Spool(tmp_path / "file" / "spool", max_mb=1)
    acceptor = Acceptor(Publisher(f"redis://127.0.0.1:{hung.port}/1"), spool, log=LOG)

    for number in range(40):
        with pytest.raises(NotAcceptedError):
            acceptor.accept([message(number)])

    assert 1 <= len(hung.calls) <= 10  # one a second: more than one only where this took so long


class BusyPublisher(Publisher):
    """While it publishes, somebody else's event comes in."""

    def __init__(self, broker_url: str, arrivals: list[Callable[[], None]]) -> None:
        super().__init__(broker_url, connections=1)
        self._arrivals = arrivals

    def publish(self, messages: Any) -> None:
        super().publish(messages)
        if self._arrivals:
            self._arrivals.pop(0)()


def test_under_a_steady_load_the_last_of_the_spool_is_not_chased_for_ever(
    server: RedisServer, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.accepting.GATE_SECONDS", PATIENCE_SECONDS)
    spool.append([message(1)])
    acceptor = Acceptor(Publisher(server.url(1)), spool, log=LOG)
    places: dict[int, Place] = {}

    def arrive(number: int, wait_seconds: float) -> None:
        thread = threading.Thread(target=lambda: places.update({number: acceptor.accept([message(number)])}))
        thread.start()
        thread.join(wait_seconds)

    arrivals = [lambda: arrive(2, PATIENCE_SECONDS), lambda: arrive(3, 0.2)]
    drain = Drain(spool, BusyPublisher(server.url(1), arrivals), acceptor=acceptor)
    drain.start()
    until(lambda: len(places) == 2, "both were taken")
    drain.stop()

    assert places == {2: Place.SPOOLED, 3: Place.QUEUED}
    assert queued_ids(server) == [1, 2, 3]


def test_the_spool_of_an_older_run_is_drained_at_the_start(
    server: RedisServer, make_client: MakeClient, spool: Spool
) -> None:
    for number in range(1, 251):
        spool.append([message(number)])

    make_client(server.url(1))

    until(spool.is_empty, "the spool is empty")
    assert queued_ids(server) == list(range(1, 251))


def test_of_two_processes_on_one_spool_one_drains(server: RedisServer, spool: Spool) -> None:
    spool.append([message(1)])
    drains = [_drain(spool, server.url(1)) for _ in range(2)]
    for drain in drains:
        drain.start()

    until(spool.is_empty, "the spool is empty")
    drains[0].stop()
    spool.append([message(2)])  # by nobody's request: as if another process had added it
    until(spool.is_empty, "the other one took over")

    drains[1].stop()
    assert [one.kwargs["event"]["record"]["id"] for one in take_all(server.url(1))] == ["1", "2"]


def _drain(spool: Spool, broker_url: str) -> Drain:
    publisher = Publisher(broker_url, connections=1)
    return Drain(spool, publisher, acceptor=Acceptor(publisher, spool, log=LOG))


def test_a_row_that_cannot_be_read_does_not_hold_up_the_others(
    server: RedisServer, spool: Spool, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(1, 4):
        spool.append([message(number)])
    with sqlite3.connect(spool.path) as other:
        other.execute("UPDATE spooled SET message = 'secret-name@example.com' WHERE id = 2")
    other.close()
    drain = _drain(spool, server.url(1))

    drain.start()
    until(spool.is_empty, "the spool is empty")
    drain.stop()

    assert queued_ids(server) == [1, 3]
    assert "spool_row_unreadable" in (log := capfd.readouterr().err)
    assert "secret-name" not in log


def test_a_broker_without_memory_is_spooled_for(server: RedisServer, make_client: MakeClient) -> None:
    client = make_client(server.url(1))
    with redis.Redis.from_url(server.url()) as admin:
        admin.config_set("maxmemory", "1")
        assert ring(client, 1).json["status"] == "spooled"
        admin.config_set("maxmemory", "0")

    until(lambda: ring(client, 2).json["status"] == "queued", "the spool is empty")
    assert queued_ids(server) == [1, 2]


def test_a_full_spool_without_a_broker_is_a_503_and_loses_nothing(
    server: RedisServer, make_client: MakeClient, spool: Spool
) -> None:
    client = make_client(server.url(1))
    server.kill()

    number = 0
    while (answer := ring(client, number + 1)).status_code == 202:
        number += 1

    assert (answer.status_code, answer.json["error"]) == (503, "queue_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert figures(client)["ingress_spool_events"] == number
    server.start()
    until(spool.is_empty, "the spool is empty")
    assert queued_ids(server) == list(range(1, number + 1))


def test_with_the_broker_well_a_full_spool_is_gone_round(server: RedisServer, spool: Spool) -> None:
    """Nobody sends it again, so out of order is better than not at all."""
    fill(spool)
    acceptor = Acceptor(Publisher(server.url(1)), spool, log=LOG)

    assert acceptor.accept([message(424242)]) is Place.QUEUED

    assert queued_ids(server) == [424242]


def test_a_spool_that_cannot_be_used_is_no_worse_than_none(
    server: RedisServer, make_client: MakeClient, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    client = make_client(server.url(1), ingress_spool=tmp_path / "file" / "spool")

    assert ring(client, 1).json["status"] == "queued"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")
    assert "folder cannot be used" in ready.json["troubles"][0]
    assert "ingress_spool_events" not in figures(client)

    server.kill()
    assert ring(client, 2).status_code == 503
    server.start()
    until(lambda: ring(client, 3).status_code == 202, "the broker is asked again")


def test_without_a_spool_the_broker_alone_decides() -> None:
    acceptor = Acceptor(nowhere(), None, log=LOG)

    with pytest.raises(NotAcceptedError):
        acceptor.accept([message(1)])
    with pytest.raises(NotAcceptedError):
        acceptor.check()
    assert acceptor.measure() is None


def test_readyz_and_metrics_tell_what_waits(server: RedisServer, make_client: MakeClient) -> None:
    client = make_client(server.url(1))
    assert client.get("/readyz").json["status"] == "ready"
    assert figures(client)["ingress_spool_max_bytes"] == 1024 * 1024
    server.kill()

    for number in range(1, 4):
        ring(client, number)

    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["status"], ready.json["spooled"]) == (200, "degraded", 3)
    assert ready.json["troubles"] == ["the broker does not answer", "3 events wait in the spool"]
    seen = figures(client)
    assert seen["ingress_spool_events"] == seen['ingress_spooled_total{source="bitrix24"}'] == 3
    assert seen["ingress_spool_bytes"] > 0
    assert seen["ingress_spool_oldest_seconds"] > 0
    assert seen['ingress_events_total{entity="deal",source="bitrix24"}'] == 3


def test_a_broker_without_memory_is_one_that_is_away(
    server: RedisServer, make_client: MakeClient, capfd: pytest.CaptureFixture[str]
) -> None:
    client = make_client(server.url(1))
    with redis.Redis.from_url(server.url()) as admin:
        admin.config_set("maxmemory", 1)

        assert ring(client, 1).json["status"] == "spooled"

        assert "broker: OutOfMemoryError" in capfd.readouterr().err
        admin.config_set("maxmemory", 0)
    until(lambda: client.get("/readyz").json["status"] == "ready", "it drains by itself")


def test_each_alarm_is_told_once(
    server: RedisServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], spool: Spool
) -> None:
    app = create_app(make_settings(server.url(1), ingress_spool=spool.folder, ingress_spool_max_mb=1))
    client = app.test_client()
    server.kill()
    while ring(client, 1).status_code == 202:
        pass
    ring(client, 1)
    server.start()
    until(spool.is_empty, "the spool is empty")
    until(lambda: ring(client, 2).json["status"] == "queued", "it goes straight again")
    until(lambda: client.get("/readyz").json["status"] == "ready", "all is well")
    until(lambda: not app.acceptor.alarms.is_on("spool_fails"), "the alarm is over")
    app.close()

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [line["event"] for line in lines if line["level"] == "error"]
    assert told == ["broker_away", "spool_fails"]
    assert {line["alarm"] for line in lines if line["event"] == "over"} == {"broker_away", "spool_fails"}
    [drained] = [line for line in lines if line["event"] == "spool_drained"][-1:]
    assert drained["messages"] > 100
