"""When each record was last read with success: an event from before that moment needs no look of its own.

Shape: `sync:read:contact bitrix24:contact:42` -> "<last read> <last whole read>", each in microseconds since 1970, 0
for never. An entry lives a day after it was last moved on: losing one costs a read, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.store.client import load_script, translating

LIFE_SECONDS = 24 * 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisReads:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._note = load_script(client, "note_read")

    @translating()
    def began(self, entity: EntityKind, ref: RecordRef, *, whole: bool) -> datetime | None:
        value: Any = self._client.get(_key(entity, ref))
        if value is None:
            return None
        microseconds = int(value.split(" ")[1 if whole else 0])
        return _EPOCH + timedelta(microseconds=microseconds) if microseconds else None

    @translating()
    def note(self, entity: EntityKind, ref: RecordRef, began: datetime, *, whole: bool) -> None:
        """Forward only: of two tasks the one that began first may be the last to say so."""
        microseconds = (began - _EPOCH) // timedelta(microseconds=1)
        self._note(keys=[_key(entity, ref)], args=[microseconds, int(whole), LIFE_SECONDS])


def _key(entity: EntityKind, ref: RecordRef) -> str:
    return f"sync:read:{entity} {ref}"
