"""For `celery worker --include`: one event ends its worker's process before anybody has counted it, and another one
whoever wants to file it, too."""

from __future__ import annotations

import os
from typing import Any

from sync_worker.contract import ChangeEvent
from sync_worker.sync.filing import Filing
from sync_worker.tasks.base import SyncTask

EARLY, UNTOUCHABLE = "555555", "444444"  # ids of contacts that the portal does not have

_run_event, _file = SyncTask.run_event, Filing.file


def run_event(task: SyncTask, message: dict[str, Any]) -> str:
    if message["record"]["id"] in (EARLY, UNTOUCHABLE):
        os._exit(137)
    return _run_event(task, message)


def file(filing: Filing, event: ChangeEvent, error: Exception) -> Any:
    if event.record.id == UNTOUCHABLE:
        os._exit(137)
    return _file(filing, event, error)


SyncTask.run_event = run_event  # type: ignore[method-assign]
Filing.file = file  # type: ignore[method-assign]
