"""The budget of one portal, which all processes and machines spend from: taken in Redis before the call.

Two budgets: requests, a leaky bucket, and the running time of each method in ten minutes. By Redis's own clock, since
the machines' clocks differ. A portal that is down or has shut us out opens the circuit: nothing leaves but a probe.
Shape: hashes `sync:budget:<name>`, `sync:budget:<name>:method:<method>`, counters `sync:tally:budget:<name>`.
Source: reference/bitrix24, 2.1 and 2.2.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any

import redis

from sync_worker.domain.budget import BATCH, BudgetReport, Circuit, LaneUse, MethodUse, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import CircuitOpen, RateLimited
from sync_worker.store.client import load_script, translating

FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 5, 60
FAILURES_THAT_OPEN, FAILURE_WINDOW_SECONDS = 5, 30
DOWN_PROBE_SECONDS = (5, 30)  # before the first probe, and at most between two: a portal that is down is soon up again
SHUT_OUT_PROBE_SECONDS = (15, 120)  # a person has to do something first
SAFE_SHARE = 0.98  # of a method's running time: what a command takes is a guess


class Governor:
    """May this request leave now? Thread-safe."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        name: str,
        rate_per_second: float,
        burst: float,
        live_share: float,
        operating_limit_seconds: float,
        max_wait_seconds: float = 20.0,
        now: Callable[[], float] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`now` gives seconds to go by instead of Redis's own clock, for simulations; processes' clocks differ."""
        self._client = client
        self._key = f"sync:budget:{name}"
        self._tally = f"sync:tally:budget:{name}"  # contract.BUDGET_TALLY_KEY
        self._rate = rate_per_second
        # the portal's counter falls in whole seconds, so for up to a second it stands `rate` higher than ours; and
        # one request may overtake another on the way
        self._live_full = max(1.0, burst - rate_per_second - 1)
        bulk_full = max(1.0, self._live_full * (1 - live_share))
        self._limit = operating_limit_seconds * SAFE_SHARE
        self._rules = (rate_per_second, self._live_full, bulk_full, live_share, max_wait_seconds, self._limit)
        self._now = now
        self._jitter = jitter
        self._take_script = load_script(client, "governor", "take_budget")
        self._settle_script = load_script(client, "governor", "settle_budget")
        self._refused_script = load_script(client, "governor", "refused_budget")
        self._failed_script = load_script(client, "governor", "failed_budget")
        self._report_script = load_script(client, "governor", "report_budget")

    @translating()
    def take(self, lane: Lane, wanted: Mapping[str, int], *, is_batch: bool, is_paid: bool = False) -> Permit:
        """Ask for one request with so many commands of each method.

        Errors: CircuitOpen; RateLimited where the token would be longer in coming than `max_wait_seconds`. Nothing is
        taken then.
        """
        methods = list(wanted)
        told = self._run(
            self._take_script,
            [self._method_key(BATCH), *map(self._method_key, methods)],
            [lane, int(is_paid), *self._rules, int(is_batch), *wanted.values()],
        )
        answer = json.loads(told)
        wait_seconds = float(answer.get("wait", 0))
        if answer["verdict"] == "open":
            raise CircuitOpen(
                f"Bitrix24 is shut to us, the next probe is in {wait_seconds:.0f} s: {answer['message']}",
                retry_after_seconds=wait_seconds,
            )
        if answer["verdict"] == "late":
            raise RateLimited(
                f"the requests to Bitrix24 are spent for the next {wait_seconds:.1f} s",
                retry_after_seconds=wait_seconds,
            )
        if answer["verdict"] == "wait":
            if not answer["is_reserved"]:
                wait_seconds *= 0.5 + self._jitter()  # else the same ones of those in no line always come too late
            return Permit(wait_seconds=wait_seconds, is_reserved=answer["is_reserved"], spare=0.0)
        return _permit(methods, answer)

    @translating()
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
        """Replace what was reserved by what was really spent.

        `refused`: methods that the portal says have no running time left. `is_lost`: the answer was lost, and what was
        reserved counts as spent. `is_failed`: it says nothing of the portal's being well.
        """
        names = [*dict.fromkeys([*permit.allowed, *spent, *refused])]
        methods = [_settled(name, permit, spent, refused) for name in names if name != BATCH]
        told = {
            "waited": waited_seconds,
            "commands": sum(permit.allowed.get(one["name"], 0) for one in methods) if is_lost else _run_commands(spent),
            "refused_commands": len(refused),
            "is_lost": is_lost,
            "is_failed": is_failed,
            "methods": methods,
            "batch": _settled_batch(permit, spent, refused) if BATCH in names else None,
        }
        keys = [self._method_key(BATCH), self._tally, self._names_key]
        closes = permit.is_probe and not is_failed
        args = [lane, self._limit, int(closes), json.dumps(told)]
        self._run(self._settle_script, [*keys, *(self._method_key(one["name"]) for one in methods)], args)

    @translating()
    def refused(self, lane: Lane) -> None:
        """The portal's bucket was full when we thought otherwise: everybody waits, ever longer, and goes slower."""
        args = [lane, FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, self._jitter()]
        self._run(self._refused_script, [self._tally], args)

    @translating()
    def failed(self, cause: str, message: str, *, is_final: bool) -> bool:
        """A call failed. True for the one that opens the circuit: at once if `is_final`, else after a few in a row."""
        gaps = SHUT_OUT_PROBE_SECONDS if is_final else DOWN_PROBE_SECONDS
        args = [cause, message, int(is_final), FAILURES_THAT_OPEN, FAILURE_WINDOW_SECONDS, *gaps]
        return bool(self._run(self._failed_script, [], args))

    @translating()
    def is_open(self) -> bool:
        """True while the circuit is: nothing leaves but a probe now and then."""
        return bool(self._client.hexists(self._key, "open_since"))

    @translating()
    def probe_now(self) -> None:
        """Let the next call find out whether a shut portal is open again: somebody has just mended it, perhaps."""
        if self._client.hexists(self._key, "open_since"):
            self._client.hset(self._key, "probe_at", "0")

    @translating()
    def report(self) -> BudgetReport:
        """How the budget stands now."""
        found: Any = self._client.smembers(self._names_key)
        methods = sorted(found)
        args = [self._rate, self._live_full, self._limit]
        told = json.loads(self._run(self._report_script, [self._method_key(name) for name in methods], args))
        counted: Any = self._client.hgetall(self._tally)
        uses = told["methods"] or []
        return BudgetReport(
            level=told["level"],
            burst=self._live_full,
            rate_per_second=told["rate"],
            plan_rate_per_second=self._rate,
            shut_seconds=told["shut"],
            circuit=Circuit(**told["circuit"]) if told.get("circuit") else None,
            lanes={lane: _lane_use(counted, lane) for lane in Lane},
            methods={name: MethodUse(**use) for name, use in zip(methods, uses, strict=True)},
        )

    @property
    def _names_key(self) -> str:
        return f"{self._key}:methods"

    def _method_key(self, method: str) -> str:
        return f"{self._key}:method:{method}"

    def _run(self, script: Callable[..., Any], keys: list[str], args: list[Any]) -> Any:
        now = "" if self._now is None else f"{self._now():.6f}"
        return script(keys=[self._key, *keys], args=[now, *args])


def _permit(methods: list[str], answer: Mapping[str, Any]) -> Permit:
    allowed = dict(zip(methods, answer["allowed"] or [0] * len(methods), strict=True))
    costs = {method: float(cost) for method, cost in zip(methods, answer["costs"], strict=True)}
    if answer.get("batch_cost"):
        allowed[BATCH], costs[BATCH] = 1, float(answer["batch_cost"])
    blocked = answer["blocked"] or {}
    return Permit(
        allowed={method: int(number) for method, number in allowed.items() if number},
        blocked_seconds={
            BATCH if place == BATCH else methods[int(place) - 1]: float(seconds) for place, seconds in blocked.items()
        },
        cost_seconds=costs,
        spare=float(answer["spare"]),
        is_probe=bool(answer.get("is_probe")),
    )


def _reserved(name: str, permit: Permit) -> float:
    """Seconds that `take` reserved: nothing for a probe, nor for commands whose batch is billed as a whole."""
    if permit.is_probe or (name != BATCH and BATCH in permit.allowed):
        return 0.0
    return permit.allowed.get(name, 0) * permit.cost_seconds.get(name, 0.0)


def _settled(name: str, permit: Permit, spent: Mapping[str, Spent], refused: Collection[str]) -> dict[str, Any]:
    one = spent.get(name, Spent(commands=0, seconds=0.0))
    return {
        "name": name,
        "reserved": _reserved(name, permit),
        "commands": one.commands,
        "seconds": one.seconds,
        "operating": one.operating_seconds,
        "resets_at": one.resets_at,
        "refused": name in refused,
    }


def _settled_batch(permit: Permit, spent: Mapping[str, Spent], refused: Collection[str]) -> dict[str, Any]:
    nested_seconds = sum(one.seconds for name, one in spent.items() if name != BATCH)
    return _settled(BATCH, permit, spent, refused) | {"nested": nested_seconds}


def _run_commands(spent: Mapping[str, Spent]) -> int:
    return sum(one.commands for name, one in spent.items() if name != BATCH)


def _lane_use(counted: Mapping[str, str], lane: Lane) -> LaneUse:
    def counter(name: str) -> float:
        return float(counted.get(f"{lane} {name}", 0))

    return LaneUse(
        requests=int(counter("requests")),
        commands=int(counter("commands")),
        waited_seconds=counter("waited_seconds"),
        refused_requests=int(counter("refused_requests")),
        refused_commands=int(counter("refused_commands")),
        lost_answers=int(counter("lost_answers")),
    )
