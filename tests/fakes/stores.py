"""Stores that live in memory: the same promises as the Redis ones, held to by the same suite (tests/contract)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordRef
from sync_worker.domain.intent import Intent
from sync_worker.domain.letter import DeadLetter, Deed, Group, ReplayRun, Selection
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.story import StoryEntry
from sync_worker.errors import RecordBusy
from sync_worker.store.letter_places import microseconds, read_cursor, write_cursor
from sync_worker.store.letters import (
    brought_up_to_date,
    group_id,
    group_title,
    has_word,
    name_of,
    names_of,
    new_letter_id,
    refuse_another,
    with_one_more_waiting,
)
from sync_worker.store.newer import merged_event
from sync_worker.store.parked import LEASE_SECONDS
from sync_worker.store.replays import LOST_AFTER
from sync_worker.store.stories import MOST_ENTRIES

_EVERYTHING = Selection()


@dataclass
class FakeClock:
    """Time that passes only by sleeping. `sleeps` are the waits asked for, in seconds."""

    time: datetime = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += timedelta(seconds=seconds)


class MemoryOutbox:
    def __init__(self) -> None:
        self.published: list[ChangeEvent] = []

    def strike(self, task_id: str) -> None:
        """Memory keeps no ledger."""

    def send_lost(self) -> list[str]:
        """Memory loses nothing."""
        return []

    def publish(self, event: ChangeEvent) -> None:
        self.published.append(event)


class MemoryIntents:
    def __init__(self) -> None:
        self._intents: dict[RecordRef, Intent] = {}

    def open(self, intent: Intent, *, settled_before: datetime) -> bool:
        earlier = self._intents.get(intent.source)
        if earlier is not None and earlier.at > settled_before:
            return False
        self._intents[intent.source] = intent
        return True

    def get(self, source: RecordRef) -> Intent | None:
        return self._intents.get(source)

    def stamp(self, intent: Intent) -> None:
        self._intents[intent.source] = intent

    def close(self, source: RecordRef) -> None:
        self._intents.pop(source, None)

    def all(self) -> list[Intent]:
        return sorted(self._intents.values(), key=lambda one: (one.at, one.source))


class MemoryLinks:
    def __init__(self) -> None:
        self.intents = MemoryIntents()
        self._links: dict[RecordRef, Link] = {}
        self._owners: dict[RecordRef, RecordRef] = {}

    def find(self, ref: RecordRef) -> Link | None:
        return self._links.get(ref)

    def save(self, link: Link) -> None:
        for ref in (link.bitrix24, link.onec):
            older = self._links.pop(ref, None)
            if older is not None:
                self._links.pop(older.other(ref), None)
            self.intents.close(ref)
        self._links |= {link.bitrix24: link, link.onec: link}

    def forget(self, link: Link) -> None:
        found = self._links.get(link.bitrix24)
        if found is not None and found.onec == link.onec:
            del self._links[link.bitrix24], self._links[link.onec]

    def remember_owner(self, part: RecordRef, owner: RecordRef) -> None:
        if part.system is not owner.system:
            raise ValueError(f"{part} cannot belong to {owner}")
        self._owners[part] = owner

    def find_owner(self, part: RecordRef) -> RecordRef | None:
        return self._owners.get(part)

    def rings_for_parts(self) -> bool:
        return bool(self._owners)

    def count(self) -> int:
        return len(self._all())

    def all(self, cursor: str | None = None, *, limit: int = 500) -> tuple[list[Link], str | None]:
        start = int(cursor or 0)
        links = self._all()
        return links[start : start + limit], str(start + limit) if start + limit < len(links) else None

    def _all(self) -> list[Link]:
        return [link for ref, link in self._links.items() if ref == link.bitrix24]


class MemoryMemories:
    def __init__(self) -> None:
        self._memories: dict[tuple[EntityKind, RecordRef], Memory] = {}

    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        return self._memories.get((entity, ref), Memory())

    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None:
        self._memories[entity, ref] = memory


class MemoryReads:
    def __init__(self) -> None:
        self._began: dict[tuple[EntityKind, RecordRef, bool], datetime] = {}

    def began(self, entity: EntityKind, ref: RecordRef, *, whole: bool) -> datetime | None:
        return self._began.get((entity, ref, whole))

    def note(self, entity: EntityKind, ref: RecordRef, began: datetime, *, whole: bool) -> None:
        for kind in {False, whole}:
            self._began[entity, ref, kind] = max(began, self._began.get((entity, ref, kind), began))


class MemoryTally:
    def __init__(self) -> None:
        self._counts: Counter[tuple[EntityKind, Lane, str]] = Counter()
        self.put_back_fields: Counter[str] = Counter()

    def count(self, entity: EntityKind, lane: Lane, outcome: str) -> None:
        self._counts[entity, lane, outcome] += 1

    def put_back(self, field: str) -> None:
        self.put_back_fields[field] += 1

    def events(self) -> Mapping[tuple[EntityKind, Lane, str], int]:
        return dict(self._counts)


class MemoryLocks:
    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:
        wanted = set(names)
        with self._guard:
            if wanted & self._held:
                raise RecordBusy("another task holds it", retry_after_seconds=1)
            self._held |= wanted
        try:
            yield
        finally:
            with self._guard:
                self._held -= wanted


class MemoryDeadLetters:
    def __init__(self) -> None:
        self._letters: dict[str, DeadLetter] = {}

    def add(self, letter: DeadLetter) -> DeadLetter:
        filed = self._letters.get(letter.id) or self._find_named(names_of(letter))
        if filed is None:
            letter = replace(letter, id=letter.id or new_letter_id(letter.first_at))
        else:
            letter = brought_up_to_date(filed, letter)
        self._letters[letter.id] = letter
        return letter

    def get(self, letter_id: str) -> DeadLetter | None:
        return self._letters.get(letter_id)

    def of_record(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        return self._find_named([name_of(entity, ref) for ref in refs])

    def park_behind(self, letter: DeadLetter, event: ChangeEvent) -> None:
        filed = self._letters.get(letter.id)
        if filed is None:
            raise RecordBusy(f"dead letter {letter.id} has just been removed", retry_after_seconds=1)
        self._letters[letter.id] = with_one_more_waiting(filed, event)

    def change(self, letter_id: str, change: Callable[[DeadLetter], DeadLetter]) -> DeadLetter | None:
        filed = self._letters.get(letter_id)
        if filed is None:
            return None
        changed = change(filed)
        refuse_another(filed, changed)
        self._letters[letter_id] = changed
        return changed

    def remove(self, seen: DeadLetter) -> bool:
        is_same = self._letters.get(seen.id) == seen
        if is_same:
            del self._letters[seen.id]
        return is_same

    def page(
        self, selection: Selection = _EVERYTHING, *, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        if selection.ids:
            return self._page_of_named(selection.ids, after=after, limit=limit)
        ordered = self.selected(selection)
        if after is not None:
            last_id, last_at = read_cursor(after)
            ordered = [letter for letter in ordered if _place(letter) > (last_at, last_id)]
        shown = ordered[:limit]
        has_more = len(ordered) > limit
        return shown, write_cursor(shown[-1].id, microseconds(shown[-1].first_at)) if has_more else None

    def count(self, selection: Selection = _EVERYTHING) -> int:
        return len(self.selected(selection))

    def count_by_cause(self) -> Mapping[str, int]:
        return Counter(letter.cause for letter in self._letters.values())

    def groups(self, *, limit: int = 100) -> list[Group]:
        counts = Counter((_group_of(letter), *_in_common(letter)) for letter in self._letters.values())
        groups = [
            Group(id=id_, entity=entity, cause=cause, topic=topic, count=count)
            for (id_, entity, cause, topic), count in counts.items()
        ]
        return sorted(groups, key=lambda group: (group.count, group.id), reverse=True)[:limit]

    def search(self, word: str, *, limit: int = 50) -> list[DeadLetter]:
        newest_first = sorted(self._letters.values(), key=lambda letter: letter.id, reverse=True)
        found = [letter for letter in newest_first if has_word(letter, word) and letter.id != word.strip()]
        itself = self._letters.get(word.strip())
        return [*([itself] if itself else []), *found][:limit]

    def selected(self, selection: Selection) -> list[DeadLetter]:
        """All that it lets through, the oldest first."""
        return sorted((letter for letter in self._letters.values() if _passes(letter, selection)), key=_place)

    def _page_of_named(
        self, ids: tuple[str, ...], *, after: str | None, limit: int
    ) -> tuple[list[DeadLetter], str | None]:
        start = read_cursor(after)[1] if after else 0
        asked = list(dict.fromkeys(ids))
        shown, has_more = asked[start : start + limit], len(asked) > start + limit
        found = [self._letters[id_] for id_ in shown if id_ in self._letters]
        return found, write_cursor(shown[-1], start + limit) if has_more else None

    def _find_named(self, names: list[str]) -> DeadLetter | None:
        letters = (letter for name in names for letter in self._letters.values() if name in names_of(letter))
        return next(letters, None)


def take(letters: Any, letter_id: str) -> DeadLetter | None:
    """Remove a letter as it is, of either store."""
    found = letters.get(letter_id)
    return found if found is not None and letters.remove(found) else None


def _place(letter: DeadLetter) -> tuple[int, str]:
    return microseconds(letter.first_at), letter.id


def _in_common(letter: DeadLetter) -> tuple[str, str, str]:
    return letter.entity, letter.cause, letter.topic


def _group_of(letter: DeadLetter) -> str:
    return group_id(group_title(letter))


def _passes(letter: DeadLetter, selection: Selection) -> bool:
    if selection.ids:
        return letter.id in selection.ids
    if selection.group is not None:
        return _group_of(letter) == selection.group
    return selection.cause in (None, letter.cause) and selection.entity in (None, letter.entity)


@dataclass
class _Run:
    run: ReplayRun
    pending: list[str]
    under_way: dict[str, datetime] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)  # closed, failed, skipped


class MemoryReplays:
    """Runs over the letters of one MemoryDeadLetters. Finished ones stay."""

    def __init__(self, letters: MemoryDeadLetters, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._letters = letters
        self._now = now
        self._runs: dict[str, _Run] = {}

    def start(self, run: ReplayRun) -> ReplayRun:
        if run.id not in self._runs:
            ids = [letter.id for letter in self._letters.selected(run.selection)]
            self._runs[run.id] = _Run(replace(run, total=len(ids)), ids)
        return self._read(self._runs[run.id])

    def get(self, run_id: str) -> ReplayRun | None:
        found = self._runs.get(run_id)
        return self._read(found) if found else None

    def page(self, *, limit: int = 20) -> list[ReplayRun]:
        return [self._read(found) for found in self._in_order()[::-1][:limit]]

    def unfinished(self) -> list[ReplayRun]:
        return [self._read(found) for found in self._in_order() if found.pending]

    def next(self, run_id: str, *, limit: int) -> list[str]:
        found = self._runs.get(run_id)
        return found.pending[:limit] if found else []

    def sent(self, run_id: str, letter_id: str, *, at: datetime) -> None:
        found = self._runs.get(run_id)
        if found and letter_id in found.pending:
            found.pending.remove(letter_id)
            found.under_way[letter_id] = at

    def skipped(self, run_id: str, letter_id: str) -> None:
        found = self._runs.get(run_id)
        if found and letter_id in found.pending:
            found.pending.remove(letter_id)
            found.ended["skipped"] += 1

    def ended(self, run_id: str, letter_id: str, *, closed: bool) -> None:
        found = self._runs.get(run_id)
        if found and found.under_way.pop(letter_id, None):
            found.ended["closed" if closed else "failed"] += 1

    def cancel(self, run_id: str, *, by: str, at: datetime) -> ReplayRun | None:
        found = self._runs.get(run_id)
        if found and (found.pending or found.under_way) and found.run.cancelled_at is None:
            found.pending.clear()
            found.run = replace(found.run, cancelled_at=at, cancelled_by=by)
        return self._read(found) if found else None

    def _read(self, found: _Run) -> ReplayRun:
        oldest = self._now() - LOST_AFTER
        lost = sum(sent_at < oldest for sent_at in found.under_way.values())
        return replace(
            found.run,
            pending=len(found.pending),
            under_way=len(found.under_way) - lost,
            closed=found.ended["closed"],
            failed=found.ended["failed"] + lost,
            skipped=found.ended["skipped"],
        )

    def _in_order(self) -> list[_Run]:
        return sorted(self._runs.values(), key=lambda found: (found.run.at, found.run.id))


class MemoryAudit:
    def __init__(self) -> None:
        self.deeds: list[Deed] = []

    def note(self, deed: Deed) -> None:
        self.deeds.append(deed)

    def page(self, *, after: str | None = None, limit: int = 100) -> tuple[list[Deed], str | None]:
        if after is not None and not after.isdecimal():
            raise ValueError(f"no cursor of a page of the audit: {after!r}")
        end = len(self.deeds) if after is None else int(after)
        start = max(0, end - limit)
        return self.deeds[start:end][::-1], str(start) if start else None


class MemoryStories:
    def __init__(self) -> None:
        self._entries: dict[RecordRef, list[StoryEntry]] = {}

    def tell(self, ref: RecordRef, entry: StoryEntry) -> None:
        self._entries[ref] = [*self._entries.get(ref, []), entry][-MOST_ENTRIES:]

    def read(self, *refs: RecordRef) -> list[StoryEntry]:
        entries = (entry for ref in dict.fromkeys(refs) for entry in self._entries.get(ref, []))
        return sorted(entries, key=lambda entry: entry.at)


@dataclass
class _ParkedEvent:
    event: ChangeEvent
    ready_at: datetime
    reason: str
    is_released: bool = False


class MemoryParked:
    def __init__(self) -> None:
        self._parked: dict[tuple[EntityKind, RecordRef], _ParkedEvent] = {}

    def park(self, event: ChangeEvent, *, ready_at: datetime, reason: str) -> None:
        before = self._parked.get((event.entity, event.record))
        if before is not None:
            event = merged_event(before.event, event)
            ready_at = ready_at if before.is_released else min(before.ready_at, ready_at)
        self._parked[event.entity, event.record] = _ParkedEvent(event, ready_at, reason)

    def release(self, now: datetime, *, limit: int) -> list[ChangeEvent]:
        ready = [parked for parked in self._parked.values() if parked.ready_at <= now]
        ready = sorted(ready, key=lambda parked: parked.ready_at)[:limit]
        for parked in ready:
            parked.ready_at, parked.is_released = now + timedelta(seconds=LEASE_SECONDS), True
        return [parked.event for parked in ready]

    def forget(self, *events: ChangeEvent) -> None:
        for event in events:
            parked = self._parked.get((event.entity, event.record))
            if parked is not None and parked.is_released:
                del self._parked[event.entity, event.record]

    def find(self, entity: EntityKind, ref: RecordRef) -> tuple[datetime, str] | None:
        found = self._parked.get((entity, ref))
        return (found.ready_at, found.reason) if found else None

    def count(self) -> int:
        return len(self._parked)
