"""The spool under the real gunicorn: killed and hung brokers and servers, a full disk. What got a 202 arrives."""

from __future__ import annotations

import base64
import http.client
import json
import os
import resource
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

from tests.ingress.conftest import SECRETS, TOKENS, event_form, take_all
from tests.process.exchange import wait_until
from tests.rabbitmq import RabbitServer
from tests.services import IngressProcess, RedisServer

pytestmark = pytest.mark.process
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SENDERS = 6


class KillableIngress(IngressProcess):
    """As a machine's power cut ends it: master and worker at once."""

    def kill(self) -> None:
        pids = self.pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=10)
        wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids), what="all are gone")


class Sender(threading.Thread):
    """One caller of the webhook: one event after another, of a record of its own, until it is told to stop."""

    def __init__(self, server: IngressProcess, number: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._number = number
        self._stopping = threading.Event()
        self.answers: dict[str, str] = {}  # of those answered 202, in order: trace -> status
        self.refused = 0

    def run(self) -> None:
        connection = self._server.connect()
        while not self._stopping.is_set():
            try:
                connection.request("POST", "/webhooks/bitrix24", event_form("ONCRMDEALUPDATE", ID=self._number), FORM)
                answer = connection.getresponse()
                body = json.loads(answer.read())
            except (OSError, http.client.HTTPException):  # the server was killed under it
                connection.close()
                continue
            if answer.status == 202:
                self.answers[body["trace"]] = body["status"]
            else:
                self.refused += 1
                assert (answer.status, body["error"]) == (503, "queue_unavailable")
        connection.close()

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=30)
        assert not self.is_alive()

    def count(self, status: str) -> int:
        return list(self.answers.values()).count(status)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def make_ingress(tmp_path: Path) -> Iterator[Callable[[str], KillableIngress]]:
    made: list[KillableIngress] = []

    def make(broker_url: str, **more: str) -> KillableIngress:
        environment = {
            "BROKER_URL": broker_url,
            "REDIS_URL": "",
            "INGRESS_SPOOL": str(tmp_path / "spool"),
            "B24_APPLICATION_TOKENS": TOKENS[1],
            "ONEC_WEBHOOK_SECRETS": SECRETS[0],
            "SENTRY_DSN": "",
            **more,
        }
        made.append(KillableIngress(tmp_path, environment).start())
        return made[-1]

    yield make
    for ingress in made:
        if ingress._process is not None and ingress._process.poll() is None:
            ingress.stop()


@pytest.fixture
def start_senders() -> Iterator[Callable[[IngressProcess], list[Sender]]]:
    started: list[Sender] = []

    def start(server: IngressProcess) -> list[Sender]:
        started.extend(Sender(server, number) for number in range(1, SENDERS + 1))
        for sender in started:
            sender.start()
        return started

    yield start
    for sender in started:
        sender.stop()


def queued(broker: RedisServer) -> dict[int, list[str]]:
    """The traces in the queue, by record and in order; what was sent twice counts at its first place."""
    with redis.Redis.from_url(broker.url(1)) as store:
        items = store.lrange("sync:deal", 0, -1)
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for item in reversed(items):
        _args, kwargs, _embed = json.loads(base64.b64decode(json.loads(item)["body"]))
        found[int(kwargs["event"]["record"]["id"])][kwargs["event"]["trace"]] = None
    return {number: list(traces) for number, traces in found.items()}


def spooled(server: IngressProcess) -> int:
    connection = server.connect()
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("ingress_spool_events "))


def all_are_queued_in_order(broker: RedisServer, senders: list[Sender]) -> None:
    """Each 202 is in the queue, in the order of its record's answers. Others may be too: sent, and the answer lost."""
    found = queued(broker)
    for number, sender in enumerate(senders, start=1):
        wanted = list(sender.answers)
        assert [trace for trace in found[number] if trace in sender.answers] == wanted


def total(senders: list[Sender], status: str) -> int:
    return sum(sender.count(status) for sender in senders)


def grows(senders: list[Sender], status: str, by: int) -> None:
    least = total(senders, status) + by
    wait_until(lambda: total(senders, status) >= least, what=f"{by} more events are {status}")


@contextmanager
def killed(broker: RedisServer) -> Iterator[None]:
    broker.kill()
    yield
    broker.start()


@contextmanager
def hung(broker: RedisServer) -> Iterator[None]:
    assert broker._process is not None
    os.kill(broker._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker._process.pid, signal.SIGCONT)


@pytest.mark.parametrize("away", [killed, hung])
def test_a_broker_that_goes_away_and_comes_back_under_load(
    broker: RedisServer,
    make_ingress: Callable[..., KillableIngress],
    start_senders: Callable[[IngressProcess], list[Sender]],
    away: Callable[[RedisServer], AbstractContextManager[None]],
) -> None:
    senders = start_senders(ingress := make_ingress(broker.url(1)))
    for _ in range(3):
        grows(senders, "queued", 200)
        with away(broker):
            grows(senders, "spooled", 200)
    grows(senders, "queued", 200)
    for sender in senders:
        sender.stop()

    wait_until(lambda: spooled(ingress) == 0, what="the spool is empty")
    all_are_queued_in_order(broker, senders)
    assert sum(sender.refused for sender in senders) == 0


def test_a_server_killed_while_it_spools_loses_nothing(
    broker: RedisServer,
    make_ingress: Callable[..., KillableIngress],
    start_senders: Callable[[IngressProcess], list[Sender]],
) -> None:
    """Again and again, in the middle of inserts; the broker is back only at the end."""
    senders = start_senders(ingress := make_ingress(broker.url(1)))
    broker.kill()
    for _ in range(5):
        grows(senders, "spooled", 150)
        ingress.kill()
        ingress.start()
    grows(senders, "spooled", 150)
    ingress.kill()
    for sender in senders:
        sender.stop()

    broker.start()
    ingress.start()

    wait_until(lambda: spooled(ingress) == 0, what="the spool of the older run is empty")
    all_are_queued_in_order(broker, senders)
    assert sum(len(traces) for traces in queued(broker).values()) >= 900


def test_a_server_killed_while_it_drains_loses_nothing(
    broker: RedisServer,
    make_ingress: Callable[..., KillableIngress],
    start_senders: Callable[[IngressProcess], list[Sender]],
) -> None:
    senders = start_senders(ingress := make_ingress(broker.url(1)))
    broker.kill()
    grows(senders, "spooled", 2000)
    for sender in senders:
        sender.stop()
    ingress.kill()
    broker.start()

    ingress.start()
    wait_until(lambda: queued(broker), what="it drains")
    ingress.kill()
    ingress.start()

    wait_until(lambda: spooled(ingress) == 0, what="the spool is empty")
    all_are_queued_in_order(broker, senders)


def test_a_full_disk_is_a_clear_503_and_loses_nothing(
    broker: RedisServer,
    make_ingress: Callable[..., KillableIngress],
    start_senders: Callable[[IngressProcess], list[Sender]],
) -> None:
    """The kernel refuses to let any file of the server grow, as a full disk does."""
    senders = start_senders(ingress := make_ingress(broker.url(1), LOG_LEVEL="ERROR"))
    broker.kill()
    grows(senders, "spooled", 100)
    limit = Path(ingress.log_path).stat().st_size + 256 * 1024
    for pid in ingress.pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))

    wait_until(lambda: all(sender.refused > 10 for sender in senders), what="the disk is full")
    assert spooled(ingress) > 0
    broker.start()
    grows(senders, "queued", 200)  # with the broker well, a full disk stops nothing
    for sender in senders:
        sender.stop()

    wait_until(lambda: _all_are_queued(broker, senders), what="all that was answered 202 is in the queue")
    assert '"spool_fails"' in ingress.log()


def _all_are_queued(broker: RedisServer, senders: list[Sender]) -> bool:
    found = queued(broker)
    return all(sender.answers.keys() <= set(found.get(number, ())) for number, sender in enumerate(senders, start=1))


def test_a_rabbitmq_that_hangs_gets_it_later(
    rabbit: RabbitServer,
    make_ingress: Callable[..., KillableIngress],
    start_senders: Callable[[IngressProcess], list[Sender]],
) -> None:
    senders = start_senders(ingress := make_ingress(rabbit.url))
    grows(senders, "queued", 50)
    with rabbit.hanging():
        grows(senders, "spooled", 100)
        for sender in senders:
            sender.stop()

    wait_until(lambda: spooled(ingress) == 0, what="the spool is empty")
    found = [one.kwargs["event"]["trace"] for one in take_all(rabbit.url, ["deal"])]
    assert {trace for sender in senders for trace in sender.answers} <= set(found)
    for sender in senders:
        assert [trace for trace in dict.fromkeys(found) if trace in sender.answers] == list(sender.answers)
