"""What people were last told of each cause of dead letters, so that a restart does not tell it again (port Alarms).

Shape: `sync:alerts`, a hash of cause -> "<how many letters> <when, in ISO 8601>".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import redis

from sync_worker.domain.alert import Told
from sync_worker.store.client import translating

_TOLD = "sync:alerts"


class RedisAlarms:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def told(self) -> Mapping[str, Told]:
        found: Any = self._client.hgetall(_TOLD)
        return {cause: _read(text) for cause, text in found.items()}

    @translating()
    def note(self, cause: str, told: Told) -> None:
        self._client.hset(_TOLD, cause, f"{told.count} {told.at.isoformat()}")

    @translating()
    def forget(self, causes: Collection[str]) -> None:
        if causes:
            self._client.hdel(_TOLD, *causes)


def _read(text: str) -> Told:
    count, at = text.split(" ")
    return Told(count=int(count), at=datetime.fromisoformat(at))
