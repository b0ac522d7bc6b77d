"""What joined upserts save 1C: `python -m benchmarks.onec_batching`.

1,000 counterparties from 2 processes of 16 threads each, which share 2 sessions of a base that takes 50 ms a call:
once as the exchange sends them, once with one POST an item, through the same client, slots and sessions.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox.onec import Base, BaseSettings
from sync_worker.store.client import connect
from tests.contract.onec_world import PARTIES, open_client, party
from tests.services import ROOT, RedisServer

ITEMS, PROCESSES, THREADS = 1000, 2, 16
SESSIONS, CALL_SECONDS, MAX_BATCH = 2, 0.05, 100


def main() -> None:
    if len(sys.argv) > 1:
        return work(*sys.argv[1:])
    table = Table("1,000 upserts", "requests", "sessions", "refused", "seconds", "items a request")
    requests = []
    for name, max_items in (("one POST an item", 1), ("joined", MAX_BATCH)):
        counters, seconds = run(max_items)
        requests.append(counters["requests"])
        figures = (counters["requests"], counters["sessions_started"], counters["licence_refusals"])
        table.add_row(name, *map(str, figures), f"{seconds:.2f}", f"{ITEMS / counters['requests']:.1f}")
    Console().print(table)
    print(f"requests: {requests[0] / requests[1]:.1f} times fewer")


def run(max_items: int) -> tuple[dict[str, int], float]:
    """The base's counters, and the seconds from the start of the work to its end."""
    base = Base(BaseSettings(max_sessions=SESSIONS, latency_seconds=CALL_SECONDS, max_batch=MAX_BATCH))
    with tempfile.TemporaryDirectory() as folder, base.serve() as served, ExitStack() as stack:
        store = RedisServer(Path(folder)).start()
        stack.callback(store.stop)
        share = ITEMS // PROCESSES
        workers = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "benchmarks.onec_batching", served.onec_url, store.url()),
                    *map(str, (max_items, 1 + number * share, share)),
                ],
                cwd=ROOT,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for number in range(PROCESSES)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        started = time.perf_counter()
        done = [worker.communicate("go\n")[0] for worker in workers]
        seconds = time.perf_counter() - started
        assert done == [f"{share}\n"] * PROCESSES
        assert len(base.show_state()["counterparties"]) == ITEMS
        return base.show_counters(), seconds


def work(url: str, store: str, max_items: str, first: str, count: str) -> None:
    onec = open_client(url, connect(store), limit=SESSIONS)
    onec.allow_items(int(max_items))
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as pool:
        numbers = range(int(first), int(first) + int(count))
        done = list(pool.map(lambda number: onec.send_item(PARTIES, party(number))["outcome"], numbers))
    print(done.count("created"), flush=True)


if __name__ == "__main__":
    main()
