"""An order's status in 1C, and the deal's stage that it means."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.rules import PipelineRules


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderStatus:
    """What 1C says of an order. Status is None where the base has none, or the event says nothing of it."""

    order: RecordRef
    sequence: int
    status: str | None
    deal: RecordRef | None  # where 1C names it
    is_deleted: bool = False


def target_stage(status: str, pipeline: PipelineRules) -> str | None:
    """The stage this status means in the pipeline; None where sync.toml names none."""
    return pipeline.stages.get(status)
