"""What is remembered of the offline queue (port OfflineNotes), and the application's tokens (port TokenKeeper).

Shapes: `sync:offline`, a hash of "open", "readiness" and "trouble", each JSON; `sync:offline:tokens`, JSON;
`sync:tally:offline`, a hash of counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import redis

from sync_worker.contract import OFFLINE_TALLY_KEY
from sync_worker.domain.offline import OfflineRow, Readiness, Tokens, Trouble
from sync_worker.store.client import translating

NOTES_KEY = "sync:offline"
TOKENS_KEY = "sync:offline:tokens"
_OPEN, _READINESS, _TROUBLE = "open", "readiness", "trouble"


class RedisOfflineNotes:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def open(self, rows: Sequence[OfflineRow]) -> None:
        self._put(_OPEN, [asdict(row) for row in rows])

    def opened(self) -> tuple[OfflineRow, ...] | None:
        found = self._get(_OPEN)
        return None if found is None else tuple(OfflineRow(**fields) for fields in found)

    def close(self) -> None:
        self._put(_OPEN, None)

    def readiness(self) -> Readiness | None:
        found = self._get(_READINESS)
        if found is None:
            return None
        return Readiness(**{**found, "at": datetime.fromisoformat(found["at"]), "codes": tuple(found["codes"])})

    def note_readiness(self, readiness: Readiness | None) -> None:
        self._put(_READINESS, readiness and {**asdict(readiness), "at": readiness.at.isoformat()})

    def trouble(self) -> Trouble | None:
        found = self._get(_TROUBLE)
        return found and Trouble(**{**found, "again_at": datetime.fromisoformat(found["again_at"])})

    def note_trouble(self, trouble: Trouble | None) -> None:
        self._put(_TROUBLE, trouble and {**asdict(trouble), "again_at": trouble.again_at.isoformat()})

    @translating()
    def count(self, rows: Mapping[str, int]) -> None:
        for outcome, number in rows.items():
            self._client.hincrby(OFFLINE_TALLY_KEY, outcome, number)

    @translating()
    def _get(self, field: str) -> Any:
        text: Any = self._client.hget(NOTES_KEY, field)
        return None if text is None else json.loads(text)

    @translating()
    def _put(self, field: str, value: Any) -> None:
        if value is None:
            self._client.hdel(NOTES_KEY, field)
        else:
            self._client.hset(NOTES_KEY, field, json.dumps(value))


class RedisTokens:
    """Credentials: nothing here names one in a log or an error. Without the client's secret the refresh token is none.

    Those that began with another refresh token of the settings than today's count for nothing: a person has put a new
    one there.
    """

    def __init__(self, client: redis.Redis, *, client_id: str, first_refresh_token: str) -> None:
        self._client = client
        self._origin = hashlib.sha256(f"{client_id}\n{first_refresh_token}".encode()).hexdigest()

    @translating()
    def read(self) -> Tokens | None:
        text: Any = self._client.get(TOKENS_KEY)
        kept = {} if text is None else json.loads(text)
        if kept.get("origin") != self._origin:
            return None
        return Tokens(
            access=kept["access"], refresh=kept["refresh"], expires_at=datetime.fromisoformat(kept["expires_at"])
        )

    @translating()
    def save(self, tokens: Tokens) -> None:
        kept = {"origin": self._origin, "access": tokens.access, "refresh": tokens.refresh}
        self._client.set(TOKENS_KEY, json.dumps({**kept, "expires_at": tokens.expires_at.isoformat()}))
