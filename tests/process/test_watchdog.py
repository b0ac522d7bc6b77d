"""`up` replaces a worker that hangs, and leaves alone one that has nothing to do or has to wait."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_worker.contract import Lane, lane_queues
from tests.process.exchange import Exchange, wait_until
from tests.process.test_circuit import add_contacts, strike
from tests.process.test_survival import agree_on_all
from tests.services import ROOT, free_port

pytestmark = pytest.mark.process

HUNG_SECONDS = 6
STANDSTILL_SECONDS = 5 * HUNG_SECONDS  # cli/stillness.py


class UpExchange(Exchange):
    """The same two systems, and the exchange as `sync-worker up` runs it."""

    def _start(self) -> None:
        self.redis.start()
        self._held.callback(self.redis.kill)
        self.portal_url = self._held.enter_context(self.portal.serve()).url
        self.onec_url = self._held.enter_context(self.base.serve()).url
        binds = {name: f"127.0.0.1:{free_port()}" for name in ("INGRESS_BIND", "FLOWER_BIND")}
        self.environment = {**self._environment(), **binds}
        self.ingress_url = f"http://{binds['INGRESS_BIND']}"
        with (self.folder / "up.log").open("wb") as log:
            self.up = subprocess.Popen(
                [sys.executable, "-m", "sync_worker.cli", "up", "--hung-after", str(HUNG_SECONDS)],
                env={**os.environ, **self.environment}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        self._held.callback(self._stop)
        wait_until(lambda: "Ctrl-C stops" in self.told(), seconds=90, what="everything is up")
        self._point_events_here()

    def _stop(self) -> None:
        self.up.terminate()
        self.up.wait(timeout=60)

    def told(self) -> str:
        """What `up` said."""
        return (self.folder / "up.log").read_text(encoding="utf-8")

    def processes(self) -> dict[str, list[int]]:
        """The ids of all processes that the supervisor has started, by program, the first one first."""
        text = (self.folder / "log" / "supervisord.log").read_text(encoding="utf-8")
        found: dict[str, list[int]] = {}
        for program, pid in re.findall(r"spawned: '(\w+)' with pid (\d+)", text):
            found.setdefault(program, []).append(int(pid))
        return found

    def replaced(self) -> list[str]:
        """What the watchdog said of each worker that it replaced."""
        text = (self.folder / "log" / "watchdog.log").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line["event"] for line in lines if line["level"] == "error"]

    def ready(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.ingress_url}/readyz", timeout=5).json())


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpExchange]:
    """One exchange for all troubles; each leaves it working, with a few contacts more."""
    with UpExchange(tmp_path_factory.mktemp("up")) as place:
        assert isinstance(place, UpExchange)
        first = add_contacts(place, "Первый", 1)
        wait_until(lambda: agree_on_all(place, first), what="the exchange works")
        yield place
    assert place.up.returncode == 0


@pytest.fixture
def place(shared_place: UpExchange) -> UpExchange:
    wait_until(lambda: not any(shared_place.ready()["oldest_seconds"].values()), what="nothing is left to do")
    return shared_place


def command_of_celery(place: UpExchange, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "celery", "-A", "sync_worker.app", "control", *arguments],
        env={**os.environ, **place.environment}, cwd=ROOT, timeout=60, check=True, capture_output=True,
    )  # fmt: skip


def circuit(place: UpExchange) -> dict[str, Any] | None:
    found = json.loads(place.command("budget", "--json").stdout)["circuit"]
    return dict(found) if found else None


def assert_each_once(place: UpExchange) -> None:
    names = Counter(party["name"] for party in place.parties())
    assert max(names.values()) == 1
    assert len(names) == len(place.portal_state()["contacts"])


def test_up_tells_how_the_exchange_stands(place: UpExchange) -> None:
    line = r"^\d\d:\d\d:\d\d  queued \d+.*  parked \d+  oldest .*  letters \d+$"

    assert wait_until(lambda: re.search(line, place.told(), re.MULTILINE))


def test_a_worker_that_hangs_is_replaced_and_events_go_on(place: UpExchange) -> None:
    before = place.processes()
    hung = before["worker1"][-1]

    os.kill(hung, signal.SIGSTOP)
    ids = add_contacts(place, "Завис", 10)
    wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="events are accepted as ever")
    wait_until(lambda: place.ready()["oldest_seconds"]["contact"] >= 2, what="the age of the oldest grows")

    wait_until(lambda: agree_on_all(place, ids), seconds=120, what="another worker does the work")
    wait_until(lambda: place.ready()["oldest_seconds"]["contact"] == 0, what="nothing is left")
    after = place.processes()
    assert_each_once(place)
    assert not Path(f"/proc/{hung}").exists()
    assert place.replaced()[-1].startswith("worker worker1 replaced: it answers nothing for ")
    assert len(after.pop("worker1")) == len(before.pop("worker1")) + 1
    assert after == before, "nobody else was touched"


def test_a_worker_that_answers_and_takes_nothing_is_replaced(place: UpExchange) -> None:
    """As after a lost subscription: the loop runs, and no queue is listened to."""
    before = place.processes()
    for queue in lane_queues(Lane.LIVE):
        command_of_celery(place, "-d", f"worker1@{socket.gethostname()}", "cancel_consumer", queue)
    ids = add_contacts(place, "Не берёт", 5)
    wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="events are accepted as ever")

    wait_until(lambda: agree_on_all(place, ids), seconds=STANDSTILL_SECONDS + 60, what="another worker does the work")
    after = place.processes()
    assert_each_once(place)
    assert "events of the live lane wait, none is taken" in place.replaced()[-1]
    assert len(after.pop("worker1")) == len(before.pop("worker1")) + 1
    assert after == before, "nobody else was touched"


def test_a_redis_that_restarts_is_no_fault_of_the_workers(place: UpExchange) -> None:
    before, replaced = place.processes(), place.replaced()
    place.redis.kill()
    wait_until(lambda: place.ready().get("status") != "ready", what="the ingress noticed")
    place.redis.start()
    back_at = time.monotonic()
    wait_until(lambda: place.ready().get("status") == "ready", what="and is ready again")

    ids = add_contacts(place, "После перезапуска", 3)

    wait_until(lambda: agree_on_all(place, ids), seconds=120, what="the same workers go on")
    wait_until(lambda: time.monotonic() > back_at + 3 * HUNG_SECONDS, what="longer than a silence may last")
    assert place.replaced() == replaced
    assert place.processes() == before


def test_workers_that_wait_for_a_closed_portal_or_have_nothing_to_do_are_left_alone(place: UpExchange) -> None:
    """The last one here: the portal stays closed."""
    before, replaced = place.processes(), place.replaced()
    strike(place, "reset_before")
    ids = add_contacts(place, "Ждёт", 12)
    wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="events are accepted as ever")
    wait_until(lambda: circuit(place), what="the circuit is open")

    wait_until(
        lambda: place.ready()["oldest_seconds"]["contact"] > STANDSTILL_SECONDS + HUNG_SECONDS,
        what="it lasts longer than a worker that hangs would live",
    )

    assert circuit(place) is not None
    assert not agree_on_all(place, ids)
    assert place.replaced() == replaced
    assert place.processes() == before
