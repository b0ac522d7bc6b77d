"""How much of the running-time budget is used, and that it is never overrun: `python -m benchmarks.operating`.

Calls of 0.5 s each against a portal that blocks a method after 480 s in ten minutes, until four windows' worth is done,
with another method called beside it. Portal and budget run 60 times faster than the clock. Twice: with each command of
a batch billed to its own method, and with the whole batch billed to `batch`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from sync_worker.store.governor import Governor

from benchmarks.portals import PortalProcess, governor, portal, redis_server
from sync_worker.domain.budget import Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command

SCALE = 60.0
CALL_SECONDS = 0.5
LIMIT_SECONDS, WINDOW_SECONDS = 480.0, 600.0
WINDOWS = 4
CALLS = int(LIMIT_SECONDS * WINDOWS / CALL_SECONDS)
OTHER_EVERY_SECONDS = 20.0


class FastGovernor:
    """The governor by a clock that runs SCALE times faster; the portal's reset times are told by the slow one."""

    def __init__(self, redis_url: str) -> None:
        self.started = time.time()
        self._inner: Governor = governor(redis_url, now=self.now)

    def now(self) -> float:
        return self.fast(time.time())

    def fast(self, at: float) -> float:
        return self.started + (at - self.started) * SCALE

    def settle(self, permit: Permit, lane: Lane, spent: Mapping[str, Spent], **how: Any) -> None:
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
        "billed to", "calls", "minutes", "budget used", "refused 429", "another method: calls", "failed", "p95, s"
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
        client = Bitrix24Client(
            webhook_url=place.webhook_url,
            governor=FastGovernor(redis.url(0)),
            http=http,
            sleep=lambda seconds: time.sleep(seconds / SCALE),
        )
        minutes, others = measured(client)
        return row(place, minutes, others)


def measured(client: Bitrix24Client) -> tuple[float, Others]:
    others, stop = Others(), threading.Event()
    beside = threading.Thread(target=call_others, args=(client, others, stop))
    beside.start()
    started = time.perf_counter()
    answers = client.run_many(
        [
            Command(method="crm.deal.update", params={"id": id_ + 1, "fields": {"OPPORTUNITY": 1}})
            for id_ in range(CALLS)
        ]
    )
    minutes = (time.perf_counter() - started) * SCALE / 60
    stop.set()
    beside.join()
    failed = [answer for answer in answers if isinstance(answer, SyncError)]
    print(f"{len(failed)} of {CALLS} failed" + (f": {failed[0]}" if failed else ""))
    return minutes, others


def call_others(client: Bitrix24Client, others: Others, stop: threading.Event) -> None:
    while not stop.wait(OTHER_EVERY_SECONDS / SCALE):
        started = time.perf_counter()
        try:
            client.call("crm.contact.list", start=-1)
        except SyncError:
            others.failed += 1
        others.waits.append((time.perf_counter() - started) * SCALE)


def row(place: PortalProcess, minutes: float, others: Others) -> list[str]:
    allowed_seconds = LIMIT_SECONDS * (1 + minutes * 60 / WINDOW_SECONDS)
    p95 = sorted(others.waits)[int(len(others.waits) * 0.95)]
    used = CALLS * CALL_SECONDS / allowed_seconds
    refused = place.counters()["refused_429"]
    numbers = (CALLS, f"{minutes:.1f}", f"{used:.0%}", refused, len(others.waits), others.failed, f"{p95:.1f}")
    return [str(number) for number in numbers]


if __name__ == "__main__":
    main()
