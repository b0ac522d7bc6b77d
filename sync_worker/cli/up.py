"""`up`: everything on this machine."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from sync_worker.app import app
from sync_worker.cli.ports import is_taken
from sync_worker.cli.processes import (
    embedded_redis,
    exchange_programs,
    start_supervisor,
    stop_supervisor,
    write_supervisor_conf,
)
from sync_worker.cli.status_line import StatusLine
from sync_worker.settings import Settings, load_settings, redis_is_given

READY_SECONDS = 60
HUNG_SECONDS = 60.0  # longer than a Redis that restarts and a busy machine make a worker silent
FLOWER_NOTE = "flower-auth"  # under SYNC_VAR: user:password, made where FLOWER_BASIC_AUTH is empty


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """An exchange that is up."""

    ingress_url: str
    flower_url: str
    flower_auth: str  # user:password
    redis_url: str


@click.command()
@click.option(
    "--workers",
    default=1,
    show_default=True,
    help="Worker processes for live events, 32 at once in each; one more does bulk work.",
)
@click.option(
    "--hung-after",
    "hung_seconds",
    default=HUNG_SECONDS,
    show_default=True,
    type=click.FloatRange(min=5),
    help="Seconds that a worker may answer nothing before another takes its place.",
)
def up(workers: int, hung_seconds: float) -> None:
    """Run everything on this machine: Redis if there is no REDIS_URL, ingress, workers, beat, Flower.

    A process that dies is started again, and a worker that hangs is replaced. Ctrl-C stops them all.
    """
    settings = load_settings()
    with running(settings, workers=workers, hung_seconds=hung_seconds) as place:
        click.echo(f"ingress  {place.ingress_url}  (webhooks of Bitrix24 and 1C)")
        click.echo(f"Flower   {place.flower_url}/dead-letters  (login: {_shown_auth(settings, place)})")
        click.echo(f"logs     {settings.sync_var / 'log'}")
        click.echo("Ctrl-C stops everything.")
        line = StatusLine(f"{place.ingress_url}/readyz")
        wait_for_interrupt(line.show)
        line.end()
        click.echo("stopping ...")


def _shown_auth(settings: Settings, place: Running) -> str:
    """A password that we made is told where it lies; one that was given is not told at all."""
    user = place.flower_auth.partition(":")[0]
    where = "FLOWER_BASIC_AUTH" if settings.flower_basic_auth else str(settings.sync_var / FLOWER_NOTE)
    return f"{user}, password in {where}"


@contextmanager
def running(settings: Settings, *, workers: int, hung_seconds: float = HUNG_SECONDS) -> Iterator[Running]:
    """The exchange's processes, ready to take events; all stopped when the block ends.

    Errors: click.ClickException where a port is taken, or something does not come up.
    """
    for name, bind in (("INGRESS_BIND", settings.ingress_bind), ("FLOWER_BIND", settings.flower_bind)):
        if is_taken(bind):
            raise click.ClickException(f"{bind} is taken by another program; stop it or set {name} to a free port")
    var = settings.sync_var.resolve()
    var.mkdir(parents=True, exist_ok=True)
    programs = exchange_programs(var=var, flower_bind=settings.flower_bind, workers=workers, hung_seconds=hung_seconds)
    redis_url = settings.redis_url
    if not redis_is_given():
        redis_program, redis_url = embedded_redis(var)
        programs.insert(0, redis_program)
    auth = settings.flower_basic_auth or _own_flower_auth(var)
    # set for this process as well, so that commands run inside it (demo) speak to the same broker
    os.environ["REDIS_URL"] = redis_url
    with tempfile.TemporaryDirectory(prefix="sync-") as folder:
        conf = write_supervisor_conf(var, programs, socket=Path(folder) / "supervisor")
        supervisor = start_supervisor(conf, {"FLOWER_BASIC_AUTH": auth})
        try:
            place = Running(
                ingress_url=f"http://{settings.ingress_bind}",
                flower_url=f"http://{settings.flower_bind}",
                flower_auth=auth,
                redis_url=redis_url,
            )
            _wait_until_ready(place, log=var / "log", workers=workers)
            yield place
        finally:
            stop_supervisor(supervisor)


def wait_for_interrupt(each_second: Callable[[], None] = lambda: None) -> None:
    """Return on Ctrl-C, or when we are told to stop; call `each_second` meanwhile."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(timeout=1):
        each_second()


def _own_flower_auth(var: Path) -> str:
    """Flower shows what the business does, so it is never open: without a given login it gets one of its own."""
    note = var / FLOWER_NOTE
    if not note.is_file():
        note.touch(mode=0o600)
        note.write_text(f"operator:{secrets.token_urlsafe(12)}", encoding="utf-8")
    return note.read_text(encoding="utf-8").strip()


def _wait_until_ready(place: Running, *, log: Path, workers: int) -> None:
    waits = {
        "ingress": lambda: _answers(f"{place.ingress_url}/readyz"),
        "worker1": lambda: len(app.control.ping(timeout=0.5, limit=workers + 1) or ()) > workers,  # and the bulk one
        "flower": lambda: _answers(f"{place.flower_url}/healthcheck"),
    }
    give_up_at = time.monotonic() + READY_SECONDS
    for name, is_ready in waits.items():
        while not _quietly(is_ready):
            if time.monotonic() > give_up_at:
                raise click.ClickException(f"{name} did not come up in {READY_SECONDS} s; see {log / name}.log")
            time.sleep(0.2)


def _quietly(is_ready: Callable[[], bool]) -> bool:
    try:
        return is_ready()
    except OSError:
        return False
    except Exception as error:
        if "redis" in type(error).__module__ or "kombu" in type(error).__module__:
            return False  # the broker itself is only just starting
        raise


def _answers(url: str) -> bool:
    """True where the server is there; that it asks for a login is an answer as well."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310  # our own addresses
            return bool(reply.status == 200)
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401
    except (urllib.error.URLError, OSError):
        return False
