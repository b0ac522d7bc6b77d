"""What keeps the house: events that could not be read, and parked ones whose time has come."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from sync_worker.app import app
from sync_worker.contract import MISFIT_TASK, RELEASE_TASK, Misfit
from sync_worker.tasks.base import keep_unreadable, never_lost, worker_of_process


@app.task(name=MISFIT_TASK)
def keep_misfit(misfit: dict[str, Any]) -> str:
    with never_lost():
        worker = worker_of_process()
        try:
            return worker.keep(Misfit.load(misfit)).id
        except ValidationError as error:
            return keep_unreadable(worker, misfit, error)


@app.task(name=RELEASE_TASK)
def release_parked() -> int:
    """Parked events stay parked until they are in their queue, so a failure here loses nothing."""
    return worker_of_process().release_parked()
