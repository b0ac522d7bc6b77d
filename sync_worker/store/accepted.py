"""The ledger of accepted messages, in the broker's Redis: what was lost between a queue and a worker is found here.

kombu takes a message out of its list (BRPOP) and only then notes that it holds it; a Redis that dies in between loses
the message, and so does a worker whose note no longer arrives. Shape: contract.ACCEPTED_KEY.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import redis

from sync_worker.contract import ACCEPTED_KEY, BROKER_KEY_PREFIX, Accepted, all_queues, seen_key, seen_marks
from sync_worker.domain.identity import EntityKind
from sync_worker.store.client import translating

_LEDGER = BROKER_KEY_PREFIX + ACCEPTED_KEY
HELD_KEY = BROKER_KEY_PREFIX + "unacked"  # kombu's hash of what workers hold: JSON of [message, exchange, routing key]
SETTLING_SECONDS = 10  # a message may be on its way for so long


class RedisLedger:
    """`client` is the broker's."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def note(self, task_id: str, accepted: Accepted) -> None:
        with self._client.pipeline(transaction=True) as together:
            together.hset(_LEDGER, task_id, accepted.dump())
            for key, marks in seen_marks({task_id: accepted}).items():
                together.zadd(BROKER_KEY_PREFIX + key, marks)
            together.execute()

    @translating()
    def strike(self, task_id: str) -> None:
        """The event is handled, parked or a dead letter. Where this is lost, it is looked at once more: no harm."""
        with self._client.pipeline(transaction=True) as together:
            together.hdel(_LEDGER, task_id)
            for entity in EntityKind:
                together.zrem(seen_key(_LEDGER, entity), task_id)
            together.execute()

    @translating()
    def lost(self, *, now: float) -> list[tuple[str, Accepted]]:
        """Messages that were accepted a while ago and are neither queued nor held by a worker.

        Units: `now` in Unix seconds. Cost: reads the ledger and all queues, which is little unless there is a backlog.
        """
        entries: Any = self._client.hgetall(_LEDGER)
        noted = {task_id: Accepted.load(text) for task_id, text in entries.items()}
        old = {task_id: one for task_id, one in noted.items() if one.at <= now - SETTLING_SECONDS}
        alive = set(self._alive()) if old else set()
        return [(task_id, one) for task_id, one in old.items() if task_id not in alive]

    def _alive(self) -> Iterator[str]:
        """Ids that are queued or held. Held ones last: what moves over meanwhile is seen at least once."""
        for queue in all_queues():
            messages: Any = self._client.lrange(BROKER_KEY_PREFIX + queue, 0, -1)
            yield from (id_of(message) for message in messages)
        held: Any = self._client.hvals(HELD_KEY)
        yield from (id_of(value) for value in held)


def id_of(value: str) -> str:
    """Of a queued or a held message; blank where a person put something into the list that is none."""
    try:
        message = json.loads(value)
        return str((message[0] if isinstance(message, list) else message)["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return ""


class NoLedger:
    """For RabbitMQ, which keeps a message until it is acknowledged."""

    def note(self, task_id: str, accepted: Accepted) -> None:
        """Nothing to note."""

    def strike(self, task_id: str) -> None:
        """Nothing to strike."""

    def lost(self, *, now: float) -> list[tuple[str, Accepted]]:  # noqa: ARG002  # the ledger's own form
        return []
