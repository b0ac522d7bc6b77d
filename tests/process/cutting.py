"""Trials in which the broker goes away: killed and started again, or its connections reset."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ingress.publisher import Publisher
from sync_worker.contract import ChangeEvent, EntityKind, RecordType, event_message, new_trace
from sync_worker.domain.identity import bitrix24_ref
from tests.process.exchange import CeleryProcess, wait_until
from tests.process.relays import Wire
from tests.process.trials import TrialPlace, Verdict, percentile
from tests.rabbitmq import RabbitServer

LONGEST_SECONDS = 90
BURST = 40  # contacts that the portal does not have: each is one look, and is done
NOBODY = 900_000
SLOWLY = "hang@0.3"  # each call to the portal: so there are always tasks in flight when the cut comes


class Broker(Protocol):
    """RedisServer or RabbitServer."""

    def start(self) -> Any: ...

    def kill(self) -> None: ...


class WiredPlace(TrialPlace):
    """All parts of the exchange reach their Redis over one wire; RabbitMQ's is given as `broker_url`."""

    def _start(self) -> None:
        self.wire = self._held.enter_context(Wire(self.redis.port))
        super()._start()

    def _environment(self) -> dict[str, str]:
        redis_url = f"redis://127.0.0.1:{self.wire.port}"
        told = super()._environment() | {"REDIS_URL": f"{redis_url}/0"}
        return told if self.broker_url else told | {"BROKER_URL": f"{redis_url}/1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """How often the broker goes away, and how long a worker may take until it consumes again."""

    kills: int
    resets: int
    seed: int
    granted_seconds: float = LONGEST_SECONDS


def cut_redis(folder: Path, cuts: Cuts) -> Verdict:
    with WiredPlace(folder) as place:
        return _cut(place, place.redis, place.wire, place.redis.url(1), cuts)


def cut_rabbitmq(folder: Path, cuts: Cuts) -> Verdict:
    broker = RabbitServer(folder / "rabbitmq").start()
    try:
        with Wire(broker.port) as wire:
            wired = broker.url.replace(str(broker.port), str(wire.port))
            with TrialPlace(folder / "place", broker_url=wired) as place:
                return _cut(place, broker, wire, broker.url, cuts)
    finally:
        broker.stop()


def _cut(place: TrialPlace, broker: Broker, wire: Wire, broker_url: str, cuts: Cuts) -> Verdict:
    """Two workers; each cut comes amid a burst, at a moment that the seed draws. Nobody restarts a worker."""
    name, chance = "RabbitMQ" if place.broker_url else "Redis", random.Random(cuts.seed)
    place.portal.faults.replace(SLOWLY)
    workers = (place.worker, place.start_worker("second"))
    pids = [worker.pid for worker in workers]
    bell = _Bell(broker_url)
    took: dict[str, list[float]] = {"kill": [], "reset": []}
    kinds = ["kill"] * cuts.kills + ["reset"] * cuts.resets
    chance.shuffle(kinds)
    for kind in kinds:
        bell.ring(BURST)
        wanted = chance.randint(1, BURST - 1)
        seen = sum(_done(workers))
        wait_until(lambda seen=seen, wanted=wanted: sum(_done(workers)) >= seen + wanted, what="a part is done")
        took[kind].append(_seconds_until_back(bell, workers, _restart(broker) if kind == "kill" else wire.reset))
    wait_until(lambda: bell.unanswered(workers) == 0, seconds=LONGEST_SECONDS, what="every event is handled")
    alive = all(worker.is_running for worker in workers) and [worker.pid for worker in workers] == pids
    slowest = max(took["kill"] + took["reset"])
    return Verdict(
        trial=f"{name}: {cuts.kills} SIGKILLs with a restart, {cuts.resets} TCP resets; two workers at work",
        seed=cuts.seed,
        passed=alive and slowest <= cuts.granted_seconds,
        seen=f"{bell.count} events handled, none lost; both workers consume again by themselves: "
        + ", ".join(f"after a {kind} p50 {percentile(each, 0.5):.1f} s" for kind, each in took.items() if each)
        + f", at the longest {slowest:.1f} s (granted {cuts.granted_seconds:g} s)",
    )


def _restart(broker: Broker) -> Callable[[], Any]:
    def restart() -> None:
        broker.kill()
        broker.start()

    return restart


def _seconds_until_back(bell: _Bell, workers: Collection[CeleryProcess], cut: Callable[[], Any]) -> float:
    """From the end of the cut until each worker has handled an event that rang after it."""
    cut()
    began, marks = time.monotonic(), [len(worker.log()) for worker in workers]
    rang = bell.count

    def is_back() -> bool:
        bell.ring(4)
        return all(bell.was_answered_since(rang, worker, mark) for worker, mark in zip(workers, marks, strict=True))

    wait_until(is_back, seconds=LONGEST_SECONDS, what="each worker consumes again")
    return time.monotonic() - began


def _done(workers: Collection[CeleryProcess]) -> list[int]:
    return [worker.log().count("event_done") for worker in workers]


class _Bell:
    """Puts events into the queue of contacts, each about another contact that does not exist."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self.count = 0

    def ring(self, times: int) -> None:
        publisher = Publisher(self._broker_url)
        publisher.publish([event_message(self._event(NOBODY + self.count + number)) for number in range(times)])
        publisher.close()
        self.count += times

    def _event(self, contact: int) -> ChangeEvent:
        ref = bitrix24_ref(RecordType.CONTACT, contact)
        return ChangeEvent(entity=EntityKind.CONTACT, record=ref, seen_at=datetime.now(UTC), trace=new_trace())

    def was_answered_since(self, first: int, worker: CeleryProcess, mark: int) -> bool:
        """True once the worker has handled an event that rang after the first so many."""
        lines = [line for line in worker.log()[mark:].splitlines() if "event_done" in line]
        return any(f"contact:{NOBODY + number}" in line for line in lines for number in range(first, self.count))

    def unanswered(self, workers: Collection[CeleryProcess]) -> int:
        lines = "\n".join(line for worker in workers for line in worker.log().splitlines() if "event_done" in line)
        return sum(f"contact:{NOBODY + number}" not in lines for number in range(self.count))
