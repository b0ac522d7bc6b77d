"""How far the sweeps are, what the last one found, and what waits for a person; and which records are under way.

Shapes: `sync:sweep:marks` source -> ISO moment; `sync:sweep:held` source -> JSON; `sync:sweep:drift` entity -> count;
`sync:sweep:last` JSON of the last sweep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import redis

from sync_worker.contract import (
    ACCEPTED_KEY,
    BROKER_KEY_PREFIX,
    PARKED_KEY,
    SWEEP_DRIFT_KEY,
    SWEEP_HELD_KEY,
    Accepted,
)
from sync_worker.domain.drift import Held, SweepState, Swept, bell_name
from sync_worker.domain.identity import EntityKind
from sync_worker.store.client import translating

MARKS_KEY = "sync:sweep:marks"
LAST_KEY = "sync:sweep:last"
_LEDGER = BROKER_KEY_PREFIX + ACCEPTED_KEY
_SCAN = 500  # entries a step


class RedisSweeps:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def mark(self, source: str) -> datetime | None:
        """When the last sweep of this source that came to its end began; None where none has."""
        text: Any = self._client.hget(MARKS_KEY, source)
        return None if text is None else datetime.fromisoformat(text)

    @translating()
    def move_mark(self, source: str, at: datetime) -> None:
        self._client.hset(MARKS_KEY, source, at.isoformat())

    @translating()
    def held(self) -> Mapping[str, Held]:
        """By source."""
        found: Any = self._client.hgetall(SWEEP_HELD_KEY)
        return {source: _read_held(text) for source, text in sorted(found.items())}

    @translating()
    def hold(self, held: Held) -> None:
        self._client.hset(SWEEP_HELD_KEY, held.source, json.dumps({**asdict(held), "at": held.at.isoformat()}))

    @translating()
    def let_go(self, source: str) -> None:
        self._client.hdel(SWEEP_HELD_KEY, source)

    @translating()
    def note(self, parts: Iterable[Swept], drift: Mapping[EntityKind, int], *, at: datetime) -> None:
        """Keep what a sweep found. `drift` is of the entities that it looked at; the others stay as they were."""
        last = {"at": at.isoformat(), "parts": [_plain(part) for part in parts]}
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(LAST_KEY, json.dumps(last))
            if drift:
                pipeline.hset(SWEEP_DRIFT_KEY, mapping={entity.value: count for entity, count in drift.items()})
            pipeline.execute()

    @translating()
    def drift(self) -> Mapping[EntityKind, int]:
        found: Any = self._client.hgetall(SWEEP_DRIFT_KEY)
        return {entity: int(found.get(entity.value, 0)) for entity in EntityKind}

    @translating()
    def last(self) -> tuple[datetime, list[Swept]] | None:
        """When the last sweep began, and what it found; None before the first."""
        text: Any = self._client.get(LAST_KEY)
        if text is None:
            return None
        last = json.loads(text)
        return datetime.fromisoformat(last["at"]), [_read_part(part) for part in last["parts"]]


class RedisUnderWay:
    """Which records have an event that will still be looked at: parked, or accepted and not yet handled.

    `broker` is the broker's Redis; None for RabbitMQ, which does not tell what is in its queues.
    """

    def __init__(self, client: redis.Redis, broker: redis.Redis | None) -> None:
        self._client = client
        self._broker = broker

    @translating()
    def sequences(self) -> Mapping[str, int]:
        """By drift.bell_name, "contact onec:counterparty:<uuid>" -> the newest state's write counter; 0 for a doorbell.

        Cost: reads all that waits, step by step.
        """
        newest: dict[str, int] = {}
        for content in _values(self._client, PARKED_KEY):
            _count_in(newest, json.loads(content)["event"])
        for content in _values(self._broker, _LEDGER) if self._broker is not None else ():
            _count_in(newest, Accepted.load(content).kwargs.get("event"))
        return newest


def _values(client: redis.Redis, key: str) -> Iterable[str]:
    entries: Any = client.hscan_iter(key, count=_SCAN)
    return (value for _name, value in entries)


def _count_in(newest: dict[str, int], event: Any) -> None:
    """Messages that are no events (unreadable ones) name no record."""
    if not isinstance(event, Mapping) or not isinstance(event.get("record"), Mapping):
        return
    record = event["record"]
    ref = f"{record.get('system')}:{record.get('type')}:{record.get('id')}"
    sequence = int((event.get("onec") or {}).get("sequence") or 0)
    for whole in (False, True) if event.get("whole") else (False,):
        name = bell_name(str(event.get("entity")), ref, whole=whole)
        newest[name] = max(sequence, newest.get(name, 0))


def _read_held(text: str) -> Held:
    fields = json.loads(text)
    return Held(**{**fields, "at": datetime.fromisoformat(fields["at"])})


def _plain(part: Swept) -> dict[str, Any]:
    return {**asdict(part), "drift": {entity.value: count for entity, count in part.drift.items()}}


def _read_part(fields: Mapping[str, Any]) -> Swept:
    drift = {EntityKind(entity): count for entity, count in fields["drift"].items()}
    return Swept(**{**fields, "state": SweepState(fields["state"]), "drift": drift})
