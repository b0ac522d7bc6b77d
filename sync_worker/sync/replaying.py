"""What the replay of a dead letter is about, and what else goes round when the letter goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, System, parse_ref
from sync_worker.domain.letter import NOTHING_DECIDED, DeadLetter, Decision
from sync_worker.errors import LinkBroken


def as_decided(event: ChangeEvent, letter: DeadLetter | None) -> tuple[ChangeEvent, Decision]:
    """The event as it is to be handled, with what a person decided. `letter`: the one that it is a replay of."""
    if letter is None:
        return event, NOTHING_DECIDED
    decision = letter.decision or NOTHING_DECIDED
    subject = subject_of(letter, decision)
    if subject is not None:
        return doorbell(event, subject), decision
    event = newest_state(event, letter)
    return (doorbell(event, event.record) if event.onec is None else event), decision


def newest_state(event: ChangeEvent, letter: DeadLetter) -> ChangeEvent:
    """The event with 1C's newest state: one that was parked behind the letter after it was sent round again counts."""
    newest = ChangeEvent.load(letter.event) if letter.event else event
    if newest.onec is None:
        return event  # a doorbell says "look" whenever it was rung
    return replace(newest, letter=event.letter, attempts=event.attempts, seen_at=event.seen_at)


def doorbell(event: ChangeEvent, ref: RecordRef) -> ChangeEvent:
    """ "Look at `ref`": what was deleted may have been restored."""
    return replace(event, record=ref, change=Change.CHANGED, onec=None, whole=True)


def subject_of(letter: DeadLetter, decision: Decision) -> RecordRef | None:
    """Whom to look at; None where the letter's own event will do. That may be the partner's, and a decision is not."""
    named = [_ref(letter, "subject"), letter.record, letter.partner]
    if decision.pick is not None:
        return next((ref for ref in named if ref is not None and ref.system is not decision.pick.system), None)
    if decision.fields:  # its card: a look at that reads both sides as they are now
        return next((ref for ref in named if ref is not None and ref.system is System.BITRIX24), None)
    if decision.create:
        return named[0] or letter.record
    if decision.is_blank and letter.cause == LinkBroken.cause and letter.entity == EntityKind.CONTACT:
        return _ref(letter, "gone")
    return None


def _ref(letter: DeadLetter, name: str) -> RecordRef | None:
    text = letter.details.get(name)
    return parse_ref(text) if text else None


def behind(letter: DeadLetter, *, partners: Iterable[RecordRef], now: datetime) -> list[ChangeEvent]:
    """What has to go round when the letter goes, if anything came behind it. Most of it will be covered, or an echo.

    A letter keeps one event for all the records that it names, and 1C's state rather than a doorbell. So each card that
    it may have been about is rung: those that it names, and `partners`, which are theirs now.
    """
    if not letter.event or not letter.waiting:
        return []
    event = replace(ChangeEvent.load(letter.event), whole=True, attempts=0)
    named = (letter.record, letter.partner, _ref(letter, "gone"), _ref(letter, "subject"), *partners)
    cards = dict.fromkeys(ref for ref in named if ref is not None and ref.system is System.BITRIX24)
    rung = (replace(doorbell(event, ref), seen_at=now) for ref in cards if event.onec or ref != event.record)
    return [event, *rung]
