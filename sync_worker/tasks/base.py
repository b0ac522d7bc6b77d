"""The only place that knows both Celery and the flows."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import structlog
from celery import Task
from marshmallow import ValidationError

from sync_worker.app import app
from sync_worker.bootstrap import build_worker
from sync_worker.contract import CONFIRM_SECONDS, ChangeEvent, Misfit, System, new_trace
from sync_worker.errors import (
    CircuitOpen,
    Misconfigured,
    RateLimited,
    RecordBusy,
    ShutOut,
    StoreUnavailable,
    WorkerCrash,
)
from sync_worker.settings import load_settings
from sync_worker.store.client import connect
from sync_worker.store.crashes import RedisCrashes
from sync_worker.store.locks import RedisLocks
from sync_worker.sync.retry_policy import GiveUp, WaitFor
from sync_worker.sync.worker import SyncWorker, after_failure
from sync_worker.tasks.giving_back import never_lost
from sync_worker.tasks.suspects import SUSPECT_HEADER, Watch, is_watched
from sync_worker.telemetry import mask_all, report_fault

logger = structlog.get_logger("sync.task")

WATCH_LEASE_SECONDS = 6  # so long after a crash the next try begins, at the earliest
SUSPECT_TURN = WaitFor(2, counts=False)
"""How a watched event waits for a record that is held. A worker that died holds its locks for some seconds more, and an
event that waits in the store comes back as a message that nobody watches: so it could kill for ever."""

_building = threading.Lock()


@cache
def _build() -> SyncWorker:
    return build_worker(load_settings(), send_task=app.send_task)


def worker_of_process() -> SyncWorker:
    """The one worker of this process, built when its first task runs."""
    with _building:
        return _build()


@cache
def _build_watch() -> Watch:
    store = connect(load_settings().redis_url)
    return Watch(crashes=RedisCrashes(store), locks=RedisLocks(store, lease_seconds=WATCH_LEASE_SECONDS))


def watch_of_process() -> Watch:
    """One for all tasks of this process: who runs alone has to know of all others."""
    with _building:
        return _build_watch()


def strike(task_id: str) -> None:
    """The message needs no second look. Where this fails it gets one, and nothing else comes of it."""
    try:
        worker_of_process().outbox.strike(task_id)
    except StoreUnavailable as error:
        logger.warning("not_struck", reason=str(error))


class RetryLaterError(Exception):
    """What Flower and Celery's log see of a failure that is tried again: one masked line."""


class SyncTask(Task):  # type: ignore[misc]  # Celery ships no types
    """Runs one event, and turns a failure into a retry, a parking place or a dead letter."""

    abstract = True
    max_retries = None  # the policy gives up by age; Celery's own default would after three

    def run_event(self, message: dict[str, Any]) -> str:
        with never_lost(self):
            outcome = self._read_and_run(worker_of_process(), message)
        strike(self.request.id)
        return outcome

    def _read_and_run(self, worker: SyncWorker, message: dict[str, Any]) -> str:
        try:
            event = ChangeEvent.load(message)
        except ValidationError as error:
            return keep_unreadable(worker, message, error)
        with structlog.contextvars.bound_contextvars(
            entity=event.entity.value, record=str(event.record), trace=event.trace, lane=event.lane.value
        ):
            return self._run_watched(worker, event)

    def _run_watched(self, worker: SyncWorker, event: ChangeEvent) -> str:
        try:
            with watch_of_process().over(self.request.id, is_watched=is_watched(self.request)):
                return self._run(worker, event)
        except RecordBusy as error:
            return self._settle(worker, event, error)
        except WorkerCrash as error:
            _report(error, GiveUp.__name__, event)
            worker.give_up(event, error)
            return GiveUp.__name__.lower()

    def _run(self, worker: SyncWorker, event: ChangeEvent) -> str:
        started = time.monotonic()
        try:
            found = worker.resolve(event)
            outcome = "skipped"
            if found is not None:
                event = found
                outcome = worker.handle(event).value
        except Exception as error:  # every failure is filed, whatever it is
            failure = error
        else:
            logger.info("event_done", outcome=outcome, seconds=round(time.monotonic() - started, 3))
            return outcome
        # outside of the handler: Celery would else send the whole traceback, with every chained message, to Flower
        return self._settle(worker, event, failure)

    def _settle(self, worker: SyncWorker, event: ChangeEvent, error: Exception) -> str:
        is_suspect = is_watched(self.request)
        decision = SUSPECT_TURN if is_suspect and isinstance(error, RecordBusy) else worker.settle(event, error)
        _report(error, type(decision).__name__, event)
        report_fault(error)
        if isinstance(decision, WaitFor):
            again = after_failure(event, decision)
            raise self.retry(
                kwargs={"event": again.dump()},
                countdown=decision.seconds,
                exc=RetryLaterError(worker.mask(f"{type(error).__name__}: {error}")),
                argsrepr="()",
                kwargsrepr=again.describe(),
                confirm_timeout=CONFIRM_SECONDS,
                **({"headers": {SUSPECT_HEADER: True}} if is_suspect else {}),
            )
        return type(decision).__name__.lower()


def keep_unreadable(worker: SyncWorker, message: Any, error: ValidationError) -> str:
    """File a message that is no event or misfit: from a newer ingress, or written by hand, so it may be anything."""
    raw = message if isinstance(message, dict) else {"message": message}
    misfit = Misfit(
        system=System.BITRIX24,
        seen_at=worker.clock.now(),
        trace=str(raw.get("trace") or new_trace()),
        errors={"message": error.messages},
        raw=mask_all(raw, worker.mask),
    )
    return worker.keep(misfit).id


def _report(error: Exception, decision: str, event: ChangeEvent) -> None:
    """One line that says what failed and what happens next. A traceback only for what nobody foresaw."""
    is_foreseen = hasattr(error, "cause")
    level = "error" if isinstance(error, Misconfigured) or not is_foreseen else "warning"
    if isinstance(error, (RecordBusy, RateLimited, CircuitOpen, ShutOut)):
        level = "info"  # waiting for one's turn is ordinary work, and of a shut remote the gateway raises one alarm
    getattr(logger, level)(
        "event_failed",
        cause=getattr(error, "cause", "internal_error"),
        reason=str(error),
        next=decision,
        attempts=event.attempts,
        exc_info=None if is_foreseen else error,
    )
