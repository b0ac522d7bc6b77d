"""What joining costs a call that comes alone: `python -m benchmarks.idle_call`.

One call after another through our client, with its shared budget in a real Redis, and the same by bare requests, in
turns. Nothing else is going on, and tokens are there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import requests
from rich.console import Console
from rich.table import Table

from benchmarks.portals import governor, portal, redis_server
from sync_worker.gateways.bitrix24.client import Bitrix24Client

CALLS = 400


def main() -> None:
    with (
        redis_server() as redis,
        portal(deals=1, rate_per_second=1e6, burst=1e6, latency_seconds=0.01) as place,
        requests.Session() as http,
        requests.Session() as bare,
    ):
        budget = governor(redis.url(0), plan="enterprise")
        client = Bitrix24Client(webhook_url=place.webhook_url, governor=budget, http=http)
        ours, plain = [], []
        for _ in range(CALLS):
            time.sleep(0.2)  # within the plan's rate, so that no call waits for a token
            ours.append(seconds(lambda: client.call("crm.deal.get", id=1)))
            plain.append(
                seconds(lambda: bare.post(f"{place.webhook_url}crm.deal.get", json={"id": 1}, timeout=9).json())
            )
    show(ours, plain)


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def show(ours: list[float], plain: list[float]) -> None:
    table = Table("a single call", "p50, ms", "p95, ms", box=None)
    for name, waits in (("ours", ours), ("bare requests", plain)):
        table.add_row(
            name, f"{statistics.median(waits) * 1000:.1f}", f"{statistics.quantiles(waits, n=20)[18] * 1000:.1f}"
        )
    Console().print(table)
    added = (statistics.median(ours) - statistics.median(plain)) * 1000
    print(f"added at the median: {added:.1f} ms; ratio {statistics.median(ours) / statistics.median(plain):.2f}")


if __name__ == "__main__":
    main()
