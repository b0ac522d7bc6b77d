"""Who is who on both sides: two hashes, one by each side's record.

Shape: `sync:link:bitrix24`: "contact:42" -> "counterparty:<uuid>", and `sync:link:onec` the other way round.
A tombstone's value ends in " deleted_in=<system>". `sync:owner:bitrix24`: "requisite:5" -> "company:7".
"""

from __future__ import annotations

from typing import Any

import redis

from sync_worker.domain.identity import RecordRef, RecordType, System
from sync_worker.domain.link import Link
from sync_worker.store.client import load_script, translating
from sync_worker.store.intents import INTENTS_KEY, field_of
from sync_worker.store.leases import run_fenced

_KEYS = {System.BITRIX24: "sync:link:bitrix24", System.ONEC: "sync:link:onec"}
_OTHER = {System.BITRIX24: System.ONEC, System.ONEC: System.BITRIX24}
_TOMBSTONE = " deleted_in="


class RedisLinks:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._save = load_script(client, "fence", "save_link")
        self._forget = load_script(client, "fence", "forget_link")
        self._rings_for_parts = False

    @translating()
    def find(self, ref: RecordRef) -> Link | None:
        value: Any = self._client.hget(_KEYS[ref.system], ref.key)
        return None if value is None else _read_link(ref, value)

    @translating()
    def save(self, link: Link) -> None:
        """Errors: LeaseLost, StoreUnavailable."""
        mark = f"{_TOMBSTONE}{link.deleted_in}" if link.deleted_in else ""
        run_fenced(
            self._save,
            keys=[_KEYS[System.BITRIX24], _KEYS[System.ONEC], INTENTS_KEY],
            args=[link.bitrix24.key, link.onec.key, mark, field_of(link.bitrix24), field_of(link.onec)],
        )

    @translating()
    def forget(self, link: Link) -> None:
        """Tombstones too. Nothing where either record is linked to another by now. Errors as `save`."""
        keys = [_KEYS[System.BITRIX24], _KEYS[System.ONEC]]
        run_fenced(self._forget, keys=keys, args=[link.bitrix24.key, link.onec.key])

    @translating()
    def remember_owner(self, part: RecordRef, owner: RecordRef) -> None:
        """ValueError where the two are on different sides."""
        if part.system is not owner.system:
            raise ValueError(f"{part} cannot belong to {owner}")
        self._client.hset(_owner_key(part), part.key, owner.key)

    @translating()
    def find_owner(self, part: RecordRef) -> RecordRef | None:
        value: Any = self._client.hget(_owner_key(part), part.key)
        return None if value is None else _read_ref(part.system, value)

    @translating()
    def rings_for_parts(self) -> bool:
        """True once the owner of any of the portal's parts was remembered. That is asked until it is so."""
        self._rings_for_parts = self._rings_for_parts or bool(self._client.exists(f"sync:owner:{System.BITRIX24}"))
        return self._rings_for_parts

    @translating()
    def count(self) -> int:
        """How many links there are, tombstones too."""
        count: Any = self._client.hlen(_KEYS[System.BITRIX24])
        return int(count)

    @translating()
    def all(self, cursor: str | None = None, *, limit: int = 500) -> tuple[list[Link], str | None]:
        """About `limit` links in no order, and the cursor of the next page; None after the last.

        A link that exists during the whole walk is seen at least once, perhaps twice (Redis: HSCAN).
        """
        found: Any = self._client.hscan(_KEYS[System.BITRIX24], cursor=int(cursor or 0), count=limit)
        position, values = found
        links = [_read_link(_read_ref(System.BITRIX24, key), value) for key, value in values.items()]
        return links, str(position) if position else None


def _owner_key(part: RecordRef) -> str:
    return f"sync:owner:{part.system}"


def _read_link(ref: RecordRef, value: str) -> Link:
    partner, _, deleted_in = value.partition(_TOMBSTONE)
    sides = {ref.system: ref, _OTHER[ref.system]: _read_ref(_OTHER[ref.system], partner)}
    return Link(
        bitrix24=sides[System.BITRIX24],
        onec=sides[System.ONEC],
        deleted_in=System(deleted_in) if deleted_in else None,
    )


def _read_ref(system: System, key: str) -> RecordRef:
    """Read what RecordRef.key wrote."""
    type_, _, id_ = key.partition(":")
    return RecordRef(system=system, type=RecordType(type_), id=id_)
