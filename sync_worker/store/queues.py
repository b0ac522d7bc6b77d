"""How much waits in the broker's Redis, by queue, and what is next. What waits is the workers' business."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import redis

from sync_worker.contract import BROKER_KEY_PREFIX, all_queues
from sync_worker.store.accepted import HELD_KEY, id_of
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

    @translating()
    def next_ids(self) -> Mapping[str, str]:
        """Of each queue that is not empty the id of the message whose turn it is. As long as it stays, nobody takes."""
        with self._client.pipeline(transaction=False) as pipeline:
            for name in all_queues():
                pipeline.lindex(BROKER_KEY_PREFIX + name, -1)
            heads = pipeline.execute()
        return {name: id_of(head) for name, head in zip(all_queues(), heads, strict=True) if head is not None}


def _queue_of(held: str) -> str:
    """On Redis the routing key is the queue's name (celeryconfig)."""
    _message, _exchange, routing_key = json.loads(held)
    return str(routing_key)
