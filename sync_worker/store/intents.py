"""Creates whose outcome nobody knows yet: a hash, "onec:counterparty:<uuid>" -> JSON of {"at", "entity", "sent"}.

An entry is written before the create is sent, and goes in the very step that saves the link (save_link.lua).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import redis

from sync_worker.domain.identity import EntityKind, RecordRef, parse_ref
from sync_worker.domain.intent import Intent
from sync_worker.store.client import load_script, translating
from sync_worker.store.leases import run_fenced

INTENTS_KEY = "sync:intents"


class RedisIntents:
    """Port: Intents."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._open = load_script(client, "fence", "open_intent")

    @translating()
    def open(self, intent: Intent, *, settled_before: datetime) -> bool:
        """Errors: LeaseLost, StoreUnavailable."""
        args = [field_of(intent.source), _value(intent), settled_before.timestamp()]
        return bool(run_fenced(self._open, keys=[INTENTS_KEY], args=args))

    @translating()
    def get(self, source: RecordRef) -> Intent | None:
        value: Any = self._client.hget(INTENTS_KEY, field_of(source))
        return None if value is None else _read(field_of(source), value)

    @translating()
    def stamp(self, intent: Intent) -> None:
        self._client.hset(INTENTS_KEY, field_of(intent.source), _value(intent))

    @translating()
    def close(self, source: RecordRef) -> None:
        self._client.hdel(INTENTS_KEY, field_of(source))

    @translating()
    def all(self) -> list[Intent]:
        found: Any = self._client.hgetall(INTENTS_KEY)
        return sorted((_read(field, value) for field, value in found.items()), key=lambda one: (one.at, one.source))


def field_of(source: RecordRef) -> str:
    """Under which name a record's intent stands."""
    return str(source)


def _value(intent: Intent) -> str:
    told = {"at": intent.at.timestamp(), "entity": intent.entity.value, "sent": dict(intent.sent)}
    return json.dumps(told, ensure_ascii=False)


def _read(field: str, value: str) -> Intent:
    told = json.loads(value)
    at = datetime.fromtimestamp(told["at"], UTC)
    return Intent(entity=EntityKind(told["entity"]), source=parse_ref(field), at=at, sent=told["sent"])
