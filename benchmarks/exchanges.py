"""The whole exchange on a portal of the standard plan, with the delays of a real network: for benchmarks of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.portal import PortalSettings
from sync_worker.contract import Lane, lane_queues
from tests.process.exchange import APPLICATION_TOKEN, B24_SECRET, SYNC_TOML, Exchange, exchange

RULES = SYNC_TOML.partition("[budget]")[0]  # no limits of its own: the plan's
LATENCY_SECONDS = 0.02  # of one command inside of the portal
ROUND_TRIP_SECONDS = 0.05


@contextmanager
def standard_exchange(folder: Path) -> Iterator[Exchange]:
    portal = PortalSettings(
        with_user_fields=True,
        secrets={B24_SECRET: 1},
        application_token=APPLICATION_TOKEN,
        latency_seconds=LATENCY_SECONDS,
        request_latency_seconds=ROUND_TRIP_SECONDS,
    )
    with exchange(folder, portal=portal, rules=RULES) as place:
        place.worker.kill()  # it takes from all queues; as `up` and compose have it, each lane has a worker of its own
        place.worker = place.start_worker("live", queues=lane_queues(Lane.LIVE))
        place.start_worker("bulk", queues=lane_queues(Lane.BULK))
        yield place


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the portal had counted at some moment."""

    requests: int
    commands: int
    refused: int
    events: int
    methods: Counter[str]

    def since(self, before: Seen) -> Seen:
        return Seen(
            requests=self.requests - before.requests,
            commands=self.commands - before.commands,
            refused=self.refused - before.refused,
            events=self.events - before.events,
            methods=self.methods - before.methods,
        )


def seen(place: Exchange) -> Seen:
    counters = place.portal.journal_log.as_json()["counters"]
    calls = list(place.portal.journal)
    return Seen(
        requests=counters["requests"],
        commands=counters["commands"],
        refused=counters["refused_503"] + counters["refused_429"],
        events=len(place.portal.events.log),
        methods=Counter(name for call in calls for name in (call.get("commands") or [call["method"]])),
    )


def wait_for(look: Any, *, seconds: float, what: str) -> float:
    """Seconds until there is something to see; more patient and less hurried than a test."""
    started = time.perf_counter()
    while not look():
        if time.perf_counter() - started > seconds:
            raise SystemExit(f"not seen within {seconds} s: {what}")
        time.sleep(0.25)
    return time.perf_counter() - started


def wait_until_quiet(place: Exchange, *, seconds: float = 600) -> float:
    """Until the queues have been empty for a whole second: an echo may be on its way."""

    def is_quiet() -> bool:
        if not place.is_quiet():
            return False
        time.sleep(1)
        return place.is_quiet()

    return wait_for(is_quiet, seconds=seconds, what="nothing is left to do")
