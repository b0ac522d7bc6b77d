"""The sweep that beat asks for: done once in `reconcile.every_minutes`, in one process at a time."""

from __future__ import annotations

from functools import cache

import structlog

from sync_worker.app import app
from sync_worker.bootstrap import build_reconciler
from sync_worker.contract import SWEEP_TASK
from sync_worker.domain.drift import SweepState
from sync_worker.errors import RecordBusy
from sync_worker.settings import load_settings
from sync_worker.sync.reconcile import Reconciler, Report

logger = structlog.get_logger("sync.sweep")


@cache
def _reconciler() -> Reconciler:
    return build_reconciler(load_settings(), send_task=app.send_task)


@app.task(name=SWEEP_TASK)
def sweep() -> int:
    """Where one is due. Returns how many events were handed over. Where another sweep runs, that one will do."""
    if not _reconciler().is_due():
        return 0
    try:
        report = _reconciler().sweep()
    except RecordBusy:
        return 0
    _log(report)
    return len(report.events)


def _log(report: Report) -> None:
    for part in report.parts:
        if part.state in (SweepState.HELD, SweepState.FAILED):
            logger.warning("sweep_not_done", source=part.source, state=part.state.value, reason=part.message)
    drift = {entity.value: count for entity, count in report.drift.items() if count}
    logger.info("swept", handed_over=len(report.events), drift=drift)
