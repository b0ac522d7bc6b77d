"""What keeps the house: events that could not be read, and parked ones whose time has come."""

from __future__ import annotations

from typing import Any

from sync_worker.app import app
from sync_worker.contract import MISFIT_TASK, RELEASE_TASK, Misfit
from sync_worker.tasks.base import worker_of_process


@app.task(name=MISFIT_TASK)
def keep_misfit(misfit: dict[str, Any]) -> str:
    return worker_of_process().keep(Misfit.load(misfit)).id


@app.task(name=RELEASE_TASK)
def release_parked() -> int:
    return worker_of_process().release_parked()
