"""The whole exchange as its users run it: real Redis, ingress, workers and beat as processes, both systems over HTTP.

The sandbox's systems live in the test's own process, behind real sockets, so that a test can look at what they hold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
import requests

from sandbox.faults import FaultPlan
from sandbox.onec import Base, BaseSettings
from sandbox.portal import Portal, PortalSettings
from sync_worker.contract import all_queues
from sync_worker.store.client import connect
from sync_worker.store.sweeps import RedisSweeps
from tests.services import ROOT, START_SECONDS, IngressProcess, RedisServer, free_port

B24_SECRET = "kq3z7m1x9c5v8b2n"
APPLICATION_TOKEN = "token-that-the-tests-know-of"
ROBOT_TOKEN = "another-token-for-the-robots"
ONEC_PASSWORD = "пароль-для-тестов"
SIGNING_SECRET = "whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz"
SYNC_TOML = """\
[[pipelines]]
category = 0
send_at = ["EXECUTING"]
[pipelines.stages]
"КОбеспечению" = "EXECUTING"
"КОтгрузке" = "FINAL_INVOICE"
"Закрыт" = "WON"

[[pipelines]]
category = 1
send_at = ["EXECUTING"]
[pipelines.stages]
"КОтгрузке" = "FINAL_INVOICE"

[budget]
requests_per_second = {rate}
burst = {burst}
"""
PLAN_RULES = SYNC_TOML.partition("[budget]")[0]  # no limits of its own: the plan's


def wait_until(look: Callable[[], Any], *, seconds: float = 120, what: str = "") -> Any:
    """Look until there is something to see. AssertionError, with what was waited for, when the time is up."""
    give_up_at = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < give_up_at, f"not seen within {seconds} s: {what or look}"
        time.sleep(0.1)


def standard_portal(**more: Any) -> PortalSettings:
    """A strict portal of the standard plan, at some distance. `more` settings of it, for a test's own purpose."""
    given = {"secrets": {B24_SECRET: 1}, "latency_seconds": 0.02, "request_latency_seconds": 0.05} | more
    return PortalSettings(with_user_fields=True, application_token=APPLICATION_TOKEN, **given)


class CeleryProcess:
    """`celery -A sync_worker.app ...` with everything that it starts, as one group that can be killed whole."""

    def __init__(self, arguments: list[str], *, environment: dict[str, str], log_path: Path, ready: str) -> None:
        self._arguments = arguments
        self._environment = {**os.environ, **environment}
        self.log_path = log_path
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> CeleryProcess:
        seen = len(self.log())
        self.launch()
        wait_until(lambda: self._ready in self.log()[seen:], seconds=START_SECONDS, what=f"{self._arguments[0]} is up")
        return self

    def launch(self) -> None:
        """Without waiting: it may die before it is up."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "sync_worker.app", *self._arguments],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL for the whole group: no goodbye."""
        if self._process is not None:
            if self.is_running:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=10)
            self._process = None

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""


class Exchange:
    """Both systems and the exchange between them."""

    def __init__(
        self,
        folder: Path,
        *,
        rate: int = 500,
        portal: PortalSettings | None = None,
        rules: str = SYNC_TOML,
        broker_url: str = "",
    ) -> None:
        self.folder = folder
        self.broker_url = broker_url  # blank: the same Redis, another database
        self.redis = RedisServer(folder / "redis")
        self.portal = Portal(
            portal
            or PortalSettings(
                with_user_fields=True,
                rate_per_second=rate,
                burst=rate * 4,
                secrets={B24_SECRET: 1},
                application_token=APPLICATION_TOKEN,
            ),
            faults=FaultPlan(),
        )
        self.base = Base(BaseSettings(password=ONEC_PASSWORD, signing_secret=SIGNING_SECRET), faults=FaultPlan())
        (folder / "sync.toml").write_text(rules.format(rate=rate, burst=rate * 4), encoding="utf-8")
        self.http = requests.Session()
        self._held = ExitStack()

    def __enter__(self) -> Exchange:
        try:
            self._start()
        except BaseException:
            self._held.close()  # what is up already must not outlive a failed start
            raise
        return self

    def _start(self) -> None:
        self.redis.start()
        self._held.callback(self.redis.kill)
        self.last_sweep_was(datetime.now(UTC))  # or one comes amid what a test counts
        self.portal_url = self._held.enter_context(self.portal.serve()).url
        self._served_base = self._held.enter_context(self.base.serve())
        self.onec_url = self._served_base.url
        self.environment = self._environment()
        self.ingress = self._make_ingress().start()
        self._held.callback(self.ingress.stop)
        self.ingress_url = f"http://127.0.0.1:{self.ingress.port}"
        self._point_events_here()
        self.worker = self._celery("worker", ["-n", "worker@%h"], ready="ready.")
        self.beat = self._celery("beat", ["-s", str(self.folder / "beat-schedule"), "--pidfile="], ready="is starting")

    def last_sweep_was(self, at: datetime) -> None:
        with connect(self.redis.url(0)) as store:
            RedisSweeps(store).note([], {}, at=at)

    def __exit__(self, *_exc: object) -> None:
        self.http.close()
        self.portal.stop()  # an ingress that stops waits for connections that are kept
        self._held.close()

    def start_worker(self, name: str, *, queues: Collection[str] = ()) -> CeleryProcess:
        """One more worker beside the first, under a node name of its own; without `queues` it takes from all."""
        chosen = ["-Q", ",".join(queues)] if queues else []
        return self._celery("worker", ["-n", f"{name}@%h", *chosen], ready="ready.", log_name=name)

    def start_flower(self, auth: str) -> str:
        """Start Flower behind a login; return its address."""
        port = free_port()
        self.environment["FLOWER_BASIC_AUTH"] = auth
        self._celery("desk", ["--address=127.0.0.1", f"--port={port}"], ready="Registered tasks", log_name="flower")
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: self._is_up(f"{url}/healthcheck", auth), what="Flower answers")
        return url

    def _is_up(self, url: str, auth: str) -> bool:
        user, _, password = auth.partition(":")
        try:
            return self.http.get(url, auth=(user, password), timeout=2).ok
        except requests.ConnectionError:
            return False

    def _celery(self, name: str, arguments: list[str], *, ready: str, log_name: str = "") -> CeleryProcess:
        log_path = self.folder / f"{log_name or name}.log"
        process = CeleryProcess([name, *arguments], environment=self.environment, log_path=log_path, ready=ready)
        self._held.callback(process.kill)
        return process.start()

    def _make_ingress(self) -> IngressProcess:
        return IngressProcess(self.folder, self.environment)

    def _environment(self) -> dict[str, str]:
        return {
            "B24_WEBHOOK_URL": f"{self.portal_url}/rest/1/{B24_SECRET}/",
            "B24_APPLICATION_TOKENS": f"{APPLICATION_TOKEN},{ROBOT_TOKEN}",
            "ONEC_URL": f"{self.onec_url}/base",
            "ONEC_USER": "Обмен",
            "ONEC_PASSWORD": ONEC_PASSWORD,
            "ONEC_WEBHOOK_SECRETS": SIGNING_SECRET,
            "ONEC_MAX_SESSIONS": "4",
            "REDIS_URL": self.redis.url(0),
            "BROKER_URL": self.broker_url or self.redis.url(1),
            "SYNC_CONFIG": str(self.folder / "sync.toml"),
            "SYNC_VAR": str(self.folder),
        }

    def _point_events_here(self) -> None:
        handlers = {"urls": [f"{self.ingress_url}/webhooks/bitrix24"]}
        self.http.post(f"{self.portal_url}/_sandbox/handlers", json=handlers, timeout=5).raise_for_status()
        webhook = {"url": f"{self.ingress_url}/webhooks/1c"}
        self.http.post(f"{self.onec_url}/_sandbox/webhook", json=webhook, timeout=5).raise_for_status()

    def close_base(self) -> None:
        """1C is down: nobody listens at its address, and it sends nothing."""
        self._served_base.stop()

    def open_base(self) -> None:
        """It is back at its address."""
        port = int(self.onec_url.rpartition(":")[2])
        self._served_base = self._held.enter_context(self.base.serve(port))

    # --- what a person does and sees ---------------------------------------------------------------------------------

    def portal_form(self, path: str, **values: Any) -> int:
        return int(self._form(f"{self.portal_url}/ui/{path}", values)["id"])

    def onec_form(self, path: str, **values: Any) -> str:
        return str(self._form(f"{self.onec_url}/ui/{path}", values)["ref"])

    def _form(self, url: str, values: dict[str, Any]) -> dict[str, Any]:
        reply = self.http.post(url, data=values, headers={"Accept": "application/json"}, timeout=10)
        reply.raise_for_status()
        return dict(reply.json())

    def portal_state(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.portal_url}/_sandbox/state", timeout=30).json())

    def portal_journal(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.portal_url}/_sandbox/journal", timeout=30).json())

    def is_accepted(self, code: str, ids: list[int]) -> bool:
        """True once the ingress has answered 202 to this event of each record: the portal sends it only once."""
        taken = {
            int(fired.data["FIELDS"]["ID"])
            for fired in list(self.portal.events.log)
            if fired.event == code and any(delivery.get("status") == 202 for delivery in fired.deliveries)
        }
        return set(ids) <= taken

    def parties(self) -> list[dict[str, Any]]:
        return list(self.base.show_state()["counterparties"])

    def orders(self) -> list[dict[str, Any]]:
        return list(self.base.show_state()["orders"])

    # --- what an operator sees ---------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from sync_worker.cli import main; main()", *arguments],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def waiting(self) -> int:
        """Messages in the queues, and those that a worker holds."""
        with redis.Redis.from_url(self.redis.url(1)) as broker:
            queued = sum(int(broker.llen(f"sync:{queue}")) for queue in all_queues())
            return queued + int(broker.zcard("sync:unacked_index"))

    def is_quiet(self) -> bool:
        with redis.Redis.from_url(self.redis.url(0)) as store:
            parked = any(True for _ in store.scan_iter("sync:parked*"))
        return not parked and self.waiting() == 0


@contextmanager
def exchange(folder: Path, **options: Any) -> Iterator[Exchange]:
    folder.mkdir(parents=True, exist_ok=True)
    with Exchange(folder, **options) as place:
        yield place
