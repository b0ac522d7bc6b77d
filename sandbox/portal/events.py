"""Outgoing webhooks: form-encoded calls from a queue, each sent once and never again, whatever the answer.

What a local application hears of lies in its offline queue (offline.py) until it asks.

Source: api-reference/events/index.md and safe-event-handlers.md, read 2026-08.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

from sandbox.faults import FaultPlan
from sandbox.portal.clock import PortalClock
from sandbox.portal.offline import OfflineQueue
from sandbox.portal.settings import PortalSettings

HANDLER_TIMEOUT_SECONDS = 5.0  # third parties' figure; the documentation gives none
_THREADS = 4
_LOG_LIMIT = 50_000


@dataclass(kw_only=True, slots=True)
class Fired:
    """One change that the portal announces, and how each delivery of it ended."""

    number: int
    event: str
    data: Mapping[str, Any]
    at: float  # Unix time of the change
    urls: tuple[str, ...]
    deliveries: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "event": self.event,
            "data": self.data,
            "at": self.at,
            "urls": list(self.urls),
            "deliveries": list(self.deliveries),
        }


@dataclass(order=True, slots=True)
class _Due:
    at: float  # portal time
    number: int
    fired: Fired = field(compare=False)
    url: str = field(compare=False)
    handler_id: int = field(compare=False)
    repeated: bool = field(compare=False, default=False)


def flatten(name: str, value: Any) -> Iterable[tuple[str, str]]:
    """Write nested values in PHP's bracket notation."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(f"{name}[{key}]", inner)
    else:
        yield name, str(value)


class Events:
    """The portal's event queue. Nothing is sent before `start`; what happens before waits."""

    def __init__(self, settings: PortalSettings, faults: FaultPlan, clock: PortalClock) -> None:
        self._settings = settings
        self._faults = faults
        self._clock = clock
        self.handler_urls: tuple[str, ...] = settings.handler_urls
        self.portal_url = "http://127.0.0.1"
        self.log: list[Fired] = []
        self.offline = OfflineQueue(clock)  # of the local application
        self._numbers = itertools.count(1)
        self._dues: list[_Due] = []
        self._changed = threading.Condition()
        self._busy = 0
        self._running = False
        self._threads: list[threading.Thread] = []

    def fire(self, event: str, data: Mapping[str, Any], *, to_webhooks: bool = True) -> None:
        """Announce a change to every outgoing webhook there is now; some events only applications may hear."""
        urls = self.handler_urls if to_webhooks else ()
        self.offline.note(event, data)
        fired = Fired(number=next(self._numbers), event=event, data=data, at=self._clock.real(), urls=urls)
        with self._changed:
            self.log.append(fired)
            del self.log[:-_LOG_LIMIT]
            for index, url in enumerate(urls):
                self._schedule(fired, url, handler_id=index * 2 + 1)
            self._changed.notify_all()

    def _schedule(self, fired: Fired, url: str, *, handler_id: int) -> None:
        at = self._clock.scaled() + self._settings.event_delay_seconds
        if self._faults.draw("event_loss", fired.event):
            fired.deliveries.append({"url": url, "lost": True})
            return
        shuffled = self._faults.draw("event_shuffle", fired.event)
        if shuffled:
            at += shuffled.seconds
        heapq.heappush(self._dues, _Due(at=at, number=fired.number, fired=fired, url=url, handler_id=handler_id))
        if self._faults.draw("event_repeat", fired.event):
            again = _Due(at=at, number=fired.number, fired=fired, url=url, handler_id=handler_id, repeated=True)
            heapq.heappush(self._dues, again)

    def start(self) -> None:
        if self._running:
            return
        self._running = True
        self._threads = [threading.Thread(target=self._deliver_forever, daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._changed:
            self._running = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=HANDLER_TIMEOUT_SECONDS + 1)
        self._threads = []

    def wait_idle(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until nothing is queued or under way; False if that did not happen in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._dues and not self._busy, timeout=timeout_seconds)

    def clear(self) -> None:
        with self._changed:
            self._dues.clear()
            self.log.clear()
            self.offline.empty()
            self._changed.notify_all()

    def _deliver_forever(self) -> None:
        with requests.Session() as session:
            while (due := self._take()) is not None:
                outcome = self._deliver(session, due)
                with self._changed:
                    due.fired.deliveries.append(outcome)
                    self._busy -= 1
                    self._changed.notify_all()

    def _take(self) -> _Due | None:
        """Wait for the next delivery that is due; None when the portal stops."""
        with self._changed:
            while self._running:
                now = self._clock.scaled()
                if self._dues and self._dues[0].at <= now:
                    self._busy += 1
                    return heapq.heappop(self._dues)
                wait = (self._dues[0].at - now) / self._settings.time_scale if self._dues else None
                self._changed.wait(timeout=wait)
        return None

    def _deliver(self, session: requests.Session, due: _Due) -> dict[str, Any]:
        sent_at = self._clock.real()
        outcome: dict[str, Any] = {"url": due.url, "at": sent_at, "repeated": due.repeated}
        try:
            answer = session.post(
                due.url,
                data=self.body(due.fired, handler_id=due.handler_id, sent_at=sent_at),
                headers={"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Bitrix24 Webhook Engine"},
                timeout=HANDLER_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return outcome | {"error": type(error).__name__}
        return outcome | {"status": answer.status_code}

    def body(self, fired: Fired, *, handler_id: int, sent_at: float) -> str:
        """Write the call as an outgoing webhook does: `ts` is when it was sent, and no token but the application's."""
        pairs = [("event", fired.event), ("event_handler_id", str(handler_id))]
        pairs += flatten("data", fired.data)
        pairs.append(("ts", str(int(sent_at))))
        pairs += flatten("auth", self.auth() | {"application_token": self._settings.application_token})
        return urlencode(pairs)

    def auth(self) -> dict[str, str]:
        """The block that says which portal calls."""
        return {
            "domain": self.portal_url.split("://", 1)[-1],
            "client_endpoint": f"{self.portal_url}/rest/",
            "server_endpoint": "https://oauth.bitrix.info/rest/",
            "member_id": self._settings.member_id,
        }
