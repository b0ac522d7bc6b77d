"""How much of the running-time budget is used, and that it is never overrun: `python -m benchmarks.operating`.

Calls of 0.5 s each, without end, against a portal that blocks a method after 480 s in ten minutes, for just under four
such windows, with another method called beside it. Portal and budget run 60 times faster than the clock. Twice: with
each command of a batch billed to its own method, and with the whole batch billed to `batch` (then single calls, billed
to their own method, are a second budget that may be used as well).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from benchmarks.portals import PortalProcess, governor, portal, redis_server
from sync_worker.domain.budget import Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.store.governor import Governor

SCALE = 60.0
METHOD = "crm.deal.update"
CALL_SECONDS = 0.5
LIMIT_SECONDS, WINDOW_SECONDS = 480.0, 600.0
WINDOWS = 4
LASTS_SECONDS = WINDOW_SECONDS * WINDOWS - 30
CALLS = 10_000  # more than can be made
OTHER_EVERY_SECONDS = 20.0


class TimeIsUpError(Exception):
    """Enough was seen."""


class FastGovernor:
    """The governor by a clock that runs SCALE times faster; the portal's reset times are told by the slow one."""

    def __init__(self, redis_url: str) -> None:
        self.started = time.time()
        self.spent_seconds: Counter[str] = Counter()
        self._inner: Governor = governor(redis_url, now=self.now)

    def now(self) -> float:
        return self.fast(time.time())

    def fast(self, at: float) -> float:
        return self.started + (at - self.started) * SCALE

    def sleep(self, seconds: float) -> None:
        """Errors: TimeIsUpError, which ends the run."""
        time.sleep(min(seconds, max(0.0, self.started + LASTS_SECONDS - self.now())) / SCALE)
        if self.now() >= self.started + LASTS_SECONDS - 1:
            raise TimeIsUpError

    def settle(self, permit: Permit, lane: Lane, spent: Mapping[str, Spent], **how: Any) -> None:
        self.spent_seconds.update({method: one.seconds for method, one in spent.items()})
        fast = {
            method: replace(one, resets_at=None if one.resets_at is None else self.fast(one.resets_at))
            for method, one in spent.items()
        }
        self._inner.settle(permit, lane, fast, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@dataclass(kw_only=True, slots=True)
class Others:
    """Calls of another method, made all the time."""

    waits: list[float] = field(default_factory=list)
    failed: int = 0


def main() -> None:
    table = Table(
        "billed to", "calls", "seconds used", "of the budget", "refused 429", "other method: calls", "failed", "p95, s"
    )
    for billing in ("nested", "batch"):
        table.add_row(billing, *run(billing))
    Console(width=140).print(table)


def run(billing: str) -> list[str]:
    settings = {
        "latency_seconds": CALL_SECONDS,
        "time_scale": SCALE,
        "operating_limit_seconds": LIMIT_SECONDS,
        "batch_billing": billing,
    }
    with redis_server() as redis, portal(deals=CALLS, **settings) as place, requests.Session() as http:
        budget = FastGovernor(redis.url(0))
        client = Bitrix24Client(webhook_url=place.webhook_url, governor=budget, http=http, sleep=budget.sleep)
        others = saturated(client)
        return row(place, budget.spent_seconds["batch" if billing == "batch" else METHOD], others)


def saturated(client: Bitrix24Client) -> Others:
    others, stop = Others(), threading.Event()
    beside = threading.Thread(target=call_others, args=(client, others, stop))
    beside.start()
    commands = [Command(method=METHOD, params={"id": id_ + 1, "fields": {"OPPORTUNITY": 1}}) for id_ in range(CALLS)]
    with suppress(TimeIsUpError):
        client.run_many(commands)
    stop.set()
    beside.join()
    return others


def call_others(client: Bitrix24Client, others: Others, stop: threading.Event) -> None:
    while not stop.wait(OTHER_EVERY_SECONDS / SCALE):
        started = time.perf_counter()
        try:
            client.call("crm.contact.list", start=-1)
        except TimeIsUpError:
            return
        except SyncError:
            others.failed += 1
        others.waits.append((time.perf_counter() - started) * SCALE)


def row(place: PortalProcess, used_seconds: float, others: Others) -> list[str]:
    counters = place.counters()
    p95 = sorted(others.waits)[int(len(others.waits) * 0.95)]
    share = used_seconds / (LIMIT_SECONDS * WINDOWS)
    calls, refused = counters["methods"][METHOD], counters["refused_429"]
    numbers = (calls, f"{used_seconds:.0f}", f"{share:.0%}", refused, len(others.waits), others.failed, f"{p95:.1f}")
    return [str(number) for number in numbers]


if __name__ == "__main__":
    main()
