"""Who did what: a Redis stream, `sync:audit`, of deeds as JSON. Never trimmed."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import redis

from sync_worker.domain.letter import Deed
from sync_worker.store.client import load_script, translating
from sync_worker.store.letters import dump_deed, load_deed

_STREAM = "sync:audit"
_ENTRY_ID = re.compile(r"\d+-\d+", re.ASCII)


class RedisAudit:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._note = load_script(client, "note_deed")

    @translating()
    def note(self, deed: Deed) -> None:
        """Once, even if the connection breaks before the answer and redis-py sends it again."""
        self._note(keys=[_STREAM, f"{_STREAM}:noted:{secrets.token_hex(8)}"], args=[json.dumps(dump_deed(deed))])

    @translating()
    def page(self, *, after: str | None = None, limit: int = 100) -> tuple[list[Deed], str | None]:
        """The newest first, and the cursor of the next page. Errors: ValueError where `after` is no cursor."""
        if after is not None and not _ENTRY_ID.fullmatch(after):
            raise ValueError(f"no cursor of a page of the audit: {after!r}")
        entries: Any = self._client.xrevrange(_STREAM, max=f"({after}" if after else "+", count=limit + 1)
        shown = entries[:limit]
        deeds = [load_deed(json.loads(fields["deed"])) for _, fields in shown]
        return deeds, shown[-1][0] if len(entries) > limit else None
