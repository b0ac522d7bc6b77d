"""What a worker holds stays its own for as long as it lives, and comes back soon after its death. For Redis.

kombu notes when a message was given out, and gives it out again once that is `visibility_timeout` ago, whether its
worker lives or not. So the timeout would have to be longer than the longest task and the longest countdown, and a
killed worker's events would wait for just as long. Here the worker renews the note of all that it holds, three times
within the timeout: it becomes a lease, and can be short. Whoever stands still for longer has lost his messages; what
he still does with their records is stopped by the records' own leases (store/leases.py).
Source: kombu 5.7, transport/redis.py, QoS.append and QoS.restore_visible.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery import bootsteps

from sync_worker.settings import broker_visibility_seconds

logger = structlog.get_logger("sync.holding")

RENEWALS = 3  # within the timeout: one may be late


class KeepHeld(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """A step of the worker's consumer; it starts anew with each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._entry: Any = None
        super().__init__(consumer)

    def include_if(self, consumer: Any) -> bool:
        return str(consumer.app.conf.broker_url).startswith(("redis:", "rediss:"))

    def start(self, consumer: Any) -> None:
        seconds = broker_visibility_seconds() / RENEWALS
        self._entry = consumer.timer.call_repeatedly(seconds, renew, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002  # Celery's form
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None


def renew(consumer: Any) -> None:
    """Say that all that this worker holds was given out now. What is gone from the list by now is not put back."""
    channel = consumer.task_consumer.channel
    try:
        held = list(channel.qos._delivered)
        if held:
            with channel.qos.pipe_or_acquire() as pipe:
                now = time.time()  # as kombu notes it
                pipe.zadd(channel.qos.unacked_index_key, dict.fromkeys(held, now), xx=True).execute()
    except channel.connection_errors as error:
        # the worker finds that out by itself; what it held may be given out again meanwhile
        logger.warning("not_renewed", reason=type(error).__name__)
