"""One 1C base in a box: its parts put together, and the server that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from sandbox.faults import FaultPlan
from sandbox.onec.bookkeeper import Bookkeeper
from sandbox.onec.control import make_control
from sandbox.onec.events import Announcer
from sandbox.onec.gate import Gate
from sandbox.onec.journal import Journal
from sandbox.onec.outbox import Outbox
from sandbox.onec.pages import make_pages
from sandbox.onec.records import TYPES
from sandbox.onec.service import Service
from sandbox.onec.sessions import Sessions
from sandbox.onec.settings import BaseSettings
from sandbox.onec.store import Store
from sandbox.onec.upserts import Upserts
from sandbox.serving import Server


class Base:
    """An in-memory base. `app` is the WSGI application; `serve` puts it on a port and sends its events."""

    def __init__(
        self,
        settings: BaseSettings | None = None,
        *,
        faults: FaultPlan | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings if settings is not None else BaseSettings()
        self.faults = faults if faults is not None else FaultPlan()
        self.store = Store(clock=clock, utc_offset_hours=self.settings.utc_offset_hours)
        self.journal = Journal()
        self.sessions = Sessions(
            limit=self.settings.max_sessions, idle_seconds=self.settings.session_idle_seconds, clock=clock
        )
        self.outbox = Outbox(
            url=self.settings.webhook_url,
            secret=self.settings.signing_secret,
            delay_seconds=self.settings.event_delay_seconds,
            retry_seconds=self.settings.retry_seconds,
            faults=self.faults,
            clock=clock,
        )
        capabilities = self.settings.capabilities
        self._announcer = Announcer(self.store, capabilities=capabilities, send=self.outbox.put)
        self.bookkeeper = Bookkeeper(self.store, self._announcer, capabilities=capabilities)
        self.app = self._make_app(clock, sleep)

    def serve(self, port: int = 0, *, host: str = "127.0.0.1") -> ServedBase:
        """A server on this port, for `with`; 0 takes a free one."""
        return ServedBase(self, port=port, host=host)

    def show_state(self) -> dict[str, list[dict[str, Any]]]:
        """Everything in the base as the contract's records, marked objects too; orders say if they are locked."""
        with self.store.lock:
            return {
                type: [
                    {**self.store.show(stored), **({"locked": stored.fields["locked"]} if type == "orders" else {})}
                    for stored in self.store.all(type)
                ]
                for type in TYPES
            }

    def show_counters(self) -> dict[str, int]:
        return {
            **self.journal.counters,
            "max_concurrent_sessions": self.sessions.peak,
            "sessions_started": self.sessions.started,
            "licence_refusals": self.sessions.refused,
        }

    def reset(self) -> None:
        """An empty base with an empty journal. The faults and the webhook's address stay."""
        with self.store.lock:
            self.store.clear()
            self.outbox.clear()
            self.sessions.clear()
            self.journal.clear()

    def _make_app(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> Flask:
        upserts = Upserts(self.store, has_statuses="statuses" in self.settings.capabilities)
        gate = Gate(
            self.settings,
            service=Service(self.settings, self.store, upserts, self._announcer),
            sessions=self.sessions,
            journal=self.journal,
            faults=self.faults,
            clock=clock,
            sleep=sleep,
        )
        app = Flask("sandbox.onec")
        app.register_blueprint(make_pages(self))
        app.register_blueprint(make_control(self))
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

        @app.route("/<path:_anything>", methods=methods, provide_automatic_options=False)
        def answer_platform(_anything: str) -> Response:
            return gate.answer(request)

        return app


class ServedBase:
    """A base on a port: `url` is its root, `onec_url` the address an exchange is given."""

    def __init__(self, base: Base, *, port: int, host: str) -> None:
        self.base = base
        self._server = Server(base.app, host=host, port=port)
        self.url = self._server.url
        self.onec_url = f"{self.url}/{base.settings.publication}"

    def start(self) -> ServedBase:
        self._server.start()
        self.base.outbox.start()
        return self

    def stop(self) -> None:
        self.base.outbox.stop()
        self._server.stop()

    def __enter__(self) -> ServedBase:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()
