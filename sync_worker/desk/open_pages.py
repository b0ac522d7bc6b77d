"""Flower's pages for machines, which Flower leaves open to strangers: here they want the login, unless opened."""

from __future__ import annotations

from flower.views import monitor
from tornado import web


class _Closed:
    """Open where FLOWER_OPEN_PAGES names the page, or where Flower has no login at all."""

    page = ""

    def prepare(self) -> None:
        opened = self.settings["desk"].open_pages  # type: ignore[attr-defined]
        if self.page not in opened and not self.current_user:  # type: ignore[attr-defined]
            raise web.HTTPError(401)  # not to the login page: who asks here is a machine


class Metrics(_Closed, monitor.Metrics):  # type: ignore[misc]  # Flower has no types
    page = "metrics"


class Healthcheck(_Closed, monitor.Healthcheck):  # type: ignore[misc]
    page = "healthcheck"
