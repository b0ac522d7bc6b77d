"""One event from the queue to its outcome, and what becomes of it when that fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sync_worker.contract import Change, ChangeEvent, Misfit
from sync_worker.domain.identity import EntityKind, RecordRef, System, parse_ref
from sync_worker.domain.letter import NOTHING_DECIDED, DeadLetter, Decision
from sync_worker.domain.link import names_of
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.story import StoryEntry
from sync_worker.errors import AmbiguousMatch, LinkBroken, NotYetLinked, StoreUnavailable, SyncError
from sync_worker.sync.chapter import Chapter, chapter
from sync_worker.sync.coalescing import QUIET, Covered, Gather, InHand, judge
from sync_worker.sync.filing import Filing, cause_of
from sync_worker.sync.ports import (
    CapabilityCheck,
    Clock,
    DeadLetters,
    Links,
    Outbox,
    Parked,
    Reads,
    Replays,
    Stories,
    Tally,
)
from sync_worker.sync.replaying import as_decided, behind
from sync_worker.sync.retry_policy import GiveUp, Halt, NextStep, Park, WaitFor, decide

UNTOLD = (Outcome.COVERED, Outcome.GATHERED)  # nothing was looked at: the look that answers them is told
NAMED = (("gone", "gone"), ("left", "subject"))  # LinkBroken's records, and what its details call them
GIVEN_UP = "given_up"  # it failed, as a person has said that it may


class Flow(Protocol):
    """How one entity travels."""

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        """The record that the event is really about; None where it is about nothing of ours."""

    def handle(self, event: ChangeEvent, decision: Decision = NOTHING_DECIDED) -> Outcome:
        """`decision`: what a person made of the dead letter that this is a replay of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncWorker:
    """What a task needs, built once a process by `bootstrap`."""

    flows: Mapping[EntityKind, Flow]
    capabilities: CapabilityCheck
    links: Links
    letters: DeadLetters
    parked: Parked
    reads: Reads
    tally: Tally
    outbox: Outbox
    replays: Replays
    stories: Stories
    clock: Clock
    max_age_hours: int
    code_version: str
    mask: Callable[[str], str]
    filed: Callable[[DeadLetter, Exception | None], None]  # who else is told of a letter: Sentry
    in_hand: InHand = field(default_factory=InHand)
    filing: Filing = field(init=False)

    def __post_init__(self) -> None:
        filing = Filing(
            letters=self.letters,
            links=self.links,
            clock=self.clock,
            code_version=self.code_version,
            mask=self.mask,
            filed=self.filed,
        )
        object.__setattr__(self, "filing", filing)

    def resolve(self, event: ChangeEvent) -> ChangeEvent | None:
        """The event with the record that it is really about; None where it is about nothing of ours."""
        subject = self.flows[event.entity].subject(event)
        if subject == event.record:
            return event
        if subject is None:
            self._count(event, Outcome.SKIPPED)
            return None
        return replace(event, record=subject, change=Change.CHANGED, whole=True)  # not the card: a part of the record

    def handle(self, event: ChangeEvent) -> Outcome:
        """Bring a resolved event's record into agreement. Errors: SyncError, for `settle` to decide upon."""
        can_be_covered = event.is_doorbell and event.letter is None
        with chapter() as done:
            try:
                outcome = self._answer(event) if can_be_covered else self._look(event)
            except SyncError as error:
                error.done = done.facts()
                self._count_put_back(done.put_back if done.wrote else ())
                self._ring_the_parted(event, done)
                raise
        self._count(event, outcome)
        self._count_put_back(done.put_back)
        self._ring_the_parted(event, done)
        if outcome not in UNTOLD:
            self._tell(event, outcome, done.facts())
        return outcome

    def _answer(self, event: ChangeEvent) -> Outcome:
        """A doorbell is answered by a look, and many by one."""
        with self.in_hand.take((event.entity, event.record)) as is_ours:
            if is_ours:
                return self._coalesce(event) or self._look(event)
        # another thread is at it, and its look may have begun too early for this one
        self.parked.park(event, ready_at=self.clock.now() + QUIET, reason="the record is being read")
        return Outcome.GATHERED

    def _coalesce(self, event: ChangeEvent) -> Outcome | None:
        """The outcome of a doorbell that needs no look of its own, else None. One question to the store."""
        began = self.reads.began(event.entity, event.record, whole=event.whole)
        judged = judge(rang_at=event.seen_at, began=began, now=self.clock.now())
        if isinstance(judged, Covered):
            return Outcome.COVERED
        if isinstance(judged, Gather):
            self.parked.park(event, ready_at=judged.until, reason="the record was read a moment ago")
            return Outcome.GATHERED
        return None

    def _look(self, event: ChangeEvent) -> Outcome:
        began = self.clock.now()
        if self.capabilities.missing(event.entity):
            self._is_back(event.letter)
            return Outcome.OFF
        letter = self.letters.of_record(event.entity, self._names(event.record))
        if letter is not None and letter.holds_back and letter.id != event.letter:
            self.letters.park_behind(letter, replace(event, given_up=None))
            return Outcome.PARKED
        replayed = self.letters.get(event.letter) if event.letter else None
        event, decision = as_decided(event, replayed)
        if replayed is not None and decision.pick is not None:
            self._refuse_entangled(replayed, decision.pick)
        outcome = self.flows[event.entity].handle(event, decision)
        if replayed is not None and outcome is Outcome.SKIPPED:
            self._refuse_undecided(replayed)
        self._note(event, outcome, began)
        if replayed is not None:
            self._close(replayed)
        elif letter is not None and outcome in (Outcome.CREATED, Outcome.UPDATED):
            self._close(letter)  # a notice: what it was about has been written anew, without a word
        return outcome

    def _refuse_entangled(self, letter: DeadLetter, pick: RecordRef) -> None:
        """A record that waits for a person of its own account is given to nobody until that is settled."""
        other = self.letters.of_record(EntityKind(letter.entity), self._names(pick))
        if other is None or other.id == letter.id or not other.holds_back:
            return
        text = f"{pick} has a letter of its own, {other.id}: settle that first"
        if letter.cause == LinkBroken.cause:
            raise LinkBroken(
                text, **{name: parse_ref(letter.details[key]) for name, key in NAMED if key in letter.details}
            )
        raise AmbiguousMatch(text, candidates=tuple(letter.details.get("candidates") or ()))

    def _refuse_undecided(self, letter: DeadLetter) -> None:
        """A deletion that nobody has decided upon is no settled matter because it was looked at again."""
        link = self.links.find(letter.record) if letter.record is not None else None
        if letter.cause == LinkBroken.cause and link is not None and link.deleted_in is not None:
            gone = link.bitrix24 if link.deleted_in is System.BITRIX24 else link.onec
            raise LinkBroken(f"{gone} is still deleted", gone=gone, left=link.other(gone))

    def _note(self, event: ChangeEvent, outcome: Outcome, began: datetime) -> None:
        """What rang before `began` is answered. Said only after the work: a read whose work failed covers nothing."""
        if event.is_doorbell:
            whole = event.whole or outcome is Outcome.CREATED  # nobody creates from a card alone
            with suppress(StoreUnavailable):  # the work is done; a lost entry costs a read
                self.reads.note(event.entity, event.record, began, whole=whole)

    def _count(self, event: ChangeEvent, outcome: str) -> None:
        with suppress(StoreUnavailable):  # no event waits for its tally
            self.tally.count(event.entity, event.lane, outcome)

    def _count_put_back(self, fields: Iterable[str]) -> None:
        with suppress(StoreUnavailable):
            for name in fields:
                self.tally.put_back(name)

    def _ring_the_parted(self, event: ChangeEvent, done: Chapter) -> None:
        """Who lost a partner to another, by a person's decision, is looked at: nobody is left alone without a word."""
        for ref in done.parted:
            self.outbox.publish(
                ChangeEvent(
                    entity=event.entity,
                    record=ref,
                    seen_at=self.clock.now(),
                    trace=event.trace,
                    lane=event.lane,
                    whole=True,
                )
            )

    def _tell(self, event: ChangeEvent, what: str, facts: Mapping[str, Any]) -> None:
        about = {"entity": event.entity.value, "change": event.change.value, "lane": event.lane.value}
        about["from"] = event.record.system.value
        about |= {"letter": event.letter} if event.letter else {}
        entry = StoryEntry(at=self.clock.now(), what=what, trace=event.trace, facts={**about, **facts})
        with suppress(StoreUnavailable):  # no event waits for its story
            self.stories.tell(event.record, entry)

    def settle(self, event: ChangeEvent, error: Exception) -> NextStep:
        """Decide what happens next, and see to it that the event is safe: parked, or a dead letter.

        A `WaitFor` is the caller's to carry out. Errors: StoreUnavailable, where the event is safe nowhere but in
        the queue it came from.
        """
        now = self.clock.now()
        decision = decide(
            error,
            attempts=event.attempts,
            age_seconds=(now - event.seen_at).total_seconds(),
            max_age_seconds=self.max_age_hours * 3600,
            jitter=random.random(),  # noqa: S311  # spreads retries; no secret depends on it
            gathers=event.is_doorbell,
        )
        if isinstance(error, NotYetLinked) and error.need is not None:
            self._send_first(event, error.need)
        if isinstance(decision, (Park, Halt)):
            again = after_failure(event, decision)
            ready_at = now + timedelta(seconds=decision.seconds)
            self.parked.park(again, ready_at=ready_at, reason=self.mask(str(error)))
        elif isinstance(decision, GiveUp):
            self.give_up(event, error)
        if not isinstance(decision, GiveUp):
            self._count(event, "failed" if counts_as_attempt(decision) else "waited")
        failure = self._failure(error)
        is_try = isinstance(decision, (WaitFor, Park)) and decision.counts
        if not isinstance(decision, GiveUp) and (is_try or "lost" in failure):
            self._tell(event, "failed", failure)
        return decision

    def give_up(self, event: ChangeEvent, error: Exception) -> DeadLetter | None:
        """File the event as a dead letter; None where a person has given up just that. Errors: StoreUnavailable."""
        replayed = self.letters.get(event.letter) if event.letter else None
        letter = self.filing.file(event, error)
        if letter is None:
            self._tell(event, GIVEN_UP, self._failure(error))
            self._count(event, GIVEN_UP)
            return None
        if replayed is not None and replayed.run:
            self.replays.ended(replayed.run, replayed.id, closed=False)
        self._tell(event, "dead_letter", {**self._failure(error), "letter": letter.id})
        self._count(event, "dead_letter")
        return letter

    def keep(self, misfit: Misfit) -> DeadLetter:
        """File an event that could not be read."""
        return self.filing.keep(misfit)

    def _failure(self, error: Exception) -> dict[str, Any]:
        done = error.done if isinstance(error, SyncError) else {}
        return {"cause": cause_of(error), "message": self.filing.words(error), **done}

    def _is_back(self, letter_id: str | None) -> None:
        """A replay came to nothing, and the letter is as it was."""
        letter = self.letters.get(letter_id) if letter_id else None
        if letter is not None:
            self.letters.change(letter.id, lambda one: replace(one, sent_at=None, run=""))
            if letter.run:
                self.replays.ended(letter.run, letter.id, closed=False)

    def release_parked(self, *, limit: int = 500) -> int:
        """Put parked events whose time has come back into their queues. Returns how many."""
        ready = self.parked.release(self.clock.now(), limit=limit)
        for event in ready:
            self.outbox.publish(event)
        if ready:
            self.parked.forget(*ready)
        return len(ready)

    def _close(self, replayed: DeadLetter) -> None:
        """Remove a letter whose event had an outcome. What was parked behind it goes round on its own."""
        while (closed := self.letters.get(replayed.id)) is not None:
            # first on their way, then off the letter: a crash in between sends them twice, and loses none
            for event in behind(closed, partners=self._partners(closed), now=self.clock.now()):
                self.outbox.publish(event)
            if self.letters.remove(closed):
                if closed.run:
                    self.replays.ended(closed.run, closed.id, closed=True)
                return

    def _partners(self, letter: DeadLetter) -> list[RecordRef]:
        """Whom its records are linked to now: a decision may have moved them."""
        refs = [ref for ref in (letter.record, letter.partner) if ref is not None]
        return [ref for one in refs for ref in self._names(one)]

    def _names(self, ref: RecordRef) -> tuple[RecordRef, ...]:
        return names_of(ref, self.links.find(ref))

    def _send_first(self, event: ChangeEvent, need: RecordRef) -> None:
        """The needed record gets an event of its own, so that what stops it shows as its own letter."""
        now = self.clock.now()
        first = ChangeEvent(entity=EntityKind.CONTACT, record=need, seen_at=now, trace=event.trace, lane=event.lane)
        self.outbox.publish(first)


def after_failure(event: ChangeEvent, decision: WaitFor | Park | Halt) -> ChangeEvent:
    """The event as it goes round again: with one attempt more, where the decision counts it as one."""
    return replace(event, attempts=event.attempts + int(counts_as_attempt(decision)))


def counts_as_attempt(decision: WaitFor | Park | Halt) -> bool:
    return not isinstance(decision, Halt) and decision.counts
