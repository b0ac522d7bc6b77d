"""How much waits in the broker's Redis, by queue. Only lengths are read: what waits is the workers' business."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import redis

from sync_worker.contract import BROKER_KEY_PREFIX, all_queues
from sync_worker.store.accepted import HELD_KEY
from sync_worker.store.client import translating


class RedisQueues:
    """`client` is the broker's."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def waiting(self) -> Mapping[str, int]:
        """Messages by queue; those that a worker works on, or holds until their countdown is over, are among them."""
        with self._client.pipeline(transaction=True) as pipeline:
            for name in all_queues():
                pipeline.llen(BROKER_KEY_PREFIX + name)
            pipeline.hvals(HELD_KEY)
            *lengths, held = pipeline.execute()
        held_by_queue = Counter(map(_queue_of, held))
        return {name: length + held_by_queue[name] for name, length in zip(all_queues(), lengths, strict=True)}


def _queue_of(held: str) -> str:
    """On Redis the routing key is the queue's name (celeryconfig)."""
    _message, _exchange, routing_key = json.loads(held)
    return str(routing_key)
