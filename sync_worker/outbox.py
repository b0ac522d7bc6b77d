"""Putting an event into its queue from inside the worker and the commands (port Outbox)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu.exceptions import KombuError

from sync_worker.contract import ChangeEvent, queue_name, task_name
from sync_worker.errors import StoreUnavailable

SendTask = Callable[..., Any]


class CeleryOutbox:
    """Sends by the task's name. What Flower and the logs see of it is ids only."""

    def __init__(self, send_task: SendTask) -> None:
        self._send_task = send_task

    def publish(self, event: ChangeEvent, *, bulk: bool = False) -> None:
        try:
            self._send_task(
                task_name(event.entity),
                kwargs={"event": event.dump()},
                queue=queue_name(event.entity, bulk=bulk),
                argsrepr="()",
                kwargsrepr=event.describe(),
            )
        except (KombuError, OSError) as error:
            raise StoreUnavailable(f"the broker does not take messages: {type(error).__name__}") from None
