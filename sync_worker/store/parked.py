"""Events set aside until a time: waits too long for a countdown in the broker. One entry a record and kind of work.

Shape: `sync:parked:events` "deal bitrix24:deal:7" -> JSON of event and reason; `sync:parked:ready` names by the
millisecond they are ready; `sync:parked:released` names handed out and not yet forgotten; contract.seen_key.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import redis

from sync_worker.contract import PARKED_KEY, ChangeEvent, seen_key
from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.store.client import load_script, translating
from sync_worker.store.newer import merged_event

LEASE_SECONDS = 60  # a releaser that has not queued an event by then is taken for dead

_EVENTS = PARKED_KEY
_KEYS = [_EVENTS, "sync:parked:ready", "sync:parked:released"]


class RedisParked:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._park = load_script(client, "park")
        self._release = load_script(client, "release_parked")
        self._forget = load_script(client, "forget_parked")

    @translating()
    def park(self, event: ChangeEvent, *, ready_at: datetime, reason: str) -> None:
        """Set it aside. Two of one record become one (newer.merged_event), at the earlier time."""
        name = _name(event)
        while True:
            content: Any = self._client.hget(_EVENTS, name)
            kept = event if content is None else merged_event(_read_event(content), event)
            args = [name, content or "", _write(kept, reason), _milliseconds(ready_at), kept.seen_at.timestamp()]
            if self._park(keys=[*_KEYS, seen_key(_EVENTS, event.entity)], args=args):
                return

    @translating()
    def release(self, now: datetime, *, limit: int) -> list[ChangeEvent]:
        """Events whose time has come, the longest waiting first. One that is not forgotten within LEASE_SECONDS,
        because its releaser died, is handed out again; until then nobody else gets it.
        """
        now_ms = _milliseconds(now)
        contents = self._release(keys=_KEYS, args=[now_ms, limit, now_ms + LEASE_SECONDS * 1000])
        return [_read_event(content) for content in contents]

    @translating()
    def forget(self, *events: ChangeEvent) -> None:
        """They are in their queues. Where a record was parked again since its release, that stays."""
        keys = [*_KEYS, *(seen_key(_EVENTS, event.entity) for event in events)]
        self._forget(keys=keys, args=[_name(event) for event in events])

    @translating()
    def find(self, entity: EntityKind, ref: RecordRef) -> tuple[datetime, str] | None:
        """When the record's parked event is ready, and why it waits; None where none is parked."""
        name = f"{entity} {ref}"
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hget(_EVENTS, name)
            pipeline.zscore(_KEYS[1], name)
            content, ready_ms = pipeline.execute()
        if content is None or ready_ms is None:
            return None
        return datetime.fromtimestamp(ready_ms / 1000, UTC), str(json.loads(content)["reason"])

    @translating()
    def count(self) -> int:
        number: Any = self._client.hlen(_EVENTS)
        return int(number)


def _name(event: ChangeEvent) -> str:
    return f"{event.entity} {event.record}"


def _write(event: ChangeEvent, reason: str) -> str:
    return json.dumps({"event": event.dump(), "reason": reason}, separators=(",", ":"))


def _read_event(content: str) -> ChangeEvent:
    return ChangeEvent.load(json.loads(content)["event"])


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
