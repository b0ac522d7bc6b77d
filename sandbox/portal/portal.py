"""The composition root of the portal: everything is built here, and served."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from sandbox.faults import FaultPlan
from sandbox.pages import add_pages
from sandbox.portal import control, pages
from sandbox.portal.bucket import LeakyBucket
from sandbox.portal.clock import PortalClock
from sandbox.portal.errors import method_not_found
from sandbox.portal.events import Events
from sandbox.portal.journal import Journal
from sandbox.portal.methods import all_methods
from sandbox.portal.oauth import OAuthServer
from sandbox.portal.operating import OperatingBudget
from sandbox.portal.rest import Rest
from sandbox.portal.settings import PortalSettings
from sandbox.portal.store import Store
from sandbox.portal.troubles import Troubles
from sandbox.portal.world import World
from sandbox.serving import Server


class Portal:
    """One tenant. `app` is its WSGI application; `start_events` and `stop` are for who serves it himself."""

    def __init__(
        self,
        settings: PortalSettings | None = None,
        *,
        faults: FaultPlan | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings if settings is not None else PortalSettings()
        self.faults = faults if faults is not None else FaultPlan(seed=self.settings.seed)
        self.clock = PortalClock(clock, scale=self.settings.time_scale)
        self.events = Events(self.settings, self.faults, self.clock)
        self.oauth = OAuthServer(self.settings, self.clock)
        self.world = World(settings=self.settings, clock=self.clock, events=self.events)
        self.journal_log = Journal()
        self.methods = all_methods()
        self.rest = self._new_rest()
        self.app = self._application()

    @property
    def store(self) -> Store:
        """The records. Hold `portal.world.lock` to read several that belong together."""
        return self.world.store

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The calls so far, oldest first."""
        return self.journal_log.calls

    @property
    def url(self) -> str:
        return self.events.portal_url

    def start_events(self) -> None:
        """Start delivering events, those of before included."""
        self.events.start()

    def stop(self) -> None:
        """Stop delivering events; what is queued stays queued."""
        self.events.stop()

    def reset(self) -> None:
        """Make the portal fresh: records, limits, journal, events. Handlers and faults stay."""
        self.world.reset()
        self.journal_log.clear()
        self.events.clear()
        self.rest = self._new_rest()

    def serve(self, port: int = 0, *, host: str = "127.0.0.1") -> ServedPortal:
        """Make a server of this portal; `with` or `start` starts it and the delivery of events."""
        return ServedPortal(self, host=host, port=port)

    def called(self, url: str) -> None:
        """Learn under which address the portal is reached: its events carry it."""
        self.events.portal_url = url

    def _new_rest(self) -> Rest:
        settings = self.settings
        return Rest(
            world=self.world,
            methods=self.methods,
            oauth=self.oauth,
            bucket=LeakyBucket(
                leak_per_second=settings.leak_per_second, threshold=settings.threshold, seconds=self.clock.scaled
            ),
            operating=OperatingBudget(limit_seconds=settings.operating_limit_seconds, clock=self.clock),
            troubles=Troubles(faults=self.faults, clock=self.clock),
            journal=self.journal_log,
        )

    def _application(self) -> Flask:
        app = Flask("sandbox.portal", static_folder=None)
        add_pages(app, "sandbox.portal")

        @app.route("/rest/<int:user_id>/<secret>/<path:name>", methods=["GET", "POST"])
        def call(user_id: int, secret: str, name: str) -> Response:
            return self.rest.answer(request, user_id, secret, name)

        @app.route("/rest/<path:name>", methods=["GET", "POST"])
        def call_of_application(name: str) -> Response | tuple[dict[str, Any], int]:
            if name.startswith("api/"):
                return method_not_found().body(), 404  # REST v3 has nothing of the CRM
            return self.rest.answer(request, None, "", name)

        @app.route("/oauth/token/", methods=["GET", "POST"])
        def renew_tokens() -> tuple[dict[str, Any], int]:
            status, body = self.oauth.answer({**request.args, **request.form}, portal_url=self.url)
            return body, status

        app.register_blueprint(control.blueprint(self))
        app.register_blueprint(pages.blueprint(self))
        return app


class ServedPortal:
    """A portal behind a port of its own."""

    def __init__(self, portal: Portal, *, host: str, port: int) -> None:
        self.portal = portal
        self._server = Server(portal.app, host=host, port=port)
        self.url = self._server.url
        portal.called(self.url)

    def webhook_url(self, secret: str = "sandbox-secret-of-the-exchange") -> str:  # noqa: S107 (a sandbox's, by name)
        """Give the base of the REST for one webhook."""
        return f"{self.url}/rest/{self.portal.settings.secrets[secret]}/{secret}/"

    def start(self) -> ServedPortal:
        self._server.start()
        self.portal.start_events()
        return self

    def stop(self) -> None:
        self._server.stop()
        self.portal.stop()

    def __enter__(self) -> ServedPortal:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()
