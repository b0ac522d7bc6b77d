"""How fast the door is: `python -m benchmarks.ingress`. Loopback only; exits non-zero when an event was refused.

An open loop at a steady rate first: a request is due at its time whether or not the ones before it were answered, so
the figures hold the waiting too. Then a burst as fast as a few kept connections go. The same against a bare Flask
endpoint under the same gunicorn settings shows what the ingress itself costs. Last, a burst with the broker killed:
each event is fsynced into the spool, which is drained when the broker is back.
"""

from __future__ import annotations

import http.client
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from flask import Flask, Response
from rich.console import Console
from rich.table import Table

from tests.services import IngressProcess, RedisServer

RATE_PER_SECOND = 200
STEADY_SECONDS = 5
BURST_EVENTS = 10_000
SPOOLED_EVENTS = 5_000
CONNECTIONS = 8  # kept alive; the portal's queue server opens about as many
STEADY_CONNECTIONS = 32
LIMIT_SECONDS = 120  # for one burst
TOKEN = "benchmark-application-token"
SECRET = "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What one load saw."""

    seconds: float
    waits: list[float]  # seconds from when a request was due to its answer
    refusals: int

    @property
    def per_second(self) -> float:
        return len(self.waits) / self.seconds

    def percentile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.waits, n=100)[percent - 1] * 1000


def bare_app() -> Flask:
    """The yardstick: takes anything and does nothing."""
    app = Flask("bare")

    def take() -> Response:
        return Response(status=204)

    app.add_url_rule("/webhooks/bitrix24", view_func=take, methods=["POST"])
    app.add_url_rule("/healthz", view_func=take)
    return app


def _event(number: int) -> str:
    return (
        f"event=ONCRMDEALUPDATE&event_handler_id=1&data%5BFIELDS%5D%5BID%5D={number + 1}&ts=1735374081"
        "&auth%5Bdomain%5D=example.bitrix24.com&auth%5Bmember_id%5D=member"
        f"&auth%5Bapplication_token%5D={TOKEN}"
    )


def _load(server: IngressProcess, events: int, *, connections: int, due: Callable[[int], float]) -> Figures:
    """Send `events`, each no earlier than `due(number)` seconds after the start."""
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(events):
        numbers.put(number)
    waits: list[float] = []
    refusals: list[int] = []
    started = time.perf_counter()

    def send_all() -> None:
        connection = server.connect()
        for number in _taken(numbers, until=started + LIMIT_SECONDS):
            due_at = started + due(number)
            time.sleep(max(0.0, due_at - time.perf_counter()))
            sent_at = time.perf_counter()
            status = _send(connection, number)
            waits.append(time.perf_counter() - (due_at if due(number) else sent_at))
            if status not in (202, 204):
                refusals.append(status)
        connection.close()

    threads = [threading.Thread(target=send_all) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    missing = events - len(waits)
    return Figures(seconds=time.perf_counter() - started, waits=waits, refusals=len(refusals) + missing)


def _taken(numbers: queue.SimpleQueue[int], *, until: float) -> Iterator[int]:
    while time.perf_counter() < until:
        try:
            yield numbers.get_nowait()
        except queue.Empty:
            return


def _send(connection: http.client.HTTPConnection, number: int) -> int:
    """The status; 0 where there was no answer."""
    try:
        connection.request("POST", "/webhooks/bitrix24", _event(number), FORM)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status


def _measure(server: IngressProcess) -> tuple[Figures, Figures]:
    _load(server, 200, connections=CONNECTIONS, due=lambda _number: 0)  # warm: connections, caches
    steady = _load(
        server,
        RATE_PER_SECOND * STEADY_SECONDS,
        connections=STEADY_CONNECTIONS,
        due=lambda number: (number + 1) / RATE_PER_SECOND,
    )
    return steady, _load(server, BURST_EVENTS, connections=CONNECTIONS, due=lambda _number: 0)


@contextmanager
def _running(folder: Path, broker_url: str, *, wsgi_app: str | None = None) -> Iterator[IngressProcess]:
    environment = {
        "BROKER_URL": broker_url,
        "B24_APPLICATION_TOKENS": TOKEN,
        "ONEC_WEBHOOK_SECRETS": SECRET,
        "SENTRY_DSN": "",
        "INGRESS_SPOOL": str(folder / "spool"),
    }
    process = IngressProcess(folder, environment, wsgi_app=wsgi_app).start()
    try:
        yield process
    finally:
        process.stop()


def _measure_spooled(server: IngressProcess, store: RedisServer) -> tuple[Figures, float]:
    """A burst while the broker is away, and the seconds from its return until the spool is empty."""
    store.kill()
    figures = _load(server, SPOOLED_EVENTS, connections=CONNECTIONS, due=lambda _number: 0)
    store.start()
    started = time.perf_counter()
    while _spooled(server) and time.perf_counter() < started + LIMIT_SECONDS:
        time.sleep(0.05)
    return figures, time.perf_counter() - started


def _spooled(server: IngressProcess) -> bool:
    connection = server.connect()
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    connection.close()
    return b"ingress_spool_events 0.0" not in text


def _table(ingress: tuple[Figures, Figures], bare: tuple[Figures, Figures]) -> Table:
    table = Table("figure", "ingress", "bare Flask 204", "ratio")
    steady, burst = zip(ingress, bare, strict=True)
    for name, percent in (("p50", 50), ("p99", 99)):
        ours, theirs = (figures.percentile_ms(percent) for figures in steady)
        table.add_row(f"{RATE_PER_SECOND}/s, {name}, ms", f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
    ours, theirs = (max(figures.waits) * 1000 for figures in steady)
    table.add_row(f"{RATE_PER_SECOND}/s, max, ms", f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}")
    ours, theirs = (figures.per_second for figures in burst)
    table.add_row(f"burst of {BURST_EVENTS}, per second", f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}")
    refusals = [str(sum(figures.refusals for figures in run)) for run in (ingress, bare)]
    table.add_row("refusals", *refusals, "")
    return table


def main() -> int:
    """Run it and print the table. Non-zero where an event was refused, or is not in the queue afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = RedisServer(folder).start()
        try:
            with _running(folder, store.url(1)) as server:
                ingress = _measure(server)
                spooled, drained_seconds = _measure_spooled(server, store)
            with redis.Redis.from_url(store.url(1)) as broker:
                queued = broker.llen("sync:deal")
            with _running(folder, store.url(1), wsgi_app="benchmarks.ingress:bare_app()") as server:
                bare = _measure(server)
        finally:
            store.stop()
    console = Console()
    console.print(_table(ingress, bare))
    waits = ", ".join(f"p{percent} {spooled.percentile_ms(percent):.1f} ms" for percent in (50, 99))
    console.print(f"broker away: {SPOOLED_EVENTS} events spooled at {spooled.per_second:.0f} a second, {waits}")
    console.print(f"drained within {drained_seconds:.1f} s of the broker's start")
    expected = 200 + RATE_PER_SECOND * STEADY_SECONDS + BURST_EVENTS + SPOOLED_EVENTS
    console.print(f"{queued} of {expected} events are in the queue")
    return int(queued != expected or any(figures.refusals for figures in (*ingress, spooled)))


if __name__ == "__main__":
    sys.exit(main())
