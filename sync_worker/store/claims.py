"""Who names whom on both sides, gathered by `rebuild` so that no side has to fit into memory.

Shape, for each kind of 1C record, under `sync:rebuild:<kind>:`
    <system>: a hash, "company:7" -> "counterparty:<uuid>"; blank where it names nobody, with a leading "!" where it is
        marked for deletion
    <system>:first: a hash, a named record -> the first record of this system that names it
    several: a set of those that several name
    places: a hash, source -> where to go on
All of them go KEPT_SECONDS after the last step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import redis

from sync_worker.domain.identity import RecordRef, RecordType, System
from sync_worker.domain.link import Link
from sync_worker.domain.listed import Listed
from sync_worker.store.client import load_script, translating

KEPT_SECONDS = 24 * 3600  # what was gathered earlier may not be true any more
_SCAN_ROWS = 500
_OTHER = {System.BITRIX24: System.ONEC, System.ONEC: System.BITRIX24}
_DELETED = "!"


class RedisClaims:
    """Port: Claims. Of one kind."""

    def __init__(self, client: redis.Redis, kind: RecordType) -> None:
        self._client = client
        self._prefix = f"sync:rebuild:{kind}"

    @translating()
    def places(self) -> Mapping[str, str]:
        """Source -> where to go on."""
        found: Any = self._client.hgetall(f"{self._prefix}:places")
        return dict(found)

    @translating()
    def add(self, source: str, rows: Iterable[Listed], *, place: str) -> None:
        """Keep them, and where to go on after them. Safe to do twice; the place comes last."""
        rows = list(rows)
        several = self._several(row for row in rows if not row.is_deleted)
        with self._client.pipeline(transaction=True) as pipeline:
            for row in rows:
                pipeline.hset(self._names_key(row.record.system), row.record.key, _value(row))
            if several:
                pipeline.sadd(f"{self._prefix}:several", *several)
            pipeline.hset(f"{self._prefix}:places", source, place)
            self._keep(pipeline)
            pipeline.execute()

    def _several(self, rows: Iterable[Listed]) -> list[str]:
        """Those that are named by another record too: whoever comes second finds that he is not the first."""
        claims = [(row.record, row.names) for row in rows if row.names is not None]
        with self._client.pipeline(transaction=False) as pipeline:
            for record, named in claims:
                pipeline.hsetnx(self._first_key(record.system), named.key, record.key)
                pipeline.hget(self._first_key(record.system), named.key)
            first = pipeline.execute()[1::2]
        return [str(named) for (record, named), key in zip(claims, first, strict=True) if key != record.key]

    def _keep(self, pipeline: Any) -> None:
        for system in System:
            pipeline.expire(self._names_key(system), KEPT_SECONDS)
            pipeline.expire(self._first_key(system), KEPT_SECONDS)
        for part in ("several", "places"):
            pipeline.expire(f"{self._prefix}:{part}", KEPT_SECONDS)

    def naming(self, system: System) -> Iterator[tuple[Listed, Listed | None, bool]]:
        """Each living record of this side that names another, that other one (None: there is no such record), and
        whether anybody else names either of the two.

        A Bitrix24 record that several name is contested as well as a 1C record that several name.
        """
        cursor = 0
        while True:
            cursor, values = self._scan(system, cursor)
            rows = [_read(system, key, value) for key, value in values.items()]
            yield from self._answered([row for row in rows if row.names is not None and not row.is_deleted])
            if not cursor:
                return

    @translating()
    def _scan(self, system: System, cursor: int) -> tuple[int, Mapping[str, str]]:
        found: Any = self._client.hscan(self._names_key(system), cursor=cursor, count=_SCAN_ROWS)
        return int(found[0]), found[1]

    @translating()
    def _answered(self, rows: list[Listed]) -> list[tuple[Listed, Listed | None, bool]]:
        with self._client.pipeline(transaction=False) as pipeline:
            for row in rows:
                other = _OTHER[row.record.system]
                pipeline.hget(self._names_key(other), _key(row.names))
                pipeline.sismember(f"{self._prefix}:several", str(row.names))
                pipeline.hget(self._first_key(other), row.record.key)
            answers = iter(pipeline.execute())
        found = []
        for row, value, has_several, named_by in zip(rows, answers, answers, answers, strict=True):
            other = _OTHER[row.record.system]
            named = None if value is None else _read(other, _key(row.names), value)
            is_contested = bool(has_several) or named_by not in (None, _key(row.names))
            found.append((row, named, is_contested))
        return found

    @translating()
    def clear(self) -> None:
        keys = [self._names_key(system) for system in System] + [self._first_key(system) for system in System]
        self._client.unlink(*keys, f"{self._prefix}:several", f"{self._prefix}:places")

    def _names_key(self, system: System) -> str:
        return f"{self._prefix}:{system}"

    def _first_key(self, system: System) -> str:
        return f"{self._prefix}:{system}:first"


class RedisNewLinks:
    """Port: NewLinks. Writes into what store/links.py describes."""

    def __init__(self, client: redis.Redis) -> None:
        self._save = load_script(client, "save_new_link")

    @translating()
    def save(self, link: Link) -> str:
        keys = [f"sync:link:{System.BITRIX24}", f"sync:link:{System.ONEC}"]
        return str(self._save(keys=keys, args=[link.bitrix24.key, link.onec.key]))


def _key(ref: RecordRef | None) -> str:
    return ref.key if ref else ""


def _value(row: Listed) -> str:
    return (_DELETED if row.is_deleted else "") + _key(row.names)


def _read(system: System, key: str, value: str) -> Listed:
    named = value.removeprefix(_DELETED)
    return Listed(
        record=_read_ref(system, key),
        names=_read_ref(_OTHER[system], named) if named else None,
        is_deleted=value.startswith(_DELETED),
    )


def _read_ref(system: System, key: str) -> RecordRef:
    """Read what RecordRef.key wrote."""
    type_, _, id_ = key.partition(":")
    return RecordRef(system=system, type=RecordType(type_), id=id_)
