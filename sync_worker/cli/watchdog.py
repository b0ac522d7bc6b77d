"""`watchdog`: a process of `up` that replaces workers which hang. The supervisor sees only those that exit."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xmlrpc.client import Error, ServerProxy

import click
from supervisor.xmlrpc import SupervisorTransport

from sync_worker.app import app
from sync_worker.bootstrap import BudgetSources, build_budget
from sync_worker.cli.standing import ask_rabbitmq, waiting_by_lane
from sync_worker.cli.stillness import Look, Standstill, Watch
from sync_worker.contract import Lane, lane_queues
from sync_worker.settings import load_settings
from sync_worker.telemetry import configure_logging, init_sentry

logger = logging.getLogger("sync.watchdog")

PING_SECONDS = 2.0  # the loop that takes tasks answers in some milliseconds, and in tenths where the machine is busy
LONGEST_PAUSE_SECONDS = 5.0
LOOKS_IN_A_SILENCE = 5
SUPERVISOR_USER = "watchdog"

Restart = Callable[[str], None]


@click.command(hidden=True)
@click.option("--hung-after", "hung_seconds", type=click.FloatRange(min=1), required=True)
@click.option("--live", "live", multiple=True, help="Program of a live worker, as the supervisor and Celery call it.")
@click.option("--bulk", "bulk", multiple=True)
@click.option("--server", envvar="SUPERVISOR_SERVER_URL", required=True)
@click.option("--password", envvar="SUPERVISOR_PASSWORD", required=True)
def watchdog(hung_seconds: float, live: tuple[str, ...], bulk: tuple[str, ...], server: str, password: str) -> None:
    """Replace workers that hang. Started by `up`."""
    settings = load_settings()
    configure_logging(settings)
    init_sentry(settings)
    programs = dict.fromkeys(live, Lane.LIVE) | dict.fromkeys(bulk, Lane.BULK)
    eyes = Eyes(programs=programs, sources=build_budget(settings))
    watch = Watch(programs, hung_seconds=hung_seconds)
    restart = supervised(server, password)
    while True:
        watch_once(watch, eyes.look, restart)
        time.sleep(min(LONGEST_PAUSE_SECONDS, hung_seconds / LOOKS_IN_A_SILENCE))


def watch_once(watch: Watch, look: Callable[[], Look], restart: Restart) -> None:
    """Look, and replace whoever hangs. A broker or store that is away is no worker's fault: the watch begins anew."""
    try:
        seen = look()
    except Exception as error:  # of kombu, of redis, of the system: nobody can tell how the workers are
        logger.info("nothing to be seen: %s", type(error).__name__)
        watch.forget()
        return
    for found in watch.see(seen, now=time.monotonic()):
        replace_worker(found, restart)


def replace_worker(found: Standstill, restart: Restart) -> None:
    """What it held the broker gives out again. An error is what operators and Sentry are told."""
    logger.error("worker %s replaced: %s for %.0f s", found.program, found.why, found.seconds)
    try:
        restart(found.program)
    except (Error, OSError) as error:  # it has just exited of itself, or the supervisor is ending
        logger.warning("worker %s was not replaced: %s", found.program, error)


def supervised(server: str, password: str) -> Restart:
    """Kills a program; its supervisor starts it again. A process that hangs does not hear a gentler signal."""

    def restart(program: str) -> None:
        transport = SupervisorTransport(SUPERVISOR_USER, password, server)  # one a call: there are months in between
        remote: Any
        with ServerProxy("http://127.0.0.1", transport) as remote:  # a formality: the transport knows where
            remote.supervisor.signalProcess(program, "KILL")

    return restart


@dataclass(frozen=True, kw_only=True, slots=True)
class Eyes:
    """What can be seen of the workers from outside, at no cost to their tasks."""

    programs: Mapping[str, Lane]
    sources: BudgetSources

    def look(self) -> Look:
        """Errors: those of kombu, redis and the stores, where either Redis or the broker is away."""
        heads = self._heads()
        done = self.sources.tally.events()
        marks = {
            lane: (sum(count for (_, one, _), count in done.items() if one is lane), *heads[lane])
            for lane in Lane
            if heads[lane]
        }
        return Look(answered=frozenset(answering(self.programs)), waiting=marks)

    def _heads(self) -> dict[Lane, tuple[str, ...]]:
        """What waits in each lane's queues; on Redis whose turn it is, which changes as soon as anybody takes."""
        if self.sources.queues is None:
            waiting = waiting_by_lane(ask_rabbitmq())
            return {lane: ("some",) if waiting[lane] else () for lane in Lane}
        heads = self.sources.queues.next_ids()
        return {lane: tuple(heads[name] for name in lane_queues(lane) if name in heads) for lane in Lane}


def answering(programs: Collection[str]) -> Iterator[str]:
    """Which workers of this machine answer a question sent through the broker."""
    nodes = {f"{program}@{socket.gethostname()}": program for program in programs}
    replies = app.control.ping(destination=list(nodes), timeout=PING_SECONDS, limit=len(nodes))
    for reply in replies or ():
        yield from (nodes[node] for node in reply if node in nodes)
