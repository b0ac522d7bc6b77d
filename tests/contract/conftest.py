from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from sync_worker.store.client import connect


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with connect(redis_url) as connected:
        yield connected
