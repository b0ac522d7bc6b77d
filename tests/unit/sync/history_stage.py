"""Where a history plays: both sides, the stores, and what is announced of every write."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.rules import CounterpartyRules
from sync_worker.entities.contact import CounterpartyRecord
from tests.fakes.stores import (
    MemoryAudit,
    MemoryDeadLetters,
    MemoryLinks,
    MemoryLocks,
    MemoryMemories,
    MemoryOutbox,
    MemoryParked,
    MemoryReads,
    MemoryStories,
    MemoryTally,
)
from tests.unit.sync.history_sides import Fuse, Side, Wired
from tests.unit.sync.history_values import CARD, FIELDS, UNKNOWN_HERE, UNKNOWN_THERE
from tests.unit.sync.world import RULES, World

PART_IDS = 50_000  # a card's requisite has the card's id and this

Pair = tuple[CounterpartyRecord, CounterpartyRecord]


class Stage:
    """`wire` has what was announced and not accepted yet; `seen` counts what the history got to.

    `rings_for_parts`: the portal sends the events of requisites and addresses too. `on_write` hears of each write.
    """

    def __init__(self, rules: CounterpartyRules, *, rings_for_parts: bool, seed: int) -> None:
        self.rules, self.rings_for_parts, self.luck = rules, rings_for_parts, random.Random(seed)
        self.trace: list[str] = []
        self.seen: Counter[str] = Counter()
        self.wire: list[ChangeEvent] = []
        self.on_write: Callable[[CounterpartyRecord | None, CounterpartyRecord], None] = lambda _before, _after: None
        self.fuse = Fuse()
        self.portal = Side(System.BITRIX24, unknown_people=frozenset({UNKNOWN_HERE}), hear=self._hear, trace=self.trace)
        self.base = Side(System.ONEC, unknown_people=frozenset({UNKNOWN_THERE}), hear=self._hear, trace=self.trace)
        self.sides = {System.BITRIX24: self.portal, System.ONEC: self.base}
        self.bin: dict[RecordRef, CounterpartyRecord] = {}  # deleted on the portal
        self.links, self.memories, self.letters = MemoryLinks(), MemoryMemories(), MemoryDeadLetters()
        self.parked, self.stories, self.outbox = MemoryParked(), MemoryStories(), MemoryOutbox()
        self.tally = MemoryTally()
        self.world = World(
            rules=replace(RULES, counterparties=rules),
            portal=self._wired("portal", self.portal, is_remote=True),
            base=self._wired("base", self.base, is_remote=True),
            links=self._wired("links", self.links),
            intents=self._wired("intents", self.links.intents),
            memories=self._wired("memories", self.memories),
            locks=self._wired("locks", MemoryLocks()),
            letters=self._wired("letters", self.letters),
            parked=self._wired("parked", self.parked),
            reads=self._wired("reads", MemoryReads()),
            outbox=self._wired("outbox", self.outbox),
            tally=self._wired("tally", self.tally),
            audit=self._wired("audit", MemoryAudit()),
            stories=self._wired("stories", self.stories),
        )
        self.clock = self.world.clock

    def _wired(self, name: str, inner: Any, *, is_remote: bool = False) -> Any:
        return Wired(name, inner, self.fuse, is_remote=is_remote)

    # --- looking around ----------------------------------------------------------------------------------------------

    def alive(self, system: System) -> list[RecordRef]:
        return [one.ref for one in self.sides[system].records.values() if not one.is_deleted]

    def deleted(self) -> list[RecordRef]:
        """What can be restored."""
        return [*self.bin, *(one.ref for one in self.base.records.values() if one.is_deleted)]

    def pairs(self) -> Iterator[Pair]:
        """Partners that are alive on both sides."""
        for link in self._links():
            left, right = self.portal.records.get(link.bitrix24), self.base.records.get(link.onec)
            if left is not None and right is not None and not right.is_deleted and not link.deleted_in:
                yield left, right

    def waiting_letters(self) -> list[DeadLetter]:
        """In an order that does not hang on their random ids."""
        letters, _ = self.letters.page()
        return sorted(letters, key=lambda letter: (letter.first_at, str(letter.record)))

    def _links(self) -> list[Any]:
        return self.links.all()[0]

    # --- what is announced -------------------------------------------------------------------------------------------

    def ring_all(self) -> None:
        """As a reconcile does: every record there is, and every linked one that was deleted."""
        self.wire += [self._doorbell(ref, Change.CHANGED, whole=True) for ref in self.portal.records]
        gone = [link.bitrix24 for link in self._links() if link.bitrix24 not in self.portal.records]
        self.wire += [self._doorbell(ref, Change.DELETED) for ref in gone]
        self.wire += [self._state_of(one) for one in self.base.records.values()]

    def announce(self, ref: RecordRef, change: Change) -> None:
        self.wire.append(self._doorbell(ref, change))

    def part_of(self, card: RecordRef) -> RecordRef:
        return bitrix24_ref(RecordType.REQUISITE, int(card.id) + PART_IDS)

    def _hear(self, before: CounterpartyRecord | None, after: CounterpartyRecord) -> None:
        """Something was written, by a person or by the exchange."""
        self.on_write(before, after)
        if after.ref.system is System.ONEC:
            self.wire.append(self._state_of(after))
            return
        if before is None:
            self.portal.requisites[self.part_of(after.ref)] = after.ref
        was = before.fields if before else dict.fromkeys(FIELDS)
        moved = [name for name in FIELDS if (was.get(name) or None) != (after.fields.get(name) or None)]
        parts = [name for name in moved if name not in CARD] if self.rings_for_parts else []
        if parts:
            self.announce(self.part_of(after.ref), Change.CHANGED)
        if before is None or not parts or moved != parts:
            self.announce(after.ref, Change.CHANGED)

    def _doorbell(self, ref: RecordRef, change: Change, *, whole: bool = False) -> ChangeEvent:
        now, trace = self.clock.now(), f"ring {ref}"
        return ChangeEvent(entity=EntityKind.CONTACT, record=ref, change=change, seen_at=now, trace=trace, whole=whole)

    def _state_of(self, record: CounterpartyRecord) -> ChangeEvent:
        event = self.world.tell(record)
        if not record.is_deleted:
            return event
        assert event.onec is not None
        return replace(event, change=Change.DELETED, onec=replace(event.onec, data=None))
