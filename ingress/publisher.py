"""Putting messages into the broker so that they are safe there, or failing fast.

Source of the time limits: reference/celery.md part 3, measured.
"""

# kombu ships a py.typed and hardly any types, amqp none
# mypy: disable-error-code="attr-defined,no-untyped-call,import-untyped"

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import MessageNacked, PreconditionFailed
from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError
from kombu.pools import ProducerPool

from sync_worker.contract import (
    ACCEPTED_KEY,
    BROKER_KEY_PREFIX,
    EXCHANGE,
    RABBITMQ_QUEUE,
    Accepted,
    TaskMessage,
    all_queues,
    explain_refusal,
    seen_marks,
)

PATIENCE_SECONDS = 0.7  # with the quick second try of below, a hung broker costs less than a second
QUICK_SECONDS = 0.25  # a kept connection that died meanwhile fails at once; a hung broker does not

_REFUSAL = re.compile(r"\bMISCONF\b[^\r\n]*")  # Redis lives, and cannot write: its disk is full
_RETRIES = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class BrokerUnavailableError(Exception):
    """The broker did not confirm: send again later. Some of the messages may be there; doing them twice is safe."""

    @property
    def refusal(self) -> str:
        """Redis's own words where it answers and cannot write; else blank."""
        found = _REFUSAL.search(str(self))
        return found[0] if found else ""


class QueueRefusedError(BrokerUnavailableError):
    """RabbitMQ has a queue in another form than ours. It takes nothing until a person has seen to that."""


class Publisher:
    """Sends tasks to their queues over kept connections; safe to share between threads."""

    def __init__(self, broker_url: str, *, connections: int = 16, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """`connections` at once; a thread that finds none free waits, so give one to each thread.

        `patience_seconds` for each answer of the broker's: to a connect, and to a message.
        """
        self._is_redis = urlsplit(broker_url).scheme.startswith("redis")
        self.queues = _queues(is_redis=self._is_redis)
        self._patience_seconds = patience_seconds
        options = _redis_options if self._is_redis else _rabbitmq_options
        self._connection = Connection(
            broker_url, connect_timeout=patience_seconds, transport_options=options(patience_seconds)
        )
        self._connections = self._connection.Pool(limit=connections)
        self._producers = ProducerPool(self._connections, limit=connections)

    def publish(self, messages: Sequence[TaskMessage]) -> None:
        """Return when the broker has confirmed them all. Errors: BrokerUnavailableError, soon."""
        started = time.monotonic()
        try:
            self._publish_once(messages)
        except BrokerUnavailableError:
            if time.monotonic() - started > QUICK_SECONDS:
                raise
            self._publish_once(messages)

    def check(self) -> None:
        """Return if the broker can be reached now. Errors: BrokerUnavailableError."""
        connection = self._connection.clone()
        try:
            connection.default_channel.close()  # `channel()` would wait with kombu's own, much longer, patience
        except self._errors as error:
            raise BrokerUnavailableError(str(error)) from error
        finally:
            connection.release()

    def close(self) -> None:
        self._producers.force_close_all()
        self._connections.force_close_all()

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        # a nack of RabbitMQ's is in none of kombu's lists
        return (
            KombuError,
            OSError,
            MessageNacked,
            *self._connection.connection_errors,
            *self._connection.channel_errors,
        )

    def _publish_once(self, messages: Sequence[TaskMessage]) -> None:
        try:
            with self._producers.acquire(block=True) as producer:
                try:
                    self._send_all(producer, messages)
                except BaseException:
                    # whatever went wrong, the next one must not find a half-read answer on this connection
                    producer.connection.collect()
                    raise
        except PreconditionFailed as error:
            raise QueueRefusedError(explain_refusal(str(error.reply_text))) from error
        except self._errors as error:
            raise BrokerUnavailableError(str(error)) from error

    def _send_all(self, producer: Any, messages: Sequence[TaskMessage]) -> None:
        if self._is_redis and messages:
            # before they are sent: what a dying Redis loses between list and worker is found in the ledger
            ledger = {one.correlation_id: Accepted.of(one, at=time.time()) for one in messages}
            with producer.connection.default_channel.client.pipeline() as together:
                together.hset(ACCEPTED_KEY, mapping={task_id: one.dump() for task_id, one in ledger.items()})
                for key, marks in seen_marks(ledger).items():
                    together.zadd(key, marks)
                together.execute()
        with producer.batch():  # one round trip for them all on Redis; RabbitMQ confirms one by one
            for message in messages:
                self._send(producer, message)

    def _send(self, producer: Any, message: TaskMessage) -> None:
        queue = self.queues[message.queue]
        producer.publish(
            message.body,
            exchange=queue.exchange,
            routing_key=message.queue,
            headers=message.headers,
            correlation_id=message.correlation_id,
            serializer="json",
            delivery_mode=2,
            declare=[queue],
            mandatory=True,  # RabbitMQ: a message that no queue takes is an error, not a confirmation
            confirm_timeout=self._patience_seconds,
        )


def _redis_options(patience_seconds: float) -> dict[str, Any]:
    return {
        **_RETRIES,
        "socket_timeout": patience_seconds,  # the default waits for ever
        "socket_connect_timeout": patience_seconds,
        "socket_keepalive": True,
        "global_keyprefix": BROKER_KEY_PREFIX,
    }


def _rabbitmq_options(patience_seconds: float) -> dict[str, Any]:
    return {
        **_RETRIES,
        "confirm_publish": True,  # off by default, and then a publish may be lost without an error
        "read_timeout": patience_seconds,
        "write_timeout": patience_seconds,
    }


def _queues(*, is_redis: bool) -> dict[str, Queue]:
    """The queues as the workers declare them too (celeryconfig.py): RabbitMQ refuses a second form of one queue."""
    # Redis has no exchanges: kombu imitates them with a set of bindings, and drops a message without a word when that
    # set is gone (after a FLUSHDB, or a failover to an empty replica). A list by its name is always there.
    exchange = Exchange("", type="direct") if is_redis else Exchange(EXCHANGE, type="topic", durable=True)
    arguments = {} if is_redis else dict(RABBITMQ_QUEUE)
    return {
        name: Queue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments) for name in all_queues()
    }
