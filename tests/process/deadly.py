"""For `celery worker --include`: makes one record's event end its worker's process as the kernel would, and another's
be in flight at that moment."""

from __future__ import annotations

import os
import threading

from sync_worker.contract import ChangeEvent
from sync_worker.domain.outcome import Outcome
from sync_worker.sync.worker import SyncWorker

KILLER, BYSTANDER = "666666", "777777"  # ids of contacts that the portal does not have
LONGEST_SECONDS = 1.0

_handle = SyncWorker.handle
_is_beside = threading.Event()


def handle(worker: SyncWorker, event: ChangeEvent) -> Outcome:
    if event.record.id == KILLER:
        _is_beside.wait(LONGEST_SECONDS)
        os._exit(137)
    if event.record.id == BYSTANDER:
        _is_beside.set()
        threading.Event().wait(LONGEST_SECONDS)
        _is_beside.clear()
    return _handle(worker, event)


SyncWorker.handle = handle  # type: ignore[method-assign]
