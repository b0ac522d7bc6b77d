"""What a remote allows us, and what of it was used: said between the gateways and the store that keeps the count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync_worker.domain.identity import Lane

BATCH = "batch"  # the method that a portal bills a batch to, where it bills the whole of it to one


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """The answer to "may these commands leave now?"."""

    wait_seconds: float = 0.0  # above 0: sleep so long, then ask again
    is_reserved: bool = False  # the token after that wait is ours: ask again with `is_paid`
    allowed: Mapping[str, int] = field(default_factory=dict)  # method -> how many of its commands may leave now
    blocked_seconds: Mapping[str, float] = field(default_factory=dict)  # method -> until some of the rest may leave
    cost_seconds: Mapping[str, float] = field(default_factory=dict)  # method -> running time one command is taken for
    spare: float = 1.0  # the share of the lane's burst that is still free
    is_probe: bool = False  # the one call that finds out whether a closed portal is open again


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What the commands of one method in one request really took."""

    commands: int
    seconds: float  # running time, as the portal gave it
    operating_seconds: float | None = None  # the portal's own sum for the method, after this request
    resets_at: float | None = None  # Unix time at which the oldest minute leaves that sum


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneUse:
    """Counted since the store was new."""

    requests: int = 0
    commands: int = 0
    waited_seconds: float = 0.0  # what callers waited for their request to leave, summed
    refused_requests: int = 0  # 503: the portal's bucket was fuller than we thought
    refused_commands: int = 0  # 429: a method's running time was spent
    lost_answers: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodUse:
    """Running time of one method in the last ten minutes."""

    used_seconds: float
    limit_seconds: float
    cost_seconds: float  # of one command, learned
    blocked_seconds: float = 0.0  # until it may be called again; 0 where it may


@dataclass(frozen=True, kw_only=True, slots=True)
class Circuit:
    """A remote that is down or has shut us out: nothing is sent but one probe now and then."""

    since: float  # Unix time
    cause: str  # of the error that opened it, as operators see it
    message: str
    probe_in_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetReport:
    """How the budget stands now."""

    level: float  # requests counted against the burst
    burst: float
    rate_per_second: float  # as learned; at most what the plan allows
    plan_rate_per_second: float
    shut_seconds: float = 0.0  # nobody takes for so long, after a refusal
    circuit: Circuit | None = None
    lanes: Mapping[Lane, LaneUse] = field(default_factory=dict)
    methods: Mapping[str, MethodUse] = field(default_factory=dict)
