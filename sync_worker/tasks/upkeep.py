"""What keeps the house: events that could not be read, parked ones whose time has come, and lost ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from celery import Task
from marshmallow import ValidationError

from sync_worker.app import app
from sync_worker.bootstrap import BudgetSources, build_budget
from sync_worker.contract import MISFIT_TASK, RELEASE_TASK, REQUEUE_TASK, STOCK_TASK, Misfit
from sync_worker.settings import load_settings
from sync_worker.tasks.base import keep_unreadable, never_lost, strike, worker_of_process

logger = structlog.get_logger("sync.upkeep")


@app.task(name=MISFIT_TASK, bind=True)
def keep_misfit(self: Task, misfit: dict[str, Any]) -> str:
    with never_lost():
        worker = worker_of_process()
        try:
            letter_id = worker.keep(Misfit.load(misfit)).id
        except ValidationError as error:
            letter_id = keep_unreadable(worker, misfit, error)
    strike(self.request.id)
    return letter_id


@app.task(name=RELEASE_TASK)
def release_parked() -> int:
    """Parked events stay parked until they are in their queue, so a failure here loses nothing."""
    return worker_of_process().release_parked()


@app.task(name=REQUEUE_TASK)
def requeue_lost() -> int:
    """Send again what a dying Redis lost between a queue and a worker."""
    found = worker_of_process().outbox.send_lost()
    for shown in found:
        logger.warning("event_found_again", shown=shown)
    return len(found)


@cache
def _budget() -> BudgetSources:
    return build_budget(load_settings())


@app.task(name=STOCK_TASK)
def take_stock() -> None:
    """Note how the budget stands, for the ingress's /metrics."""
    sources = _budget()
    sources.stock.note(sources.governor.report())
