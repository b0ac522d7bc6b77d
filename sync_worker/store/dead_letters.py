"""Events that wait for a person. They survive restarts, never expire, and are found by record, by cause and by age.

Shape: `sync:dead:letters` id -> JSON; `sync:dead:names` "contact bitrix24:contact:42" -> id; sorted sets of ids by the
microsecond of the first failure: `sync:dead:order`, and `sync:dead:cause:<cause>` for each of `sync:dead:causes`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from sync_worker.contract import DEAD_CAUSES_KEY, ChangeEvent, dead_cause_key
from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.domain.letter import DeadLetter
from sync_worker.errors import RecordBusy
from sync_worker.store.client import load_script, translating
from sync_worker.store.letters import (
    brought_up_to_date,
    dump_letter,
    load_letter,
    name_of,
    names_of,
    new_letter_id,
    with_one_more_waiting,
)

_LETTERS, _NAMES, _ORDER = (f"sync:dead:{part}" for part in ("letters", "names", "order"))
_CAUSES = DEAD_CAUSES_KEY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisDeadLetters:
    """Each change reads a letter, decides here, and swaps it in one script if nobody else did: then it reads again."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._swap_letter = load_script(client, "swap_letter")

    @translating()
    def add(self, letter: DeadLetter) -> DeadLetter:
        """File it; a blank id is filled in (letters.new_letter_id)."""
        while True:
            content, filed = self._find_filed(letter)
            if filed is None:
                wanted = replace(letter, id=letter.id or new_letter_id(letter.first_at))
            else:
                wanted = brought_up_to_date(filed, letter)
            if self._swap(content, filed, wanted):
                return wanted

    @translating()
    def get(self, letter_id: str) -> DeadLetter | None:
        return self._read(letter_id)[1]

    @translating()
    def blocking(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        return self._find_named([name_of(entity, ref) for ref in refs])[1]

    @translating()
    def park_behind(self, letter: DeadLetter, event: ChangeEvent) -> None:
        """Count the event, and keep it as the one to replay if it is the newer (newer.newer_event).

        Errors: RecordBusy where the letter was removed meanwhile: the event must not be lost with it.
        """
        while True:
            content, filed = self._read(letter.id)
            if filed is None:
                raise RecordBusy(f"dead letter {letter.id} has just been removed", retry_after_seconds=1)
            if self._swap(content, filed, with_one_more_waiting(filed, event)):
                return

    def remove(self, letter_id: str) -> bool:
        return self.take(letter_id) is not None

    @translating()
    def take(self, letter_id: str) -> DeadLetter | None:
        """Remove it, and return what it was at that moment, for the one caller who removed it."""
        while True:
            content, filed = self._read(letter_id)
            if filed is None or self._swap(content, filed, None):
                return filed

    @translating()
    def page(
        self, *, cause: str | None = None, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        """Letters, oldest first, and the cursor of the next page. Errors: ValueError where `after` is no cursor."""
        order = _ORDER if cause is None else dead_cause_key(cause)
        places = self._places_after(order, after, limit + 1)
        shown, has_more = places[:limit], len(places) > limit
        contents: Any = self._client.hmget(_LETTERS, [id_ for id_, _ in shown]) if shown else []
        letters = [load_letter(content) for content in contents if content is not None]  # None: removed just now
        return letters, _write_cursor(*shown[-1]) if has_more else None

    @translating()
    def count_by_cause(self) -> Mapping[str, int]:
        names: Any = self._client.smembers(_CAUSES)
        causes = sorted(names)
        with self._client.pipeline(transaction=False) as pipeline:
            for cause in causes:
                pipeline.zcard(dead_cause_key(cause))
            counts = pipeline.execute()
        return {cause: number for cause, number in zip(causes, counts, strict=True) if number}

    def _places_after(self, order: str, after: str | None, limit: int) -> list[tuple[str, float]]:
        """(id, microsecond) from there on; letters of one microsecond are in the order of their ids."""
        if after is None:
            first: Any = self._client.zrange(order, 0, limit - 1, withscores=True)
            return [(id_, at) for id_, at in first]
        last_id, last_at = _read_cursor(after)
        same: Any = self._client.zrangebyscore(order, last_at, last_at, withscores=True)
        later: Any = self._client.zrangebyscore(order, f"({last_at}", "+inf", start=0, num=limit, withscores=True)
        return ([(id_, at) for id_, at in same if id_ > last_id] + [(id_, at) for id_, at in later])[:limit]

    def _find_filed(self, letter: DeadLetter) -> tuple[str, DeadLetter | None]:
        content, filed = self._read(letter.id)
        return (content, filed) if filed else self._find_named(names_of(letter))

    def _find_named(self, names: list[str]) -> tuple[str, DeadLetter | None]:
        ids: Any = self._client.hmget(_NAMES, names) if names else []
        for letter_id in ids:
            content, filed = self._read(letter_id or "")
            if filed is not None:
                return content, filed
        return "", None

    def _read(self, letter_id: str) -> tuple[str, DeadLetter | None]:
        """The letter with the very text it was read from, which a swap wants to see again."""
        content: Any = self._client.hget(_LETTERS, letter_id) if letter_id else None
        return ("", None) if content is None else (content, load_letter(content))

    def _swap(self, content: str, before: DeadLetter | None, after: DeadLetter | None) -> bool:
        """Put `after` where `before` is, if that still is `content`. None: there was none, there will be none."""
        some = after or before
        assert some is not None  # noqa: S101  # nobody swaps nothing for nothing
        had, has = names_of(before) if before else [], names_of(after or some)
        had_cause = before.cause if before else some.cause
        keys = [_LETTERS, _ORDER, _NAMES, _CAUSES, dead_cause_key(had_cause), dead_cause_key(some.cause)]
        args = [some.id, content, dump_letter(after) if after else "", _microseconds(some.first_at), some.cause]
        names = [*has, *(name for name in had if name not in has)]
        return bool(
            self._swap_letter(
                keys=[*keys, f"sync:dead:swap:{some.id}"], args=[*args, secrets.token_hex(8), len(has), *names]
            )
        )


def _microseconds(at: datetime) -> int:
    """Since 1970: exact in a sorted set's score until the year 2255."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _write_cursor(letter_id: str, at: float) -> str:
    return f"{at:.0f}-{letter_id}"


def _read_cursor(cursor: str) -> tuple[str, int]:
    at, _, letter_id = cursor.partition("-")
    if not at.isdecimal():
        raise ValueError(f"no cursor of a page of dead letters: {cursor!r}")
    return letter_id, int(at)
