"""What keeps the house: events that could not be read, parked ones whose time has come, and lost ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from celery import Task
from marshmallow import ValidationError

from sync_worker.app import app
from sync_worker.bootstrap import BudgetSources, build_alerts, build_budget, build_office
from sync_worker.contract import (
    ALERT_TASK,
    MISFIT_TASK,
    RELEASE_TASK,
    REPLAY_TASK,
    REQUEUE_TASK,
    STOCK_TASK,
    Misfit,
)
from sync_worker.settings import load_settings
from sync_worker.sync.alerts import AlertSender
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.tasks.base import keep_unreadable, strike, worker_of_process
from sync_worker.tasks.giving_back import never_lost

logger = structlog.get_logger("sync.upkeep")


@app.task(name=MISFIT_TASK, bind=True)
def keep_misfit(self: Task, misfit: dict[str, Any]) -> str:
    with never_lost(self):
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
def _office() -> DeadLetterOffice:
    return build_office(load_settings(), send_task=app.send_task)


@app.task(name=REPLAY_TASK)
def advance_replays() -> int:
    """Send the next letters of the replays that people have started."""
    return _office().advance()


@cache
def _alerts() -> AlertSender | None:
    return build_alerts(load_settings())


@app.task(name=ALERT_TASK)
def send_alerts() -> int:
    """Tell people of dead letters, where ALERT_WEBHOOK_URL says how."""
    sender = _alerts()
    return sender.send_due() if sender is not None else 0


@cache
def _budget() -> BudgetSources:
    return build_budget(load_settings())


@app.task(name=STOCK_TASK)
def take_stock() -> None:
    """Note how the budget stands, for the ingress's /metrics."""
    sources = _budget()
    sources.stock.note(sources.governor.report())
