"""Stores that live in memory: the same promises as the Redis ones, held to by the same suite (tests/contract)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordRef
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.link import Link, Memory
from sync_worker.errors import RecordBusy
from sync_worker.store.letters import brought_up_to_date, name_of, names_of, new_letter_id, with_one_more_waiting
from sync_worker.store.newer import merged_event
from sync_worker.store.parked import LEASE_SECONDS


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


class MemoryLinks:
    def __init__(self) -> None:
        self._links: dict[RecordRef, Link] = {}
        self._owners: dict[RecordRef, RecordRef] = {}

    def find(self, ref: RecordRef) -> Link | None:
        return self._links.get(ref)

    def save(self, link: Link) -> None:
        for ref in (link.bitrix24, link.onec):
            older = self._links.pop(ref, None)
            if older is not None:
                self._links.pop(older.other(ref), None)
        self._links |= {link.bitrix24: link, link.onec: link}

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

    def count(self, entity: EntityKind, lane: Lane, outcome: str) -> None:
        self._counts[entity, lane, outcome] += 1

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

    def blocking(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        return self._find_named([name_of(entity, ref) for ref in refs])

    def park_behind(self, letter: DeadLetter, event: ChangeEvent) -> None:
        filed = self._letters.get(letter.id)
        if filed is None:
            raise RecordBusy(f"dead letter {letter.id} has just been removed", retry_after_seconds=1)
        self._letters[letter.id] = with_one_more_waiting(filed, event)

    def remove(self, letter_id: str) -> bool:
        return self.take(letter_id) is not None

    def take(self, letter_id: str) -> DeadLetter | None:
        return self._letters.pop(letter_id, None)

    def page(
        self, *, cause: str | None = None, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        found = [letter for letter in self._letters.values() if cause in (None, letter.cause)]
        ordered = sorted(found, key=_place)
        if after is not None:
            place = _read_cursor(after)
            ordered = [letter for letter in ordered if _place(letter) > place]
        shown = ordered[:limit]
        return shown, f"{shown[-1].first_at.isoformat()} {shown[-1].id}" if len(ordered) > limit else None

    def count_by_cause(self) -> Mapping[str, int]:
        return Counter(letter.cause for letter in self._letters.values())

    def _find_named(self, names: list[str]) -> DeadLetter | None:
        letters = (letter for name in names for letter in self._letters.values() if name in names_of(letter))
        return next(letters, None)


def _place(letter: DeadLetter) -> tuple[datetime, str]:
    return letter.first_at, letter.id


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    at, _, letter_id = cursor.partition(" ")
    try:
        return datetime.fromisoformat(at), letter_id
    except ValueError as error:
        raise ValueError(f"no cursor of a page of dead letters: {cursor!r}") from error


@dataclass
class _ParkedEvent:
    event: ChangeEvent
    ready_at: datetime
    is_released: bool = False


class MemoryParked:
    def __init__(self) -> None:
        self._parked: dict[tuple[EntityKind, RecordRef], _ParkedEvent] = {}

    def park(self, event: ChangeEvent, *, ready_at: datetime, reason: str) -> None:
        before = self._parked.get((event.entity, event.record))
        if before is not None:
            event = merged_event(before.event, event)
            ready_at = ready_at if before.is_released else min(before.ready_at, ready_at)
        self._parked[event.entity, event.record] = _ParkedEvent(event, ready_at)

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

    def count(self) -> int:
        return len(self._parked)
