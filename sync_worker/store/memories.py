"""What is remembered of each link: one hash an entity, "contact:42" -> a compact value (see memory_codec)."""

from __future__ import annotations

from typing import Any

import redis
from redis.client import NEVER_DECODE

from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.domain.link import Memory
from sync_worker.store.client import load_script, translating
from sync_worker.store.leases import run_fenced
from sync_worker.store.memory_codec import pack_memory, unpack_memory

_NOTHING = Memory()


class RedisMemories:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._save = load_script(client, "fence", "save_memory")

    @translating()
    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        raw = {NEVER_DECODE: True}  # the values are bytes, whatever the client decodes otherwise
        value: Any = self._client.execute_command("HGET", _key(entity), ref.key, **raw)  # type: ignore[no-untyped-call]
        return _NOTHING if value is None else unpack_memory(value)

    @translating()
    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None:
        """Errors: LeaseLost, StoreUnavailable."""
        packed = b"" if memory == _NOTHING else pack_memory(memory)
        run_fenced(self._save, keys=[_key(entity)], args=[ref.key, packed])


def _key(entity: EntityKind) -> str:
    return f"sync:memory:{entity}"
