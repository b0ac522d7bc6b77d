"""What a strict portal lets through: `python -m benchmarks.bitrix24_budget`.

5,000 crm.deal.update on a fresh portal of the standard plan (2 requests a second, 50 at once): through our gateway, and
through fast_bitrix24, which knows the same limits; then both again from 8 processes at once. The portal says what
arrived; nobody takes the clients' word. The other budget, running time, is off here: on a busy machine a sandbox in
Python runs for longer than a portal does. benchmarks.operating measures that one.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import requests
from fast_bitrix24 import BitrixAsync
from rich.console import Console
from rich.table import Table

from benchmarks.portals import PortalProcess, governor, portal, redis_server
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.throttle import PLAN_LIMITS

UPDATES = 5000
PROCESSES = 8
LATENCY_SECONDS = 0.002  # of one command inside of the portal
ROUND_TRIP_SECONDS = 0.05
PATIENCE_SECONDS = 90
NO_LIMIT_SECONDS = 1e6
LIMITS = PLAN_LIMITS["standard"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one client got done, as the portal saw it."""

    who: str
    seconds: float
    applied: int
    repeated: int
    requests: int
    refused: int
    said: str

    @property
    def share_of_bucket(self) -> float:
        """Of the requests that the bucket lets in during the time that it took."""
        return self.requests / (LIMITS.burst + LIMITS.rate_per_second * self.seconds)


def main() -> None:
    if len(sys.argv) > 1:
        update(*sys.argv[1:])
        return
    runs = [measure(who, processes) for processes in (1, PROCESSES) for who in ("ours", "fast_bitrix24")]
    show(runs)


def measure(who: str, processes: int) -> Run:
    settings = {
        "latency_seconds": LATENCY_SECONDS,
        "request_latency_seconds": ROUND_TRIP_SECONDS,
        "operating_limit_seconds": NO_LIMIT_SECONDS,
    }
    share = UPDATES // processes
    with redis_server() as redis, portal(deals=UPDATES, **settings) as place:
        clients = [start_client(who, place, redis.url(0), number * share, share) for number in range(processes)]
        said = Counter(last_word(client) for client in clients)
        words = "; ".join(f"{count} x {text}" if processes > 1 else text for text, count in said.items())
        return seen_by_portal(place, f"{who}, {processes} process{'es' * (processes > 1)}", words)


def start_client(who: str, place: PortalProcess, redis_url: str, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.bitrix24_budget", who, place.webhook_url, redis_url]
    arguments = [*command, str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def last_word(client: subprocess.Popen[str]) -> str:
    try:
        output, _ = client.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        return "hung, and was killed"
    return (output.strip().splitlines() or ["died"])[-1]


def update(who: str, webhook_url: str, redis_url: str, first: str, count: str) -> None:
    """One client process: set the amount of each of its deals."""
    ids = range(int(first) + 1, int(first) + int(count) + 1)
    failed = our_updates(webhook_url, redis_url, ids) if who == "ours" else their_updates(webhook_url, ids)
    print(failed)


def our_updates(webhook_url: str, redis_url: str, ids: range) -> str:
    with requests.Session() as http:
        client = Bitrix24Client(
            webhook_url=webhook_url, governor=governor(redis_url, operating_limit_seconds=NO_LIMIT_SECONDS), http=http
        )
        commands = [
            Command(method="crm.deal.update", params={"id": id_, "fields": {"OPPORTUNITY": id_}}) for id_ in ids
        ]
        answers = client.run_many(commands)
    errors = [answer for answer in answers if isinstance(answer, SyncError)]
    return f"{len(errors)} failed, each named: {errors[0]}" if errors else "no failure"


def their_updates(webhook_url: str, ids: range) -> str:
    client = BitrixAsync(webhook_url, verbose=False)
    wanted = [{"ID": id_, "fields": {"OPPORTUNITY": id_}} for id_ in ids]
    try:
        asyncio.run(client.call("crm.deal.update", wanted))
    except Exception as error:  # whatever it gives up with is its result
        return f"gave up: {type(error).__name__}"
    return "no failure"


def seen_by_portal(place: PortalProcess, who: str, said: str) -> Run:
    """From the first request to the end of the last: how long Python takes to start is not the question."""
    counters = place.counters()
    at = [call["at"] for call in place.calls()]
    seconds = max(at) - min(at) + ROUND_TRIP_SECONDS + 50 * LATENCY_SECONDS
    applied = sum(float(deal["OPPORTUNITY"] or 0) == int(deal["ID"]) for deal in place.state()["deals"])
    return Run(
        who=who,
        seconds=seconds,
        applied=applied,
        repeated=counters["commands"] - applied,
        requests=counters["requests"] - counters["refused_503"],
        refused=counters["refused_503"],
        said=said,
    )


def show(runs: list[Run]) -> None:
    title = f"{UPDATES} crm.deal.update, standard plan, {LATENCY_SECONDS * 1000:.0f} ms a command"
    table = Table("client", "applied", "again", "requests", "refused", "s", "of the bucket", "it said", title=title)
    for run in runs:
        counts = (run.applied, run.repeated, run.requests, run.refused)
        table.add_row(run.who, *map(str, counts), f"{run.seconds:.1f}", f"{run.share_of_bucket:.0%}", run.said)
    Console(width=150).print(table)
    for ours, theirs in ((runs[0], runs[1]), (runs[2], runs[3])):
        print(f"{ours.who}: {ours.applied / max(1, theirs.applied):.1f} times the updates of {theirs.who}")


if __name__ == "__main__":
    main()
