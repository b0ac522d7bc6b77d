"""What became of all events: one hash, "contact live updated" -> how many. Never expires."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.store.client import translating

_EVENTS = "sync:tally:events"


class RedisTally:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def count(self, entity: EntityKind, lane: Lane, outcome: str) -> None:
        self._client.hincrby(_EVENTS, f"{entity} {lane} {outcome}", 1)

    @translating()
    def events(self) -> Mapping[tuple[EntityKind, Lane, str], int]:
        """By entity, lane, and what it came to: an Outcome's value, "failed", "waited" or "dead_letter"."""
        counts: Any = self._client.hgetall(_EVENTS)
        return {_read(field): int(count) for field, count in counts.items()}


def _read(field: str) -> tuple[EntityKind, Lane, str]:
    entity, lane, outcome = field.split(" ")
    return EntityKind(entity), Lane(lane), outcome
