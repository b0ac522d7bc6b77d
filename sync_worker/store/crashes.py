"""How often the worker died while it was at a message. Only a crash leaves a count: any other end takes it back.

Shape: `sync:crashes:<task id>` -> a number; gone a day after it was last written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis

from sync_worker.errors import StoreUnavailable
from sync_worker.store.client import translating

LIFE_SECONDS = 24 * 3600


class RedisCrashes:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def so_far(self, task_id: str) -> int:
        """Counted runs that never came to an end."""
        count: Any = self._client.get(_key(task_id))
        return int(count or 0)

    @contextmanager
    def counting(self, task_id: str, so_far: int) -> Iterator[None]:
        """One more than `so_far` where the process does not live to see the end of the block.

        Errors: StoreUnavailable, before the block. After it the work is done, and the count stays one too high.
        """
        self._write(task_id, so_far + 1)
        try:
            yield
        finally:
            with suppress(StoreUnavailable):
                self._write(task_id, so_far)

    @translating()
    def _write(self, task_id: str, count: int) -> None:
        if count:
            self._client.set(_key(task_id), count, ex=LIFE_SECONDS)
        else:
            self._client.delete(_key(task_id))


def _key(task_id: str) -> str:
    return f"sync:crashes:{task_id}"
