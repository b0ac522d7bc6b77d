"""Deals to 1C orders."""

from __future__ import annotations

from typing import Any

from sync_worker.app import app
from sync_worker.contract import EntityKind, task_name
from sync_worker.tasks.base import SyncTask


@app.task(name=task_name(EntityKind.DEAL), base=SyncTask, bind=True)
def deal_changed(self: SyncTask, event: dict[str, Any]) -> str:
    return self.run_event(event)
