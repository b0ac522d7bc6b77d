"""A stand-in for the governor: all is allowed, until a test says otherwise. It notes what it is asked and told."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sync_worker.domain.budget import BATCH, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import StoreUnavailable

SHORTLY = 0.01  # seconds until the rest of a method's commands may leave, where only some of them are let through


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """What was asked for."""

    lane: Lane
    wanted: Mapping[str, int]
    is_batch: bool
    is_paid: bool

    @property
    def commands(self) -> int:
        return sum(self.wanted.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What a request was said to have come to."""

    permit: Permit
    lane: Lane
    spent: Mapping[str, Spent]
    waited_seconds: float
    refused: frozenset[str]
    is_lost: bool
    is_failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """How the portal was said to be out of reach."""

    cause: str
    message: str
    is_final: bool


@dataclass(kw_only=True, slots=True)
class StandInGovernor:
    """Port: Governor. Thread-safe; what a test sets counts from the next `take` on."""

    spare: float = 1.0
    wait_seconds: float = 0.0  # above 0: there is no token, and one comes in so long
    blocked: dict[str, float] = field(default_factory=dict)  # method, or "batch" -> seconds
    at_most: dict[str, int] = field(default_factory=dict)  # method -> commands that may leave in one request
    cost_seconds: dict[str, float] = field(default_factory=dict)
    refusing: list[Exception | None] = field(default_factory=list)  # one for each `take` to come; None lets it through
    is_probing: bool = False
    is_store_gone: bool = False  # whatever it is told after a request
    opens_circuit: bool = False
    takes: list[Take] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    refusals: list[Lane] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, lane: Lane, wanted: Mapping[str, int], *, is_batch: bool, is_paid: bool = False) -> Permit:
        with self._lock:
            self.takes.append(Take(lane=lane, wanted=dict(wanted), is_batch=is_batch, is_paid=is_paid))
            refusal = self.refusing.pop(0) if self.refusing else None
            if refusal is not None:
                raise refusal
            if self.wait_seconds and not is_paid:
                return Permit(wait_seconds=self.wait_seconds, is_reserved=True, spare=0.0)
            return self._permit(wanted, is_batch=is_batch)

    def _permit(self, wanted: Mapping[str, int], *, is_batch: bool) -> Permit:
        asked = [*wanted, BATCH] if is_batch else list(wanted)
        blocked = {method: self.blocked[method] for method in asked if method in self.blocked}
        allowed = {method: min(count, self.at_most.get(method, count)) for method, count in wanted.items()}
        short = {method: SHORTLY for method, count in allowed.items() if count < wanted[method]}
        return Permit(
            allowed={} if BATCH in blocked else {name: count for name, count in allowed.items() if name not in blocked},
            blocked_seconds=short | blocked,
            cost_seconds=dict(self.cost_seconds),
            spare=self.spare,
            is_probe=self.is_probing,
        )

    def settle(
        self,
        permit: Permit,
        lane: Lane,
        spent: Mapping[str, Spent],
        *,
        waited_seconds: float = 0.0,
        refused: Collection[str] = (),
        is_lost: bool = False,
        is_failed: bool = False,
    ) -> None:
        self._need_store()
        told = Settled(
            permit=permit,
            lane=lane,
            spent=dict(spent),
            waited_seconds=waited_seconds,
            refused=frozenset(refused),
            is_lost=is_lost,
            is_failed=is_failed,
        )
        with self._lock:
            self.settled.append(told)

    def refused(self, lane: Lane) -> None:
        self._need_store()
        with self._lock:
            self.refusals.append(lane)

    def failed(self, cause: str, message: str, *, is_final: bool) -> bool:
        self._need_store()
        with self._lock:
            self.failures.append(Failed(cause=cause, message=message, is_final=is_final))
        return self.opens_circuit

    def _need_store(self) -> None:
        if self.is_store_gone:
            raise StoreUnavailable("Redis does not answer")
