"""A portal as the sandbox counts it, a governor before it, and callers, all by one clock that the simulation moves."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis

from sandbox.portal.bucket import LeakyBucket
from sandbox.portal.clock import PortalClock
from sandbox.portal.operating import OperatingBudget
from sync_worker.domain.budget import BATCH, MethodUse, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited
from sync_worker.gateways.bitrix24.joining import BATCH_SECONDS
from sync_worker.store.governor import Governor

METHOD = "crm.deal.update"
SECRET = "webhook"
STARTED = 1_700_000_000.0
STANDARD = {"rate_per_second": 2.0, "burst": 50.0, "live_share": 0.3, "operating_limit_seconds": 480.0}
ENTERPRISE = {**STANDARD, "rate_per_second": 5.0, "burst": 250.0}

Process = Iterator[float]  # what it yields is slept


class World:
    """One portal and one budget of it. `phase`: by how many seconds the portal's clock is ahead of ours."""

    def __init__(self, client: redis.Redis, *, seed: int = 1, phase: float = 0.3, **rules: Any) -> None:
        self.now = STARTED
        self.random = random.Random(seed)
        self.client = client
        self.name = uuid.uuid4().hex
        self.rules = {**STANDARD, **rules}
        self.governor = self.another_governor()
        self.bucket = LeakyBucket(
            leak_per_second=self.rules["rate_per_second"],
            threshold=self.rules["burst"],
            seconds=lambda: self.now + phase,
        )
        clock = PortalClock(seconds=lambda: self.now + phase)
        self.operating = OperatingBudget(limit_seconds=self.rules["operating_limit_seconds"], clock=clock)
        self._queue: list[tuple[float, int, Process]] = []
        self._started = 0

    def another_governor(self, client: redis.Redis | None = None, **rules: Any) -> Governor:
        """Of the same budget, as another process has it."""
        common = {"name": self.name, "now": lambda: self.now, "jitter": self.random.random}
        return Governor(client or self.client, **{**common, **self.rules, **rules})

    def take(self, lane: Lane = Lane.LIVE, count: int = 1, *, method: str = METHOD, **how: Any) -> Permit:
        return self.governor.take(lane, {method: count}, **{"is_batch": False, **how})

    def fill(self, lane: Lane = Lane.LIVE) -> int:
        """Take all that needs no waiting; return how much that was."""
        impatient, taken = self.another_governor(max_wait_seconds=0), 0
        with suppress(RateLimited):
            while impatient.take(lane, {"user.current": 1}, is_batch=False).allowed:
                taken += 1
        return taken

    def use(self, method: str = METHOD) -> MethodUse:
        return self.governor.report().methods[method]

    def start(self, process: Process, *, after_seconds: float = 0.0) -> None:
        self._started += 1
        heapq.heappush(self._queue, (self.now + after_seconds, self._started, process))

    def run(self, seconds: float) -> None:
        """Let time pass, and with it what was started."""
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.now, _, process = heapq.heappop(self._queue)
            if (pause := next(process, None)) is not None:
                self.start(process, after_seconds=pause)
        self.now = until


@dataclass(kw_only=True)
class Tally:
    """What became of the callers' requests."""

    sent: Counter[Lane] = field(default_factory=Counter)
    refused: int = 0  # 503
    late: Counter[Lane] = field(default_factory=Counter)  # more than the longest wait away
    longest_wait: Counter[Lane] = field(default_factory=Counter)  # seconds


def caller(
    world: World, tally: Tally, lane: Lane, *, pause: float = 0.0, latency: float = 0.2, oversleeps: float = 0.0
) -> Process:
    """A process that sends one request after another, and sleeps as long as it is told, or a little longer."""
    is_paid, asked_at = False, world.now
    while True:
        try:
            permit = world.take(lane, is_paid=is_paid)
        except RateLimited as late:
            tally.late[lane] += 1
            yield late.retry_after_seconds or 1.0
            asked_at = world.now
            continue
        is_paid = permit.is_reserved
        if permit.wait_seconds > 0:
            yield permit.wait_seconds + oversleeps * world.random.random()
            continue
        tally.longest_wait[lane] = max(tally.longest_wait[lane], world.now - asked_at)
        tally.sent[lane] += 1
        tally.refused += not world.bucket.take()
        yield latency * world.random.uniform(0.5, 1.5)
        world.governor.settle(permit, lane, {METHOD: Spent(commands=1, seconds=0.01)})
        yield pause
        asked_at = world.now


@dataclass(kw_only=True)
class Work:
    """What became of the commands, and what the portal charged for them. `weight`: None where it bills no batch."""

    weight: float | None
    cost_seconds: Callable[[], float]  # of each command
    refused: int = 0  # 429
    charged_seconds: float = 0.0

    def charge(self, world: World, method: str, seconds: float) -> dict[str, Any]:
        self.charged_seconds += seconds
        operating, resets_at = world.operating.spend(SECRET, method, seconds)
        return {"operating_seconds": operating, "resets_at": resets_at}


def worker(world: World, work: Work) -> Process:
    """A process that sends batch after batch, as full as the time of a request allows; one that is blocked waits."""
    is_paid, cost_seconds = False, 0.5
    while True:
        count = max(1, min(50, int(BATCH_SECONDS / cost_seconds)))
        permit = world.take(Lane.BULK, count, is_batch=True, is_paid=is_paid)
        cost_seconds = permit.cost_seconds.get(METHOD, cost_seconds)
        is_paid = permit.is_reserved
        if permit.wait_seconds > 0:
            yield permit.wait_seconds
        elif permit.allowed:
            yield from _send_batch(world, work, permit)
        else:
            yield max(permit.blocked_seconds.values())


def _send_batch(world: World, work: Work, permit: Permit) -> Process:
    """The portal runs the commands one after another, and its answer takes a while: so answers overtake one another."""
    billed = METHOD if work.weight is None else BATCH
    told: dict[str, Any] = {}
    seconds, commands, refused = 0.0, 0, set()
    for place in range(permit.allowed[METHOD]):
        if (billed == METHOD or place == 0) and world.operating.is_spent(SECRET, billed):
            refused.add(billed)
            break
        cost = work.cost_seconds()
        yield cost
        seconds, commands = seconds + cost, commands + 1
        told = work.charge(world, METHOD, cost) if billed == METHOD else {}
    work.refused += len(refused)
    spent = {METHOD: Spent(commands=commands, seconds=seconds, **told)} if commands else {}
    if work.weight and commands:
        spent[BATCH] = Spent(commands=1, seconds=seconds, **work.charge(world, BATCH, seconds * work.weight))
    yield world.random.uniform(0, 2)
    world.governor.settle(permit, Lane.BULK, spent, refused=refused)
