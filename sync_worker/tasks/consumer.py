"""What a worker's consumer does beside Celery's: it looks at each message first, and takes from the dead queue too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from amqp.exceptions import PreconditionFailed
from celery.exceptions import WorkerShutdown
from celery.worker.consumer import Consumer
from kombu import Message

from sync_worker.contract import DEAD_QUEUE, explain_refusal
from sync_worker.tasks.poison import explain, find_fault, in_its_place
from sync_worker.tasks.undelivered import has_run_out, in_place_of_undelivered, is_undelivered

logger = structlog.get_logger("sync.consumer")

REFUSED_REST_SECONDS = 10  # before a worker ends that has no queues: its supervisor starts the next one at once


class CarefulConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Named in celeryconfig.worker_consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        queues = self.app.amqp.queues
        if DEAD_QUEUE in queues:  # on RabbitMQ; a worker that was started with a -Q of its own takes from it as well
            queues.select_add(queues[DEAD_QUEUE])

    def start(self) -> None:
        """Errors: WorkerShutdown, after some words, where RabbitMQ has a queue in another form than ours."""
        try:
            super().start()
        except PreconditionFailed as error:
            logger.critical("queue_refused", reason=explain_refusal(str(error.reply_text)))
            time.sleep(REFUSED_REST_SECONDS)
            raise WorkerShutdown(1) from error

    def create_task_handler(self, *args: Any) -> Callable[[Message], None]:
        self._take: Callable[[Message], None] = super().create_task_handler(*args)
        return self._look_and_take

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """What kombu could not even unpack."""
        self._file(message, explain("it cannot be unpacked", exc))

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ARG002
        """What Celery finds wrong beside: an eta or a time of expiry that is none."""
        self._file(message, str(exc))

    def _look_and_take(self, message: Message) -> None:
        if is_undelivered(message):
            self._take_undelivered(message)
        elif fault := find_fault(message, self.app.tasks):
            self._file(message, fault)
        else:
            self._take(message)

    def _take_undelivered(self, message: Message) -> None:
        """By its headers alone: its body may be what ended the workers."""
        if has_run_out(message.headers):
            message.ack_log_error(logger, self.connection_errors)
        else:
            self._take(in_place_of_undelivered(message))

    def _file(self, message: Message, fault: str) -> None:
        self._take(in_its_place(message, fault))
