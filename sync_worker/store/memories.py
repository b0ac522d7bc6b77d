"""What is remembered of each link: one hash an entity, "contact:42" -> a compact value (see memory_codec)."""

from __future__ import annotations

from typing import Any

import redis
from redis.client import NEVER_DECODE

from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.domain.link import Memory
from sync_worker.store.client import translating
from sync_worker.store.memory_codec import pack_memory, unpack_memory

_NOTHING = Memory()


class RedisMemories:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        raw = {NEVER_DECODE: True}  # the values are bytes, whatever the client decodes otherwise
        value: Any = self._client.execute_command("HGET", _key(entity), ref.key, **raw)  # type: ignore[no-untyped-call]
        return _NOTHING if value is None else unpack_memory(value)

    @translating()
    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None:
        if memory == _NOTHING:
            self._client.hdel(_key(entity), ref.key)
        else:
            self._client.hset(_key(entity), ref.key, pack_memory(memory))


def _key(entity: EntityKind) -> str:
    return f"sync:memory:{entity}"
