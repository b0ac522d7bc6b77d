"""What our task costs beside a bare Celery task: `python -m benchmarks.task_overhead`.

The same real worker, Redis and message, in turns: a task that does nothing, and ours with an event that ends at once
(an order status from Bitrix24, which is nobody's business), so that what is left is reading the message, the questions
of the frame (letters, coverage, tally), the log line and the ledger.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table

from benchmarks.portals import redis_server
from sandbox.onec import Base, BaseSettings
from sync_worker.app import app
from sync_worker.contract import ChangeEvent, EntityKind, RecordRef, RecordType, System, new_trace

ROUNDS, MESSAGES = 7, 500
BARE_TASK = "benchmark.bare"
QUEUE = "status"
PASSWORD = "nothing-worth-knowing"  # a sandbox's


_ids = count(1)


@app.task(name=BARE_TASK)
def bare(event: dict[str, object]) -> str:
    return str(event["entity"])


def main() -> None:
    with redis_server() as server, Base(BaseSettings(password=PASSWORD)).serve() as base:
        environment = _environment(server.url(0), server.url(1), base.url)
        os.environ |= environment  # for the sender, which is this process
        worker = _start_worker(environment)
        try:
            times: dict[str, list[float]] = {BARE_TASK: [], "sync.status": []}
            for _ in range(ROUNDS + 1):
                for task, seconds in times.items():
                    seconds.append(drained_seconds(task, server.url(1)) / MESSAGES)
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    show({task: seconds[1:] for task, seconds in times.items()})  # the first round warms up


def _environment(redis_url: str, broker_url: str, onec_url: str) -> dict[str, str]:
    return {
        "B24_WEBHOOK_URL": "http://127.0.0.1:9/rest/1/nobody-listens-here/",
        "B24_APPLICATION_TOKENS": "token-of-the-benchmark",
        "ONEC_URL": f"{onec_url}/base",
        "ONEC_USER": "Обмен",
        "ONEC_PASSWORD": PASSWORD,
        "ONEC_WEBHOOK_SECRETS": "whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz",
        "REDIS_URL": redis_url,
        "BROKER_URL": broker_url,
        "SYNC_CONFIG": str(Path(__file__).parents[1] / "sync.example.toml"),
    }


def _start_worker(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """One thread, so that a message's time is not hidden behind another's."""
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.task_overhead", "worker", "-Q", QUEUE, "-c", "1"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )


def drained_seconds(task: str, broker_url: str) -> float:
    """Fill the queue while nobody looks, and time how long the worker takes to empty it."""
    app.control.cancel_consumer(QUEUE, reply=True)
    for _ in range(MESSAGES):
        app.send_task(task, kwargs={"event": doorbell().dump()}, queue=QUEUE)
    with redis.Redis.from_url(broker_url) as broker:
        started = time.perf_counter()
        app.control.add_consumer(QUEUE, reply=True)
        while broker.llen(f"sync:{QUEUE}") or broker.zcard("sync:unacked_index"):
            time.sleep(0.005)
        return time.perf_counter() - started


def doorbell() -> ChangeEvent:
    """Of a record of its own, so that no look covers another."""
    record = RecordRef(system=System.BITRIX24, type=RecordType.ORDER, id=str(next(_ids)))
    return ChangeEvent(entity=EntityKind.STATUS, record=record, seen_at=datetime.now(UTC), trace=new_trace())


def show(times: dict[str, list[float]]) -> None:
    table = Table("task", "median, ms a message", "best", "worst", box=None)
    for task, seconds in times.items():
        table.add_row(
            task, *(f"{value * 1000:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds)))
        )
    Console().print(table)
    ours, plain = statistics.median(times["sync.status"]), statistics.median(times[BARE_TASK])
    print(f"overhead of our task at the median: {(ours - plain) * 1000:.2f} ms; ratio {ours / plain:.1f}")


if __name__ == "__main__":
    main()
