"""Histories of counterparties: people who edit, a network that shuffles and loses, workers that die, and what holds.

People type parties in on either side or on both, edit any field, delete, restore, merge on the portal, and settle dead
letters. Each write is announced by a doorbell or by 1C's event, the exchange's own writes too. Announcements arrive in
any order, twice, or not at all; what was accepted is handled at least once. The worker may be killed before and after
each call of a remote or store, and so may the office while somebody decides; writes lose their answers; remotes and
stores go down; somebody edits in the middle of the work.

While a history runs, each write of the exchange is held against what it may do:
- an owner's value is changed by nobody else. Only a field that its owner has never filled may be filled;
- nothing is written for a record whose letter holds it back, nor for its partner, but by a person's decision;
- no record is made where that side has one which names the same partner or has the very same key, unless a person
  wants a new one.

At its end the network heals and somebody settles what letters there are, for no more than ROUNDS rounds. Where things
were lost, every record is rung once more in each round, as a reconcile does; where nothing was lost, nothing is rung.
Then nothing waits, both sides are equal, whoever is there has a partner, and every value that gave way to its owner's
is told in a story. One more ringing of everything writes nothing.

What cannot hold in principle, and what is left out for it:
- What an owner clears between a crash and the next look passes for never filled: nobody knows that both had agreed.
- An edit on the portal that falls between our read and our write of the same field is lost: the portal has no versions.
- A value that gives way in the very visit that a crash ends, or while the store is down, is in no story.
- Two people whose decisions contradict each other (each gives one card to another 1C record) could go on for ever. So
  at the end somebody with sense decides: picks only who is free, and wants a new record of everybody else.
- Somebody may pick a record that has a partner already. Whoever is robbed so is rung by the next reconcile only, so
  where none comes people pick only who is free.
- A letter holds back its record and that one's partner. A record that is only found in the course of the work, by its
  key, is written though it has a letter of its own; that letter then finds nothing to do.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from datetime import timedelta

from sync_worker.contract import ChangeEvent
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.coalescing import InHand
from sync_worker.sync.retry_policy import WaitFor
from sync_worker.sync.worker import after_failure
from tests.unit.sync.history_clerk import Clerk
from tests.unit.sync.history_judge import Judge, Work
from tests.unit.sync.history_people import People, Step
from tests.unit.sync.history_sides import CRASHES, Crash, Fate, Moment
from tests.unit.sync.history_stage import Stage
from tests.unit.sync.history_values import AGREEMENTS

ROUNDS = 5
MOST_LOOKS = 400  # between two rests; more is work that feeds itself
STEPS = (
    *("type in",) * 3, *("edit",) * 5, "edit both", *("deliver",) * 10, "deliver twice", "lose", "release", "delete",
    "restore", *("merge",) * 2, *("settle",) * 3,
)  # fmt: skip

_LETTER_ID = re.compile(r"\b1[0-9a-z]{14}\b")  # it holds random bits: no two runs have the same


@dataclass(frozen=True)
class Plan:
    """A whole history, before it happens."""

    rules: int  # of AGREEMENTS
    loses: bool  # announcements get lost, and people give letters up; a reconcile rings everything at the end
    rings_for_parts: bool  # the portal sends the events of requisites and addresses too
    seed: int  # of the order in which things come at the end, and of who decides then
    steps: tuple[Step, ...]


class History:
    """`queue` has what was accepted: it is handled at least once."""

    def __init__(self, plan: Plan) -> None:
        random.seed(plan.seed)  # the jitter of retries
        self.plan = plan
        self.stage = Stage(AGREEMENTS[plan.rules], rings_for_parts=plan.rings_for_parts, seed=plan.seed)
        self.people = People(self.stage)
        self.judge = Judge(self.stage, self.people)
        self.clerk = Clerk(self.stage, self.people, gives_up=plan.loses)
        self.worker = self.stage.world.worker
        self.queue: list[ChangeEvent] = []
        self.wire, self.trace, self.seen = self.stage.wire, self.stage.trace, self.stage.seen

    def take(self, step: Step) -> None:
        self.stage.clock.time += timedelta(seconds=step.wait)
        self.stage.fuse.meanwhile = lambda: self._edit_meanwhile(step)
        name = step.kind.replace(" ", "_")
        actor = next(one for one in (self.people, self.clerk, self) if hasattr(one, name))
        getattr(actor, name)(step)
        self._collect()

    def _edit_meanwhile(self, step: Step) -> None:
        """In the middle of the work at hand."""
        work, self.judge.work = self.judge.work, None
        written = self.people.edit(step)
        if work is not None and written is not None:
            work.raced.add(written)
        self.judge.work = work

    # --- what the network and the workers do -------------------------------------------------------------------------

    def deliver(self, step: Step) -> None:
        place = step.which % max(1, len(self.wire) + len(self.queue))
        if place < len(self.wire):
            self._handle(self.wire.pop(place), step.fate)
        elif self.queue:
            self._handle(self.queue.pop(place - len(self.wire)), step.fate)

    def deliver_twice(self, step: Step) -> None:
        if self.wire:
            self.queue.append(self.wire[step.which % len(self.wire)])
            self.deliver(step)

    def lose(self, step: Step) -> None:
        if self.wire and self.plan.loses:
            del self.wire[step.which % len(self.wire)]

    def release(self, step: Step) -> None:
        self.stage.fuse.arm(step.fate)
        try:
            self.worker.release_parked()
        except (Crash, StoreUnavailable):
            self._be_born_again()

    def _collect(self) -> None:
        self.stage.fuse.arm(None)
        self.queue += self.stage.outbox.published
        self.stage.outbox.published.clear()

    def _handle(self, event: ChangeEvent, fate: Fate | None = None) -> None:
        """A message that is not acknowledged is given out again."""
        work = self.judge.begin(event)
        self.stage.fuse.arm(fate)
        try:
            came_to, again = self._run(event)
        except Crash:
            came_to, again = "crashed", event
            self._be_born_again()
        except StoreUnavailable:
            came_to, again = "given back", event
        if again is not None or (fate and fate.kind == "not acknowledged"):
            self.queue.append(again or event)
        self._note(came_to, work)
        self._collect()

    def _run(self, event: ChangeEvent) -> tuple[str, ChangeEvent | None]:
        """As tasks/base.py: what came of it, and the event as it goes round again, if it does at once."""
        try:
            found = self.worker.resolve(event)
            event = found or event
            return ("skipped" if found is None else self.worker.handle(event).value), None
        except Exception as error:  # as the task does
            decision = self.worker.settle(event, error)
            came_to = f"{type(error).__name__} {error} -> {type(decision).__name__}"
            return came_to, after_failure(event, decision) if isinstance(decision, WaitFor) else None

    def _be_born_again(self) -> None:
        self.worker = replace(self.worker, in_hand=InHand())

    def _note(self, came_to: str, work: Work) -> None:
        struck = self.stage.fuse.struck
        self.judge.end(work, tells=not any(one.fate in (*CRASHES, "store down") for one in struck))
        told = f"{work.event.record} {work.event.change} -> {came_to} {struck or ''}"
        self.trace.append(_LETTER_ID.sub("a letter", told))
        self.seen[came_to.split(maxsplit=1)[0]] += 1
        for one in struck:
            self.seen[one.fate] += 1
            self.seen["crash between create and link"] += one.fate in CRASHES and self._is_unlinked(one)
        for letter in self.stage.world.filed:
            self.seen[letter.cause] += 1
            told = f"letter {letter.cause} {letter.record} {letter.partner} {letter.message}"
            self.trace.append(_LETTER_ID.sub("a letter", told))
            if letter.cause == "internal_error":
                self.judge.broken.append(f"our own fault: {letter.message}")
        self.stage.world.filed.clear()
        self.seen["put back"] = self.stage.tally.put_back_fields.total()

    def _is_unlinked(self, moment: Moment) -> bool:
        """True where a record had just been made, and its link was not saved."""
        has_made = any(side.calls[-1:] == ["create"] for side in self.stage.sides.values())
        return moment.follows("create") or (has_made and moment.precedes("save"))

    # --- the end -----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing fails any more."""
        self.come_to_rest()
        for _round in range(ROUNDS):
            self._ring_what_was_lost()
            letters = self.stage.waiting_letters()
            self.trace.append(f"round {_round}: {len(letters)} letters")
            if not letters:
                return
            for letter in letters:
                self.clerk.settle_with_sense(letter.id)
                self.come_to_rest()
        self._ring_what_was_lost()

    def _ring_what_was_lost(self) -> None:
        if self.plan.loses:
            self.stage.ring_all()
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """Handle all that is announced, accepted or parked, in any order."""
        for _look in range(MOST_LOOKS):
            self._collect()
            self.queue += self.wire
            self.wire.clear()
            if self.queue:
                self._handle(self.queue.pop(self.stage.luck.randrange(len(self.queue))))
            elif self.stage.parked.count():
                self.stage.clock.time += timedelta(seconds=1000)
                self.worker.release_parked()
            else:
                return
        self.judge.broken.append("the work feeds itself")
        self.queue.clear()

    def faults(self) -> list[str]:
        return list(self.judge.faults())

    def written_by_another_sync(self) -> list[str]:
        """What one more ringing of everything writes, on either side, and what it files."""
        sides = (self.stage.portal, self.stage.base)
        for side in sides:
            side.calls.clear()
        self.stage.ring_all()
        self.come_to_rest()
        written = [f"{side.system} {call}" for side in sides for call in side.calls if call in ("create", "update")]
        return [*written, *self.judge.letters_left()]


def happen(plan: Plan) -> History:
    """The whole history, to its end."""
    history = History(plan)
    for step in plan.steps:
        history.take(step)
    history.heal()
    return history
