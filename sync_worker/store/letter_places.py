"""Where a dead letter stands in Redis: the keys of all its indexes, and cursors into them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sync_worker.contract import dead_cause_key
from sync_worker.domain.letter import DeadLetter, Group, Selection
from sync_worker.store.letters import group_id, group_title, names_of, word_hash, word_hashes

ORDER_KEY = "sync:dead:order"
_GROUP_PREFIX = "sync:dead:group:"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Places = Mapping[str, list[str]]
"""names, words (entries), orders (keys of sorted sets by time), and groups: those of the orders that are a group's."""
NOWHERE: Places = {"names": [], "words": [], "orders": [], "groups": []}


def order_key(selection: Selection) -> str:
    """The sorted set, by the microsecond of the first failure, of the letters that it lets through.

    A group's letters are of one entity and cause, so that a group decides alone. ValueError where ids are named.
    """
    if selection.ids:
        raise ValueError("letters that are named one by one stand in no index of their own")
    if selection.group is not None:
        return f"{_GROUP_PREFIX}{selection.group}"
    if selection.entity is not None and selection.cause is not None:
        return f"sync:dead:pair:{selection.entity}:{selection.cause}"
    if selection.entity is not None:
        return f"sync:dead:entity:{selection.entity}"
    return ORDER_KEY if selection.cause is None else dead_cause_key(selection.cause)


def places_of(letter: DeadLetter) -> Places:
    group = order_key(Selection(group=group_id(group_title(letter))))
    selections = (
        Selection(),
        Selection(cause=letter.cause),
        Selection(entity=letter.entity),
        Selection(entity=letter.entity, cause=letter.cause),
    )
    return {
        "names": names_of(letter),
        "words": [f"{hash_}\0{letter.id}" for hash_ in word_hashes(letter)],
        "orders": [*map(order_key, selections), group],
        "groups": [group],
    }


def places_left(before: Places, after: Places) -> Places:
    return {kind: [place for place in before[kind] if place not in after[kind]] for kind in before}


def read_group(key: str, title: str, count: int) -> Group:
    """From the key of its index and what its letters have in common (letters.group_title)."""
    entity, cause, topic = json.loads(title)
    return Group(id=key.removeprefix(_GROUP_PREFIX), entity=entity, cause=cause, topic=topic, count=count)


def word_range(word: str) -> tuple[str, str]:
    """Between which two, both exclusive, the word's entries lie among those of all words."""
    hash_ = word_hash(word)
    return f"({hash_}\0", f"({hash_}\1"


def id_in(entry: str) -> str:
    """The letter's id in an entry of a word."""
    return entry.partition("\0")[2]


def microseconds(at: datetime) -> int:
    """Since 1970: exact in a sorted set's score until the year 2255."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def write_cursor(letter_id: str, place: float) -> str:
    """`place`: its microsecond, or how many of the named letters that makes."""
    return f"{place:.0f}-{letter_id}"


def read_cursor(cursor: str) -> tuple[str, int]:
    place, _, letter_id = cursor.partition("-")
    if not place.isdecimal():
        raise ValueError(f"no cursor of a page of dead letters: {cursor!r}")
    return letter_id, int(place)
