"""Putting an event into its queue from inside the worker and the commands (port Outbox)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from amqp.exceptions import PreconditionFailed
from kombu.exceptions import KombuError

from sync_worker.contract import CONFIRM_SECONDS, Accepted, ChangeEvent, event_message, explain_refusal
from sync_worker.errors import QueueRefused, StoreUnavailable

SendTask = Callable[..., Any]


class Ledger(Protocol):
    """What was accepted and not yet handled; store/accepted.py."""

    def note(self, task_id: str, accepted: Accepted) -> None: ...

    def strike(self, task_id: str) -> None: ...

    def lost(self, *, now: float) -> list[tuple[str, Accepted]]: ...


class CeleryOutbox:
    """Sends by the task's name. What Flower and the logs see of it is ids only."""

    def __init__(self, send_task: SendTask, ledger: Ledger) -> None:
        self._send_task = send_task
        self._ledger = ledger

    def publish(self, event: ChangeEvent) -> None:
        message = event_message(event)
        accepted = Accepted.of(message, at=time.time())
        self._ledger.note(message.correlation_id, accepted)
        self._put(message.correlation_id, accepted)

    def strike(self, task_id: str) -> None:
        """The message's event is in safety: nobody has to look for it. Errors: StoreUnavailable."""
        self._ledger.strike(task_id)

    def send_lost(self) -> list[str]:
        """Send again what a dying broker lost between a queue and a worker. Returns what each was about."""
        lost = self._ledger.lost(now=time.time())
        for task_id, accepted in lost:
            self._put(task_id, accepted)
        return [accepted.shown for _, accepted in lost]

    def _put(self, task_id: str, accepted: Accepted) -> None:
        """Put a message into its queue, under the id it is known by. Errors: StoreUnavailable."""
        try:
            self._send_task(
                accepted.task,
                kwargs=dict(accepted.kwargs),
                queue=accepted.queue,
                task_id=task_id,
                argsrepr="()",
                kwargsrepr=accepted.shown,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except PreconditionFailed as error:
            raise QueueRefused(explain_refusal(str(error.reply_text))) from None
        except (KombuError, OSError) as error:
            raise StoreUnavailable(f"the broker does not take messages: {type(error).__name__}") from None
