"""What became of all events: one hash, "contact live updated" -> how many, and one of fields that were put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from sync_worker.contract import EVENTS_TALLY_KEY, PUT_BACK_TALLY_KEY
from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.store.client import translating


class RedisTally:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def count(self, entity: EntityKind, lane: Lane, outcome: str) -> None:
        self._client.hincrby(EVENTS_TALLY_KEY, f"{entity} {lane} {outcome}", 1)

    @translating()
    def put_back(self, field: str) -> None:
        self._client.hincrby(PUT_BACK_TALLY_KEY, field, 1)

    @translating()
    def events(self) -> Mapping[tuple[EntityKind, Lane, str], int]:
        """By entity, lane, and what it came to: an Outcome's value, "failed", "waited", "dead_letter" or "given_up"."""
        counts: Any = self._client.hgetall(EVENTS_TALLY_KEY)
        return {_read(field): int(count) for field, count in counts.items()}


def _read(field: str) -> tuple[EntityKind, Lane, str]:
    entity, lane, outcome = field.split(" ")
    return EntityKind(entity), Lane(lane), outcome
