"""How fast we may go: what the plans allow, and the governor that every request asks first.

The governor is shared by all processes and machines (store/governor.py). It has two budgets: requests, a leaky bucket,
and each method's running time in ten minutes. Source: reference/bitrix24, 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from sync_worker.domain.budget import Permit, Spent
from sync_worker.domain.identity import Lane


class Governor(Protocol):
    """Errors of all its methods: StoreUnavailable."""

    def take(self, lane: Lane, wanted: Mapping[str, int], *, is_batch: bool, is_paid: bool = False) -> Permit:
        """May these commands (method -> number) leave as one request now? Errors: RateLimited, CircuitOpen."""

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
        """Say what the request really took. `refused`: methods whose running time the portal says is spent.

        `is_lost`: it may have run, nobody knows for how long. `is_failed`: it says nothing of the portal's being well.
        """

    def refused(self, lane: Lane) -> None:
        """The portal refused a request all the same, so somebody else uses its budget: everybody steps back."""

    def failed(self, cause: str, message: str, *, is_final: bool) -> bool:
        """The portal could not be reached, or shut us out (`is_final`). True where this opened the circuit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the portal's plan allows."""

    rate_per_second: float
    burst: float


PLAN_LIMITS = {
    "standard": Limits(rate_per_second=2, burst=50),
    "enterprise": Limits(rate_per_second=5, burst=250),
}
