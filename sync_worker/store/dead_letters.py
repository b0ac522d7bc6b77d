"""Events that wait for a person. They survive restarts, never expire, and are found by all that a person asks for.

Shape: `sync:dead:letters` id -> JSON; `sync:dead:names` "contact bitrix24:contact:42" -> id. Sorted sets of ids by the
microsecond of the first failure: `sync:dead:order` of all, `sync:dead:cause:<cause>` for each of `sync:dead:causes`,
`sync:dead:entity:<entity>`, `sync:dead:pair:<entity>:<cause>` and `sync:dead:group:<id of a group>`. The keys of the
last ones are in `sync:dead:groups` by their size, and in `sync:dead:titles` with what their letters have in common.
`sync:dead:words`: "<hash of a word>\\0<id>", all of score 0.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import redis

from sync_worker.contract import DEAD_CAUSES_KEY, ChangeEvent, dead_cause_key
from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.domain.letter import DeadLetter, Group, Selection
from sync_worker.errors import RecordBusy
from sync_worker.store.client import load_script, translating
from sync_worker.store.letter_places import (
    NOWHERE,
    ORDER_KEY,
    id_in,
    microseconds,
    order_key,
    places_left,
    places_of,
    read_cursor,
    read_group,
    word_range,
    write_cursor,
)
from sync_worker.store.letters import (
    brought_up_to_date,
    dump_letter,
    group_title,
    has_word,
    load_letter,
    name_of,
    names_of,
    new_letter_id,
    refuse_another,
    with_one_more_waiting,
)

_LETTERS, _NAMES, _WORDS, _GROUPS, _TITLES = (
    f"sync:dead:{part}" for part in ("letters", "names", "words", "groups", "titles")
)
_READ_AT_ONCE = 100  # letters, for one step of a search
_EVERYTHING = Selection()


class RedisDeadLetters:
    """Each change reads a letter, decides here, and swaps it in one script if nobody else did: then it reads again."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._swap_letter = load_script(client, "swap_letter")

    # --- changing ----------------------------------------------------------------------------------------------------

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

    @translating()
    def change(self, letter_id: str, change: Callable[[DeadLetter], DeadLetter]) -> DeadLetter | None:
        """As the port says. ValueError where `change` makes another letter of it (letters.refuse_another)."""
        while True:
            content, filed = self._read(letter_id)
            if filed is None:
                return None
            changed = change(filed)
            refuse_another(filed, changed)
            if changed is filed or self._swap(content, filed, changed):
                return changed

    @translating()
    def remove(self, seen: DeadLetter) -> bool:
        """Remove it if it still is as it was seen. True for the one caller who removed it."""
        content, filed = self._read(seen.id)
        return filed == seen and self._swap(content, filed, None)

    # --- looking -----------------------------------------------------------------------------------------------------

    @translating()
    def get(self, letter_id: str) -> DeadLetter | None:
        return self._read(letter_id)[1]

    @translating()
    def of_record(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        return self._find_named([name_of(entity, ref) for ref in refs])[1]

    @translating()
    def page(
        self, selection: Selection = _EVERYTHING, *, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        """Letters, oldest first (those named: as named), and the cursor of the next page. A page may be a few short.

        Errors: ValueError where `after` is no cursor.
        """
        if selection.ids:
            places = _named_after(selection.ids, after, limit + 1)
        else:
            places = self._places_after(order_key(selection), after, limit + 1)
        shown, has_more = places[:limit], len(places) > limit
        letters = self._load([id_ for id_, _ in shown])
        return letters, write_cursor(*shown[-1]) if has_more else None

    @translating()
    def count(self, selection: Selection = _EVERYTHING) -> int:
        if selection.ids:
            times: Any = self._client.zmscore(ORDER_KEY, list(dict.fromkeys(selection.ids)))
            return sum(at is not None for at in times)
        count: Any = self._client.zcard(order_key(selection))
        return int(count)

    @translating()
    def count_by_cause(self) -> Mapping[str, int]:
        names: Any = self._client.smembers(DEAD_CAUSES_KEY)
        causes = sorted(names)
        with self._client.pipeline(transaction=False) as pipeline:
            for cause in causes:
                pipeline.zcard(dead_cause_key(cause))
            counts = pipeline.execute()
        return {cause: number for cause, number in zip(causes, counts, strict=True) if number}

    @translating()
    def groups(self, *, limit: int = 100) -> list[Group]:
        """The biggest first."""
        found: Any = self._client.zrevrange(_GROUPS, 0, limit - 1, withscores=True) if limit > 0 else []
        titles: Any = self._client.hmget(_TITLES, [key for key, _ in found]) if found else []
        sized = zip(found, titles, strict=True)
        return [
            read_group(key, title, int(size)) for (key, size), title in sized if title is not None
        ]  # None: just gone

    @translating()
    def search(self, word: str, *, limit: int = 50) -> list[DeadLetter]:
        """The letter of this id, then those that have the word, the newest first."""
        itself = self._load([word.strip()])
        return list(islice(chain(itself, self._having(word, but=itself)), limit))

    # --- steps -------------------------------------------------------------------------------------------------------

    def _places_after(self, order: str, after: str | None, limit: int) -> list[tuple[str, float]]:
        """(id, microsecond) from there on; letters of one microsecond are in the order of their ids."""
        if after is None:
            first: Any = self._client.zrange(order, 0, limit - 1, withscores=True)
            return [(id_, at) for id_, at in first]
        last_id, last_at = read_cursor(after)
        same: Any = self._client.zrangebyscore(order, last_at, last_at, withscores=True)
        later: Any = self._client.zrangebyscore(order, f"({last_at}", "+inf", start=0, num=limit, withscores=True)
        return ([(id_, at) for id_, at in same if id_ > last_id] + [(id_, at) for id_, at in later])[:limit]

    def _having(self, word: str, *, but: list[DeadLetter]) -> Iterator[DeadLetter]:
        first, last = word_range(word)
        while True:
            entries: Any = self._client.zrevrangebylex(_WORDS, last, first, start=0, num=_READ_AT_ONCE)
            if not entries:
                return
            for letter in self._load([id_in(entry) for entry in entries]):
                if has_word(letter, word) and letter not in but:
                    yield letter
            last = f"({entries[-1]}"

    def _load(self, ids: list[str]) -> list[DeadLetter]:
        """In this order; what was removed meanwhile is left out."""
        contents: Any = self._client.hmget(_LETTERS, ids) if ids else []
        return [load_letter(content) for content in contents if content is not None]

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
        had, has = (places_of(letter) if letter else NOWHERE for letter in (before, after))
        what = [some.id, content, dump_letter(after) if after else "", microseconds(some.first_at), some.cause]
        where = [json.dumps(has), json.dumps(places_left(had, has))]
        return bool(
            self._swap_letter(
                keys=[_LETTERS, _NAMES, _WORDS, DEAD_CAUSES_KEY, _GROUPS, _TITLES, f"sync:dead:swap:{some.id}"],
                args=[*what, group_title(some), secrets.token_hex(8), *where],
            )
        )


def _named_after(ids: tuple[str, ...], after: str | None, limit: int) -> list[tuple[str, float]]:
    """(id, how many of them that makes) from there on."""
    numbered = list(enumerate(dict.fromkeys(ids), start=1))
    start = read_cursor(after)[1] if after else 0
    return [(id_, number) for number, id_ in numbered[start : start + limit]]
