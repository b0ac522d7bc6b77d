"""A client of the sandbox portal, and the receiver of its events: real HTTP both ways."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import requests
from flask import Flask, request

from sandbox.faults import FaultPlan, parse_faults
from sandbox.portal import Portal, PortalSettings, ServedPortal
from sandbox.serving import Server

EXCHANGE, MANAGER = "sandbox-secret-of-the-exchange", "sandbox-secret-of-a-manager"
SAMPLES = Path(__file__).parents[1] / "samples/bitrix24"
UNLIMITED = {"rate_per_second": 1e6, "burst": 1e9}


def sample(name: str) -> Any:
    """Read a documented sample: JSON, or the pairs of a form."""
    written = (SAMPLES / name).read_text(encoding="utf-8")
    return parse_qsl(written.strip()) if name.endswith(".form.txt") else json.loads(written)


class FakeClock:
    """Time that passes only when told to."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += seconds


class Peer:
    """Calls one portal as the exchange's webhook."""

    def __init__(self, served: ServedPortal) -> None:
        self.portal = served.portal
        self.url = served.url
        self.base = served.webhook_url(EXCHANGE)
        self.session = requests.Session()

    def of_manager(self, method: str, /, **params: Any) -> requests.Response:
        """Call by the manager's webhook, which is no administrator's."""
        return self.session.post(f"{self.url}/rest/2/{MANAGER}/{method}", json=params, timeout=20)

    def post(self, method: str, /, **params: Any) -> requests.Response:
        return self.session.post(self.base + method, json=params, timeout=20)

    def body(self, method: str, /, **params: Any) -> dict[str, Any]:
        """The whole envelope of a call that succeeds."""
        answer = self.post(method, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, method: str, /, **params: Any) -> Any:
        return self.body(method, **params)["result"]

    def refused(self, method: str, /, **params: Any) -> tuple[int, Any, str]:
        """Status, code and description of a call that fails."""
        answer = self.post(method, **params)
        told = answer.json()
        assert set(told) == {"error", "error_description"}
        return answer.status_code, told["error"], told["error_description"]

    def batch(self, *, halt: int = 0, **commands: str) -> dict[str, Any]:
        return self.call("batch", halt=halt, cmd=commands)

    def item(self, type_id: int, **fields: Any) -> dict[str, Any]:
        return self.call("crm.item.add", entityTypeId=type_id, fields=fields)["item"]

    def form(self, path: str, form: Any, *, accept: str = "application/json") -> requests.Response:
        """Fill in a form of the portal's pages."""
        headers = {"Accept": accept}
        return self.session.post(self.url + path, data=form, headers=headers, timeout=20, allow_redirects=False)

    def sandbox(self, path: str, body: Any = None) -> Any:
        url = f"{self.url}/_sandbox/{path}"
        answer = self.session.get(url, timeout=20) if body is None else self.session.post(url, json=body, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fired(self) -> list[str]:
        return [event.event for event in self.portal.events.log]


@contextmanager
def running(*, faults: str = "", clock: Callable[[], float] | None = None, **settings: Any) -> Iterator[Peer]:
    """Serve a portal; without limits unless the test sets some."""
    plan = FaultPlan(faults=parse_faults(faults))
    given = {} if {"rate_per_second", "burst", "plan"} & set(settings) else UNLIMITED
    options = {"clock": clock} if clock else {}
    with Portal(PortalSettings(**{**given, **settings}), faults=plan, **options).serve() as served:
        peer = Peer(served)
        yield peer
        peer.session.close()


def wait_until(holds: Callable[[], bool], *, timeout_seconds: float = 20) -> None:
    """Look until something holds; fail if it does not in time."""
    give_up_at = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


class Receiver:
    """An outgoing webhook's handler: keeps what it was sent, answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[dict[str, str]] = []
        self.raw: list[list[tuple[str, str]]] = []
        self._arrived = threading.Condition()
        app = Flask("receiver")
        app.add_url_rule("/hook", "hook", self._take, methods=["POST"])
        self.server = Server(app)

    @property
    def url(self) -> str:
        return f"{self.server.url}/hook"

    def _take(self) -> tuple[str, int]:
        assert request.mimetype == "application/x-www-form-urlencoded"
        with self._arrived:
            self.raw.append(list(request.form.items(multi=True)))
            self.bodies.append(request.form.to_dict())
            self._arrived.notify_all()
        return "", self.status

    def wait_for(self, count: int) -> list[dict[str, str]]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.bodies) >= count, timeout=20), self.bodies
        return self.bodies

    def events(self) -> list[str]:
        return [body["event"] for body in self.bodies]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.server:
        yield receiver
