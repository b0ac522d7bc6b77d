"""The look at the portal's offline queue that beat asks for; nothing where no local application is set up."""

from __future__ import annotations

from functools import cache

import structlog

from sync_worker.app import app
from sync_worker.bootstrap import build_offline
from sync_worker.contract import OFFLINE_TASK
from sync_worker.settings import load_settings
from sync_worker.sync.offline import Look, OfflineSource
from sync_worker.telemetry import report_fault

logger = structlog.get_logger("sync.offline")


@cache
def _source() -> OfflineSource | None:
    return build_offline(load_settings(), send_task=app.send_task)


@app.task(name=OFFLINE_TASK)
def read_offline_queue() -> int:
    """In one process at a time. Returns how many rows were taken."""
    source = _source()
    return _log(source.look()) if source is not None else 0


def _log(look: Look) -> int:
    """One line for what was found, one alarm for what a person has to mend."""
    if look.rows:
        logger.info("offline_queue_read", **look.rows)
    if look.is_alarm and look.error is not None:
        logger.error("offline_queue_shut", reason=str(look.error), advice="webhook and sweeps go on; see doctor")
        report_fault(look.error)
    elif look.error is not None:
        logger.info("offline_queue_waits", reason=str(look.error))
    if look.is_well_again:
        logger.info("offline_queue_read_again")
    return sum(look.rows.values())
