"""1C invoices to Bitrix24."""

from __future__ import annotations

from typing import Any

from sync_worker.app import app
from sync_worker.contract import EntityKind, task_name
from sync_worker.tasks.base import SyncTask


@app.task(name=task_name(EntityKind.INVOICE), base=SyncTask, bind=True)
def invoice_changed(self: SyncTask, event: dict[str, Any]) -> str:
    return self.run_event(event)
