"""A served sandbox base and clients of it that share slots and sessions in Redis, as workers do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from sandbox.faults import FaultPlan
from sandbox.onec import Base, BaseSettings
from sync_worker.domain.identity import Lane
from sync_worker.gateways.fence import Fence, under_no_lease
from sync_worker.gateways.onec.client import OnecClient, Timeouts, live_lane, no_trace
from sync_worker.store.sessions import RedisSessions
from sync_worker.store.slots import Slots

TIMEOUTS = Timeouts(connect_seconds=5, read_seconds=20, slot_seconds=30)
USER, PASSWORD = "Обмен", "sandbox-password"
PARTIES = "/counterparties"


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A base on a port."""

    base: Base
    url: str

    @property
    def counters(self) -> dict[str, int]:
        return self.base.show_counters()

    def posts(self) -> list[int]:
        """How many items each POST brought, refused ones as 0."""
        return [call.items for call in self.base.journal.calls if call.method == "POST"]

    def names(self) -> list[str]:
        return sorted(record["name"] for record in self.base.show_state()["counterparties"])


@contextmanager
def serving(*, port: int = 0, clock: Callable[[], float] = time.time, **settings: Any) -> Iterator[Served]:
    base = Base(BaseSettings(**settings), faults=FaultPlan(), clock=clock)
    with base.serve(port) as served:
        yield Served(base=base, url=served.onec_url)


def open_client(
    url: str,
    store: redis.Redis,
    *,
    limit: int,
    lease_seconds: float = 5,
    timeouts: Timeouts = TIMEOUTS,
    lane: Callable[[], Lane] = live_lane,
    trace: Callable[[], str | None] = no_trace,
    fence: Callable[[], Fence] = under_no_lease,
) -> OnecClient:
    """A worker's client, as the composition root builds it."""
    slots = Slots(store, name="onec", limit=limit, lease_seconds=lease_seconds)
    return OnecClient(
        url=url,
        user=USER,
        password=PASSWORD,
        slots=slots,
        clock=WallClock(),
        timeouts=timeouts,
        cookies=RedisSessions(store, url=url, user=USER, slots=slots),
        lane=lane,
        trace=trace,
        fence=fence,
    )


def party(number: int, **fields: Any) -> dict[str, Any]:
    """An item of the contract's CounterpartyBatch."""
    return {"external_id": f"b24:company:{number}", "kind": "company", "name": f"ООО {number:04}", **fields}


def in_line(client: OnecClient, lane: Lane = Lane.LIVE, path: str = PARTIES) -> int:
    """How many items wait to leave."""
    return len(client._batches._line(path, lane)._waiting())


class Crowd:
    """Calls that are made at once, each in a thread of its own; what each brought, in the order of starting."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._ends: list[Any] = []

    def start(self, call: Callable[[], Any]) -> None:
        place = len(self._ends)
        self._ends.append(None)

        def run() -> None:
            try:
                self._ends[place] = call()
            except Exception as error:
                self._ends[place] = error

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def ends(self) -> list[Any]:
        """Wait for all; each call's answer or error."""
        for thread in self._threads:
            thread.join()
        return self._ends
