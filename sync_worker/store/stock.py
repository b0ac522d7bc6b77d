"""How the budget stands, noted every few seconds for those who may not ask the governor: the ingress's /metrics.

Shape: contract.BUDGET_STOCK_KEY, "level" and the other figures of _FIGURES, "circuit_open" (0 or 1), and for each
method "used_seconds <method>" and "limit_seconds <method>".
"""

from __future__ import annotations

from typing import Any

import redis

from sync_worker.contract import BUDGET_STOCK_KEY
from sync_worker.domain.budget import BudgetReport
from sync_worker.store.client import translating

LIFE_SECONDS = 60  # an old figure would be taken for a new one; several rounds of the beat may fail before it is gone

_FIGURES = ("level", "burst", "rate_per_second", "plan_rate_per_second")


class RedisStock:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def note(self, report: BudgetReport) -> None:
        """Take the place of what was noted before. Errors: StoreUnavailable."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.delete(BUDGET_STOCK_KEY)
            pipeline.hset(BUDGET_STOCK_KEY, mapping=_fields(report))
            pipeline.expire(BUDGET_STOCK_KEY, LIFE_SECONDS)
            pipeline.execute()


def _fields(report: BudgetReport) -> dict[Any, float]:
    fields: dict[Any, float] = {name: getattr(report, name) for name in _FIGURES}
    fields["circuit_open"] = int(report.circuit is not None)
    for method, use in report.methods.items():
        fields[f"used_seconds {method}"] = use.used_seconds
        fields[f"limit_seconds {method}"] = use.limit_seconds
    return fields
