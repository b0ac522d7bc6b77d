"""Histories of counterparties: people who edit, a network that loses and shuffles, workers that die, and what must hold.

People type parties in on either side or on both, edit any field, delete, restore, merge on the portal, and settle dead
letters. Each write is announced by a doorbell or by 1C's event, the exchange's own writes too. Announcements arrive in
any order, twice, or not at all; what was accepted is handled at least once. The worker may be killed before and after
each call of a remote or store; writes lose their answers; stores and remotes go down.

While a history runs, each write of the exchange is held against what it may do:
- an owner's value is changed by nobody else. Only a field that its owner has never filled may be filled;
- nothing is written for a record that has a letter which holds it back, but by that letter's own replay;
- no record is made where the other side has one that names its partner, or has the very same key, unless a person says so.

At its end the network heals, every record is rung once more in each round, and somebody settles what letters there are.
Within ROUNDS rounds nothing waits; then `faults` looks at both sides.

What cannot hold in principle, and what is left out for it:
- What an owner clears between a crash and the next look passes for never filled: nobody knows that both agreed before.
- An edit on the portal that falls between our read and our write of the same field is lost: the portal has no versions.
- A value that gives way to the owner's in the very visit that a crash ends, or while the store is down, is in no story.
- Two people whose decisions contradict each other (each gives one card to another 1C record) could go on for ever. So at
  the end somebody with sense decides: picks only who is free, and says "a new one" of everybody else.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordRef, RecordType, System, bitrix24_ref, parse_ref
from sync_worker.domain.letter import DeadLetter, Decision
from sync_worker.domain.merge import is_blank
from sync_worker.domain.rules import CounterpartyRules, Kind, Owner
from sync_worker.domain.values import is_inn
from sync_worker.entities.contact import DEFAULT_OWNERS, CounterpartyRecord
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.coalescing import InHand
from sync_worker.sync.office import NotPossible, Options, choose_side, choose_value, options, told
from sync_worker.sync.retry_policy import WaitFor
from sync_worker.sync.worker import SyncWorker, after_failure
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
from tests.unit.sync.history_sides import Crash, Fate, Fuse, Side, Wired
from tests.unit.sync.world import BLANK, BRANCH_KPP, INN, KPP, PERSON_INN, RULES, World

ROUNDS = 4
MOST_LOOKS = 400  # in one round; more is work that feeds itself
PART_IDS = 50_000  # a card's requisite has the card's id and this
CARD = ("name", "phones", "emails", "responsible", "comment")
OTHER_INN, NO_INN = "7736050003", "7707083890"
IVAN, PETR, OFFICE = "ivan@example.com", "petr@example.com", "office@example.com"
MOSCOW = {"kind": "legal", "city": "Москва", "street": "Тверская, 1"}
TULA = {"kind": "legal", "city": "Тула", "street": "Лесная, 5"}
POST = {"kind": "postal", "city": "Тула", "street": "а/я 7"}
UNKNOWN_HERE, UNKNOWN_THERE = "sklad@example.com", "robot@example.com"  # to the portal, to 1C

VALUES: Mapping[str, tuple[Any, ...]] = {
    "name": ("Ромашка", "Ромашка и К", "Лютик", None),
    "full_name": (None, "ООО «Ромашка»", "ООО «Лютик»"),
    "inn": (INN, OTHER_INN, None, NO_INN, PERSON_INN),
    "kpp": (KPP, BRANCH_KPP, None),
    "ogrn": (None, "1027700132195", "1027700092661"),
    "addresses": ([], [MOSCOW], [TULA], [MOSCOW, POST], [POST]),
    "phones": ([], ["+74951234567"], ["+74951234567", "+74957654321"], ["+74957654321"]),
    "emails": ([], [IVAN], [PETR], [IVAN, PETR], [OFFICE]),
    "responsible": ("anna@example.com", "boris@example.com", None, UNKNOWN_HERE, UNKNOWN_THERE),
    "comment": (None, "звонить утром", "только письмом"),
}
FIELDS = tuple(VALUES)

PARTIES: tuple[tuple[Kind, Mapping[str, Any]], ...] = (
    (Kind.COMPANY, {"name": "Ромашка", "inn": INN, "kpp": KPP}),
    (Kind.PERSON, {"name": "Иванов Иван Иванович", "emails": [IVAN]}),
    (Kind.COMPANY, {"name": "Ромашка, филиал", "inn": INN, "kpp": BRANCH_KPP}),
    (Kind.SOLE_TRADER, {"name": "Петров Пётр Петрович", "inn": PERSON_INN, "emails": [PETR]}),
    (Kind.COMPANY, {"name": "Лютик", "inn": OTHER_INN}),
    (Kind.PERSON, {"name": "Петров Пётр Петрович", "emails": [PETR]}),
)

_SHARED_LISTS = {**DEFAULT_OWNERS, "phones": Owner.SHARED, "emails": Owner.SHARED, "addresses": Owner.SHARED}
_TURNED = {**DEFAULT_OWNERS, "name": Owner.ONEC, "comment": Owner.BITRIX24, "full_name": Owner.SHARED}
AGREEMENTS = (
    CounterpartyRules(owners=DEFAULT_OWNERS),
    CounterpartyRules(owners=_SHARED_LISTS),
    CounterpartyRules(owners=DEFAULT_OWNERS, fill_blank=False),
    CounterpartyRules(owners=_TURNED),
)
STEPS = (
    *("type in",) * 3, *("edit",) * 5, "edit both", *("deliver",) * 10, "deliver twice", "lose", "release", "delete",
    "restore", *("merge",) * 2, *("settle",) * 3,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing that happens. The numbers choose among whatever there is then."""

    kind: str  # of STEPS
    side: System
    which: int  # record, event or letter
    what: int  # party or field
    value: int
    wait: float  # seconds before it
    fate: Fate | None  # of a piece of work


@dataclass(frozen=True)
class Plan:
    """A whole history, before it happens."""

    rules: int  # of AGREEMENTS
    loses: bool  # announcements get lost, and people give letters up; a reconcile rings everything at the end
    rings_for_parts: bool  # the portal sends the events of requisites and addresses too
    seed: int  # of the order in which things come at the end, and of who decides then
    steps: tuple[Step, ...]


@dataclass
class History:
    """`broken` are sentences about what must not be; `seen` counts what the history got to."""

    plan: Plan
    broken: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    wire: list[ChangeEvent] = field(default_factory=list)  # announced, not accepted yet
    queue: list[ChangeEvent] = field(default_factory=list)  # accepted: at least once
    at_work: ChangeEvent | None = None
    decision: Decision | None = None  # that the work at hand carries out
    known: set[RecordRef] = field(default_factory=set)  # by whose letters the work at hand may be held back
    typed: dict[tuple[RecordRef, str], Any] = field(default_factory=dict)  # what people wrote last
    raced: set[tuple[RecordRef, str]] = field(default_factory=set)  # edited in the middle of the work at hand
    gave_way: list[tuple[RecordRef, str, Any]] = field(default_factory=list)  # typed by a person, overwritten by us
    bin: dict[RecordRef, CounterpartyRecord] = field(default_factory=dict)  # deleted on the portal

    def __post_init__(self) -> None:
        self.luck = random.Random(self.plan.seed)
        random.seed(self.plan.seed)  # noqa: S311  # the jitter of retries
        self.fuse = Fuse(meanwhile=self._edit_meanwhile)
        self.portal = Side(System.BITRIX24, unknown_people=frozenset({UNKNOWN_HERE}), hear=self.hear)
        self.base = Side(System.ONEC, unknown_people=frozenset({UNKNOWN_THERE}), hear=self.hear)
        self.portal.trace = self.base.trace = self.trace
        self.sides = {System.BITRIX24: self.portal, System.ONEC: self.base}
        self.rules = AGREEMENTS[self.plan.rules]
        self.links, self.memories, self.letters = MemoryLinks(), MemoryMemories(), MemoryDeadLetters()
        self.parked, self.stories, self.outbox, self.tally = (
            MemoryParked(), MemoryStories(), MemoryOutbox(), MemoryTally(),
        )  # fmt: skip
        self.world = World(
            rules=replace(RULES, counterparties=self.rules),
            portal=self._wired("portal", self.portal, is_remote=True),
            base=self._wired("base", self.base, is_remote=True),
            links=self._wired("links", self.links),
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
        self.worker: SyncWorker = self.world.worker
        self.office = self.world.office
        self.step_pool = iter(())  # type: Iterator[Step]
        self.meanwhile: Step | None = None

    def _wired(self, name: str, inner: Any, *, is_remote: bool = False) -> Any:
        return Wired(name, inner, self.fuse, is_remote=is_remote)

    # --- what people do ----------------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        self.world.clock.time += timedelta(seconds=step.wait)
        self.meanwhile = step
        getattr(self, step.kind.replace(" ", "_"))(step)
        self.at_work = None

    def type_in(self, step: Step) -> None:
        kind, known = PARTIES[step.what % len(PARTIES)]
        side = self.sides[step.side]
        extra = FIELDS[step.which % len(FIELDS)]
        fields = {**BLANK, extra: self._value(step.side, extra, step.value), **known}
        ref = side.new_ref(kind)
        self._typed(ref, fields)
        side.put(CounterpartyRecord(ref=ref, kind=kind, fields=fields))

    def edit(self, step: Step) -> None:
        ref = self._choose(step.side, step.which)
        if ref is None:
            return
        name = FIELDS[step.what % len(FIELDS)]
        value = self._value(step.side, name, step.value)
        self._typed(ref, {name: value})
        self.sides[step.side].edit(ref, **{name: value})

    def edit_both(self, step: Step) -> None:
        """Two people write the same field of one party, each on his side, and not the same."""
        pairs = list(self._pairs())
        if not pairs:
            return
        name = FIELDS[step.what % len(FIELDS)] if step.value % 2 else ("name", "comment")[step.what % 2]
        for record, value in zip(pairs[step.which % len(pairs)], (step.value, step.value + 1), strict=True):
            new = self._value(record.ref.system, name, value)
            self._typed(record.ref, {name: new})
            self.sides[record.ref.system].edit(record.ref, **{name: new})

    def _edit_meanwhile(self) -> None:
        """In the middle of the work at hand."""
        assert self.meanwhile is not None
        at_work, self.at_work = self.at_work, None
        step = replace(self.meanwhile, which=self.meanwhile.which + 1)
        ref = self._choose(step.side, step.which)
        if ref is not None:
            self.raced.add((ref, FIELDS[step.what % len(FIELDS)]))
            self.edit(step)
        self.at_work = at_work

    def delete(self, step: Step) -> None:
        ref = self._choose(step.side, step.which)
        if ref is None:
            return
        self.seen["deletion"] += self.links.find(ref) is not None
        if step.side is System.ONEC:
            self.base.alter(ref, is_deleted=True)
        else:
            self._remove_card(ref)

    def restore(self, step: Step) -> None:
        gone = [ref for ref in self._deleted() if ref.system is step.side]
        if gone:
            self._restore(gone[step.which % len(gone)])

    def _restore(self, ref: RecordRef) -> None:
        self.seen["restored"] += 1
        if ref.system is System.ONEC:
            self.base.alter(ref, is_deleted=False)
        else:
            self.portal.requisites[self._part_of(ref)] = ref
            self.portal.put(self.bin.pop(ref))

    def merge(self, step: Step) -> None:
        """The manager makes one of two cards: the portal deletes one and updates the other."""
        winner = self._choose(System.BITRIX24, step.which)
        others = [ref for ref in self.portal.records if winner and ref != winner and ref.type is winner.type]
        if winner is None or not others:
            return
        loser = others[step.what % len(others)]
        self.seen["merge"] += 1
        kept, given = self.portal.records[winner], self.portal.records[loser]
        fields = merged_fields(kept.fields, given.fields)
        self._typed(winner, fields)
        self._remove_card(loser, restorable=False)
        self.portal.alter(winner, fields=fields, other_ref=kept.other_ref or given.other_ref)
        self.portal.requisites[self._part_of(loser)] = winner

    def _remove_card(self, ref: RecordRef, *, restorable: bool = True) -> None:
        record = self.portal.records.pop(ref)
        self.portal.requisites.pop(self._part_of(ref), None)
        if restorable:
            self.bin[ref] = record
        self._announce(ref, Change.DELETED)

    def _choose(self, system: System, which: int) -> RecordRef | None:
        alive = [one.ref for one in self.sides[system].records.values() if not one.is_deleted]
        return alive[which % len(alive)] if alive else None

    def _value(self, system: System, name: str, value: int) -> Any:
        values = VALUES[name]
        if system is System.ONEC and name == "name":
            values = values[:-1]  # 1C has no party without a name
        return values[value % len(values)]

    def _typed(self, ref: RecordRef, fields: Mapping[str, Any]) -> None:
        self.typed |= {(ref, name): value for name, value in fields.items()}

    # --- what is announced -------------------------------------------------------------------------------------------

    def hear(self, before: CounterpartyRecord | None, after: CounterpartyRecord) -> None:
        """Something was written, by a person or by us."""
        if self.at_work is not None:
            self._judge(before, after)
        if after.ref.system is System.ONEC:
            self.wire.append(self._state_of(after))
            return
        moved = [name for name in FIELDS if before is None or before.fields.get(name) != after.fields.get(name)]
        parts = [name for name in moved if name not in CARD] if self.plan.rings_for_parts else []
        if before is None:
            self.portal.requisites[self._part_of(after.ref)] = after.ref
        if parts and (before is not None or any(after.fields.get(name) for name in parts)):
            self._announce(self._part_of(after.ref), Change.CHANGED)
        if moved != parts or before is None or not moved:
            self._announce(after.ref, Change.CHANGED)

    def _announce(self, ref: RecordRef, change: Change, *, whole: bool = False) -> None:
        self.wire.append(self._doorbell(ref, change, whole=whole))

    def _doorbell(self, ref: RecordRef, change: Change, *, whole: bool = False) -> ChangeEvent:
        now = self.world.clock.now()
        return ChangeEvent(
            entity=EntityKind.CONTACT, record=ref, change=change, seen_at=now, trace=f"{ref}", whole=whole
        )

    def _state_of(self, record: CounterpartyRecord) -> ChangeEvent:
        event = self.world.tell(record)
        if not record.is_deleted:
            return event
        assert event.onec is not None
        return replace(event, change=Change.DELETED, onec=replace(event.onec, data=None))

    def _part_of(self, card: RecordRef) -> RecordRef:
        return bitrix24_ref(RecordType.REQUISITE, int(card.id) + PART_IDS)

    def ring_all(self) -> None:
        """As a reconcile does: every record there is, and every one that was deleted."""
        for ref in self.portal.records:
            self._announce(ref, Change.CHANGED, whole=True)
        known = (parse_ref(f"bitrix24:{key}") for key in {one.bitrix24.key: one for one in self.links._all()})
        for ref in known:
            if ref not in self.portal.records:
                self._announce(ref, Change.DELETED)
        self.wire += [self._state_of(one) for one in self.base.records.values()]

    # --- what the network and the workers do -------------------------------------------------------------------------

    def deliver(self, step: Step) -> None:
        waiting = len(self.wire) + len(self.queue)
        if waiting:
            place = step.which % waiting
            lies = self.wire if place < len(self.wire) else self.queue
            self._work(lies.pop(place % len(self.wire) if lies is self.wire else place - len(self.wire)), step.fate)

    def deliver_twice(self, step: Step) -> None:
        if self.wire:
            self.queue.append(self.wire[step.which % len(self.wire)])
            self.deliver(step)

    def lose(self, step: Step) -> None:
        if self.wire and self.plan.loses:
            del self.wire[step.which % len(self.wire)]

    def release(self, step: Step) -> None:
        self.fuse.arm(step.fate)
        try:
            self.worker.release_parked()
        except (Crash, StoreUnavailable):
            self._be_born_again()
        self._collect()

    def _collect(self) -> None:
        self.fuse.arm(None)
        self.queue += self.outbox.published
        self.outbox.published.clear()

    def _work(self, event: ChangeEvent, fate: Fate | None = None) -> None:
        """As tasks/base.py; a message that is not acknowledged is given out again."""
        letter = self.letters.get(event.letter) if event.letter else None
        self.at_work, self.decision = event, letter.decision if letter else None
        self.known = self._names_of(event)
        self.raced.clear()
        gave_way = len(self.gave_way)
        self.fuse.arm(fate)
        try:
            came_to, again = self._run(event)
        except Crash:
            came_to, again = "crashed", event
            self._be_born_again()
        except StoreUnavailable:
            came_to, again = "given back", event
        if again is not None or (fate and fate.kind == "not acknowledged"):
            self.queue.append(again or event)
        self._note(came_to, event, gave_way)
        self.at_work = None
        self._collect()

    def _names_of(self, event: ChangeEvent) -> set[RecordRef]:
        """The record that the event is about, and its partner."""
        subject = self.portal.requisites.get(event.record, event.record)
        link = self.links.find(subject)
        return {subject, link.other(subject)} if link else {subject}

    def _run(self, event: ChangeEvent) -> tuple[str, ChangeEvent | None]:
        try:
            found = self.worker.resolve(event)
            event = found or event
            return ("skipped" if found is None else self.worker.handle(event).value), None
        except Exception as error:  # as the task does
            decision = self.worker.settle(event, error)
            told = f"{type(error).__name__} {error} -> {type(decision).__name__}"
            return told, after_failure(event, decision) if isinstance(decision, WaitFor) else None

    def _be_born_again(self) -> None:
        self.worker = replace(self.worker, in_hand=InHand())

    def _note(self, came_to: str, event: ChangeEvent, gave_way: int) -> None:
        struck = self.fuse.struck
        self.trace.append(f"{event.record} {event.change} -> {came_to} {struck}")
        self.seen[came_to.split()[0]] += 1
        for fate, call, is_done in struck:
            self.seen[fate] += 1
            self.seen[f"{fate} at {call}"] += 1
            self.seen["crash between create and link"] += fate == "crash" and is_done and "create" in call
        if any(fate in ("crash", "store down") for fate, _call, _is_done in struck):
            del self.gave_way[gave_way:]
        for letter in self.world.filed:
            self.seen[letter.cause] += 1
            self.trace.append(f"letter {letter.cause} {letter.record} {letter.partner} {letter.message}")
            if letter.cause == "internal_error":
                self.broken.append(f"our own fault: {letter.message}")
        self.world.filed.clear()
        self.seen["put back"] = self.tally.put_back_fields.total()

    # --- what the exchange may write ---------------------------------------------------------------------------------

    def _judge(self, before: CounterpartyRecord | None, after: CounterpartyRecord) -> None:
        """A write of ours, in the middle of the work at hand."""
        self._judge_letters(after)
        if before is None:
            self._judge_creation(after)
            return
        for name, owner in self.rules.owners.items():
            was, is_now = before.fields.get(name), after.fields.get(name)
            if was == is_now or (after.ref, name) in self.raced:
                continue
            base = self._agreed(after.ref, name)
            if owner.system is after.ref.system and not (is_blank(was) and is_blank(base)):
                self.broken.append(f"{after.ref} owns {name}, and its {was!r} became {is_now!r}; agreed was {base!r}")
            is_typed = (after.ref, name) in self.typed and self.typed[after.ref, name] == was
            if owner.system is not None and owner.system is not after.ref.system and is_typed:
                if not is_blank(was) and was != base:
                    self.gave_way.append((after.ref, name, was))

    def _judge_letters(self, after: CounterpartyRecord) -> None:
        assert self.at_work is not None
        if after.ref not in self.known:
            return
        letter = self.letters.of_record(EntityKind.CONTACT, [after.ref])
        has_say = self.decision is not None  # somebody decided just that, perhaps in another letter
        if letter is not None and letter.holds_back and letter.id != self.at_work.letter and not has_say:
            self.broken.append(f"{after.ref} was written by {self.at_work.record}, though letter {letter.cause} waits")

    def _judge_creation(self, after: CounterpartyRecord) -> None:
        side = self.sides[after.ref.system]
        others = [one for one in side.records.values() if one.ref != after.ref and not one.is_deleted]
        if self.decision is not None and self.decision.create:
            return
        if twins := [str(one.ref) for one in others if one.other_ref == after.other_ref]:
            self.broken.append(f"{after.ref} was made for {after.other_ref}, and so were {twins}")
        if doubles := [str(one.ref) for one in others if has_same_key(side.made_from, one)]:
            self.broken.append(f"{after.ref} was made for {after.other_ref}, a double of {doubles}")

    def _agreed(self, ref: RecordRef, name: str) -> Any:
        link = self.links.find(ref)
        baseline = self.memories.get(EntityKind.CONTACT, link.bitrix24).baseline if link else None
        if baseline is None:
            return None
        return (baseline.bitrix24 if ref.system is System.BITRIX24 else baseline.onec).get(name)

    # --- dead letters ------------------------------------------------------------------------------------------------

    def waiting_letters(self) -> list[DeadLetter]:
        """In an order that does not hang on their random ids."""
        letters, _ = self.letters.page()
        return sorted(letters, key=lambda letter: (letter.first_at, str(letter.record)))

    def settle(self, step: Step) -> None:
        """Anybody may decide anything that is offered."""
        letters = self.waiting_letters()
        if letters:
            letter = letters[step.which % len(letters)]
            moves = self._moves(letter, step.value) or ["wait"]
            self._decide(letter, moves[step.what % len(moves)], step.fate)

    def _moves(self, letter: DeadLetter, value: int) -> list[Decision | str]:
        offered = options(letter)
        return [
            *self._choices(letter, offered, value),
            *(Decision(pick=ref) for ref in offered.candidates),
            *(Decision(pick=ref) for ref in self._named(letter, offered)),
            *([Decision(create=True)] if offered.can_create else []),
            *(["replay"] if offered.can_replay else []),
            *(["discard"] if self.plan.loses else []),
        ]

    def _choices(self, letter: DeadLetter, offered: Options, value: int) -> list[Decision]:
        if not offered.fields:
            return []
        edited = {name: choose_value(letter, name, VALUES[name][value % 2]) for name in offered.fields}
        by_side = [{name: choose_side(letter, name, side) for name in offered.fields} for side in (ONE, OTHER)]
        return [Decision(fields=choices) for choices in (*by_side, edited)]

    def _named(self, letter: DeadLetter, offered: Options) -> list[RecordRef]:
        """Whom a person could name in the place of the one that is gone."""
        if offered.names_in is None:
            return []
        gone = letter.details.get("gone")
        records = self.sides[offered.names_in].records.values()
        return [one.ref for one in records if not one.is_deleted and str(one.ref) != gone]

    def _decide(self, letter: DeadLetter, move: Decision | str, fate: Fate | None = None) -> None:
        self.fuse.arm(fate)
        self.seen[move if isinstance(move, str) else "resolve"] += 1
        self.trace.append(f"{move if isinstance(move, str) else told(move)}: {letter.cause} of {letter.record}")
        try:
            if isinstance(move, Decision):
                self.office.resolve(letter.id, move, by="anna")
            elif move == "replay":
                self.office.replay_one(letter.id, by="anna")
            elif move == "discard":
                self.office.discard(letter.id, by="anna", reason="so be it")
        except (Crash, StoreUnavailable, NotPossible) as error:
            self.trace.append(f"but {type(error).__name__}")
        self._collect()

    # --- the end -----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing fails any more. Where something was lost, a reconcile rings every record once in each round."""
        for _round in range(ROUNDS):
            self.ring_what_was_lost()
            self.come_to_rest()
            letters = self.waiting_letters()
            self.trace.append(f"round {_round}: {len(letters)} letters")
            if not letters:
                return
            for letter in letters:
                self._settle_with_sense(letter)
            self.come_to_rest()
        self.ring_what_was_lost()
        self.come_to_rest()

    def ring_what_was_lost(self) -> None:
        if self.plan.loses:
            self.ring_all()

    def come_to_rest(self) -> None:
        for _look in range(MOST_LOOKS):
            self.queue += self.wire
            self.wire.clear()
            if self.queue:
                self._work(self.queue.pop(self.luck.randrange(len(self.queue))))
            elif self.parked.count():
                self.world.clock.time += timedelta(seconds=1000)
                self.worker.release_parked()
                self._collect()
            else:
                return
        self.broken.append("the work feeds itself")

    def _settle_with_sense(self, letter: DeadLetter) -> None:
        self.world.clock.time += timedelta(minutes=20)  # whoever was sent and lost is sent again
        filed = self.letters.get(letter.id)
        if filed is not None:
            self._decide(filed, self._sensible(filed))
            self.come_to_rest()

    def _sensible(self, letter: DeadLetter) -> Decision | str:
        offered = options(letter)
        if offered.fields:
            choices = self._choices(letter, offered, 0)
            return self.luck.choice([one for one in choices if "name" not in one.fields or one.fields["name"].value])
        if letter.cause == "merged_away":
            return self._merge_in_onec(letter, offered)
        if letter.cause == "remote_rejected":
            self._mend_name(letter)
            return "replay"
        free = [
            Decision(pick=ref)
            for ref in (*offered.candidates, *self._named(letter, offered))
            if self._free(ref, letter)
        ]
        moves: list[Decision | RecordRef | str] = [*free, *([Decision(create=True)] if offered.can_create else [])]
        if letter.cause == "link_broken":
            moves += ["discard"] if letter.partner else []
            moves += [ref for ref in self._deleted() if str(ref) in (letter.details.get("gone") or letter.message)]
        move = self.luck.choice(moves or ["replay"])
        if isinstance(move, RecordRef):
            self._restore(move)
            self.come_to_rest()
            return "replay"
        return move

    def _deleted(self) -> list[RecordRef]:
        return [*self.bin, *(one.ref for one in self.base.records.values() if one.is_deleted)]

    def _free(self, ref: RecordRef, letter: DeadLetter) -> bool:
        """Nobody else's partner."""
        record = self.sides[ref.system].records.get(ref)
        link = self.links.find(ref)
        is_ours = link is not None and link.other(ref) in (letter.record, letter.partner)
        return record is not None and not record.is_deleted and (link is None or is_ours) and record.other_ref is None

    def _merge_in_onec(self, letter: DeadLetter, offered: Options) -> Decision:
        """As the letter's advice has it."""
        left, *others = [
            ref for ref in offered.candidates if not self.base.records[ref].is_deleted
        ] or offered.candidates
        for ref in others:
            self.base.alter(ref, is_deleted=True)
        return Decision(pick=left)

    def _mend_name(self, letter: DeadLetter) -> None:
        for ref in (letter.record, letter.partner):
            card = self.portal.records.get(ref) if ref else None
            if card is not None and not card.fields["name"]:
                self.typed[card.ref, "name"] = "Безымянный"
                self.portal.edit(card.ref, name="Безымянный")

    # --- what must hold then -----------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        return [*self.broken, *self._waiting(), *self._unequal(), *self._left_out(), *self._untold()]

    def writes_of_another_sync(self) -> list[str]:
        """What one more ringing of everything writes, on either side; and what it files."""
        for side in (self.portal, self.base):
            side.calls.clear()
        self.ring_all()
        self.come_to_rest()
        written = [
            f"{side.system} {call}"
            for side in (self.portal, self.base)
            for call in side.calls
            if call in ("create", "update")
        ]
        return [*written, *self._waiting()]

    def _waiting(self) -> Iterator[str]:
        for letter in self.waiting_letters():
            yield f"letter {letter.cause} of {letter.record} waits: {letter.message}"
        if self.queue or self.wire or self.parked.count():
            yield "events wait"

    def _pairs(self) -> Iterator[tuple[CounterpartyRecord, CounterpartyRecord]]:
        for link in self.links._all():
            left, right = self.portal.records.get(link.bitrix24), self.base.records.get(link.onec)
            if left is not None and right is not None and not right.is_deleted and not link.deleted_in:
                yield left, right

    def _unequal(self) -> Iterator[str]:
        for left, right in self._pairs():
            for name in left.fields.keys() & right.fields.keys():
                one, other = left.fields[name], right.fields[name]
                cannot_hold = name == "responsible" and (one == UNKNOWN_THERE or other == UNKNOWN_HERE)
                if one != other and not cannot_hold:
                    yield f"{name} is {one!r} in {left.ref} and {other!r} in {right.ref}"
            if left.other_ref != right.ref.id or right.other_ref != left.ref.external_id:
                yield f"{left.ref} and {right.ref} name {left.other_ref} and {right.other_ref}"

    def _left_out(self) -> Iterator[str]:
        paired = {one.ref for pair in self._pairs() for one in pair}
        for record in (*self.portal.records.values(), *self.base.records.values()):
            link = self.links.find(record.ref)
            has_tombstone = link is not None and link.deleted_in is not None
            if not record.is_deleted and record.ref not in paired and not has_tombstone:
                yield f"{record.ref} has no partner"

    def _untold(self) -> Iterator[str]:
        for ref, name, value in self.gave_way:
            entries = [one for names in self.stories._entries.values() for one in names]
            lost = [one for entry in entries for one in entry.facts.get("lost", ())]
            if not any(one["field"] == name and one["value"] == value for one in lost):
                yield f"{ref} lost {value!r} of {name}, and no story tells of it"


ONE, OTHER = Owner.BITRIX24, Owner.ONEC


def happen(plan: Plan) -> History:
    """The whole history, to the end."""
    history = History(plan)
    for step in plan.steps:
        history.take(step)
    history.heal()
    return history


def merged_fields(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the portal makes of two cards: blanks are filled, phones and e-mails united, the first requisite counts."""
    fields = {name: kept[name] if not is_blank(kept[name]) else given[name] for name in CARD}
    fields |= {name: sorted({*(kept[name] or ()), *(given[name] or ())}) for name in ("phones", "emails")}
    of_requisite = kept if kept["inn"] or not given["inn"] else given
    return {**fields, **{name: of_requisite[name] for name in FIELDS if name not in CARD}}


def has_same_key(one: CounterpartyRecord, other: CounterpartyRecord) -> bool:
    inn = one.fields.get("inn")
    if is_inn(inn):
        return bool(other.fields.get("inn") == inn and other.fields.get("kpp") == one.fields.get("kpp"))
    if one.kind is not Kind.PERSON or other.kind is not Kind.PERSON or inn:
        return False
    return bool(set(one.fields["emails"] or ()) & set(other.fields["emails"] or ()))
