"""How far a long job has come, so that one that was killed goes on there.

Shape: `sync:progress:<job>`, a hash: source -> where to go on, or DONE; gone KEPT_SECONDS after its last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from sync_worker.store.client import translating

KEPT_SECONDS = 7 * 24 * 3600  # an older place is no place to go on from: begin anew


class RedisProgress:
    """Port: Progress."""

    def __init__(self, client: redis.Redis, job: str) -> None:
        self._client = client
        self._key = f"sync:progress:{job}"

    @translating()
    def read(self) -> Mapping[str, str]:
        """Source -> place, of all that were begun."""
        found: Any = self._client.hgetall(self._key)
        return dict(found)

    @translating()
    def note(self, source: str, place: str) -> None:
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._key, source, place)
            pipeline.expire(self._key, KEPT_SECONDS)
            pipeline.execute()

    @translating()
    def clear(self) -> None:
        self._client.delete(self._key)
