"""The dead letter office: what a person can do with letters, from the command line or the tab in Flower."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordRef, System, parse_ref
from sync_worker.domain.letter import Act, Choice, DeadLetter, Decision, Deed, Group, ReplayRun, Selection, matter
from sync_worker.domain.link import names_of
from sync_worker.domain.rules import Owner
from sync_worker.domain.story import StoryEntry
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.ports import Audit, Clock, DeadLetters, Links, Outbox, Replays, Stories
from sync_worker.sync.replaying import behind, subject_of

MOST_UNDER_WAY = 100  # letters of one run at once; so cancelling it leaves little, and live work its budget
LOST_AFTER = timedelta(minutes=15)  # a letter that was sent and heard of no more may be sent again
MOST_DEEDS = 20  # on the letter itself; the audit keeps all


class NotPossible(Exception):
    """What a person asked for cannot be done, in words for that person. Nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a person may decide about a letter."""

    fields: Mapping[str, Mapping[str, Any]]  # field -> {"baseline", "bitrix24", "onec"}: take a side, or edit
    candidates: tuple[RecordRef, ...]  # pick one
    names_in: System | None  # any record of that side may be named as the partner
    can_create: bool  # none of them: make a new record; of a broken link: forget it and begin anew
    can_reopen: bool
    can_replay: bool  # False: there is no event that could be sent again

    @property
    def can_decide(self) -> bool:
        return bool(self.fields or self.candidates or self.names_in or self.can_create or self.can_reopen)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterOffice:
    letters: DeadLetters
    replays: Replays
    audit: Audit
    stories: Stories
    links: Links
    outbox: Outbox
    clock: Clock

    # --- looking -----------------------------------------------------------------------------------------------------

    def get(self, letter_id: str) -> DeadLetter:
        """Errors: NotPossible."""
        letter = self.letters.get(letter_id)
        if letter is None:
            raise NotPossible(f"there is no letter {letter_id}; it may have been settled meanwhile")
        return letter

    def groups(self) -> list[Group]:
        return self.letters.groups()

    def story(self, ref: RecordRef) -> list[StoryEntry]:
        """Of the record and its partner together, the oldest first."""
        return self.stories.read(*names_of(ref, self.links.find(ref)))

    # --- deciding ----------------------------------------------------------------------------------------------------

    def resolve(self, letter_id: str, decision: Decision, *, by: str) -> DeadLetter:
        """Keep the decision, and send the letter round with it. Errors: NotPossible."""
        deed = self._deed(Act.RESOLVED, by, note=told(decision))
        if decision.pick is not None:
            self._refuse_entangled(letter_id, decision.pick)

        def decide(letter: DeadLetter) -> DeadLetter:
            refuse_unfit(decision, letter)
            self._refuse_under_way(letter)
            rejected = options(letter).candidates if decision.create else ()
            return with_deed(
                replace(letter, decision=replace(decision, rejected=rejected), sent_at=deed.at, run=""), deed
            )

        letter = self._change(letter_id, decide)
        self._publish(letter)
        self._tell(deed, letter)
        return letter

    def _refuse_entangled(self, letter_id: str, pick: RecordRef) -> None:
        other = self.letters.of_record(EntityKind.CONTACT, names_of(pick, self.links.find(pick)))
        if other is not None and other.id != letter_id and other.holds_back:
            raise NotPossible(f"{pick} has a letter of its own, {other.id}: settle that first")

    def replay_one(self, letter_id: str, *, by: str) -> DeadLetter:
        """Send the letter's event round again. The letter goes when the event has an outcome. Errors: NotPossible."""
        deed = self._deed(Act.REPLAYED, by)
        letter = self._change(letter_id, lambda letter: self._sent(letter, deed))
        self._publish(letter)
        self._tell(deed, letter)
        return letter

    def discard(self, letter_id: str, *, by: str, reason: str) -> DeadLetter:
        """Give the letter's event up. What came behind it goes round, and makes no letter of the same matter again.

        Errors: NotPossible.
        """
        if not reason.strip():
            raise NotPossible(
                "say why: a discarded letter is gone, and its reason is what the next person will look for"
            )
        letter = self.get(letter_id)
        self._send_on(letter)
        while not self.letters.remove(letter):  # it has just changed: what came behind it goes on as well
            letter = self.get(letter_id)
            self._send_on(letter)
        self._tell(self._deed(Act.DISCARDED, by, note=reason.strip()), letter)
        self._end(letter, closed=True)
        return letter

    def _send_on(self, letter: DeadLetter) -> None:
        """What came behind the letter goes on its way before the letter goes: a crash in between loses none."""
        links = [self.links.find(ref) for ref in (letter.record, letter.partner) if ref is not None]
        partners = [ref for link in links if link is not None for ref in (link.bitrix24, link.onec)]
        for event in behind(letter, partners=partners, now=self.clock.now()):
            self.outbox.publish(replace(event, lane=Lane.BULK, given_up=matter(letter)))

    # --- many at once ------------------------------------------------------------------------------------------------

    def replay(self, selection: Selection, *, by: str) -> ReplayRun:
        """Send all these letters round, at a bounded pace. `advance` does it, step by step."""
        now = self.clock.now()
        run = ReplayRun(id=new_run_id(now), by=by, at=now, selection=selection, total=0)
        run = self.replays.start(run)
        self.audit.note(self._deed(Act.REPLAYED, by, note=f"{run.total} letters, replay {run.id}"))
        return run

    def cancel(self, run_id: str, *, by: str) -> ReplayRun:
        """Errors: NotPossible."""
        run = self.replays.cancel(run_id, by=by, at=self.clock.now())
        if run is None:
            raise NotPossible(f"there is no replay {run_id}")
        self.audit.note(self._deed(Act.CANCELLED, by, note=f"replay {run_id}"))
        return run

    def advance(self) -> int:
        """Send the next letters of each replay. Returns how many. Safe to do twice, and in two processes at once."""
        return sum(self._advance(run) for run in self.replays.unfinished())

    def _advance(self, run: ReplayRun) -> int:
        room = max(0, MOST_UNDER_WAY - run.under_way)
        return sum(self._send_in(run, letter_id) for letter_id in self.replays.next(run.id, limit=room))

    def _send_in(self, run: ReplayRun, letter_id: str) -> bool:
        deed = self._deed(Act.REPLAYED, run.by, note=f"replay {run.id}")
        try:
            letter = self._change(letter_id, lambda letter: replace(self._sent(letter, deed), run=run.id))
        except NotPossible:
            if not self._has_died_sending(run, letter_id):
                self.replays.skipped(run.id, letter_id)
                return False
            letter = self.get(letter_id)
        self.replays.sent(run.id, letter_id, at=deed.at)
        self._publish(letter)
        self._tell_story(deed, letter)
        return True

    def _has_died_sending(self, run: ReplayRun, letter_id: str) -> bool:
        """True where a step of this very run marked the letter, and was killed before it could say so to the run."""
        letter = self.letters.get(letter_id)
        return letter is not None and letter.run == run.id

    # --- what the worker says of a replayed letter -------------------------------------------------------------------

    def _end(self, letter: DeadLetter, *, closed: bool) -> None:
        if letter.run:
            self.replays.ended(letter.run, letter.id, closed=closed)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _change(self, letter_id: str, change: Any) -> DeadLetter:
        letter = self.letters.change(letter_id, change)
        if letter is None:
            raise NotPossible(f"there is no letter {letter_id}; it may have been settled meanwhile")
        return letter

    def _sent(self, letter: DeadLetter, deed: Deed) -> DeadLetter:
        refuse_unsendable(letter)
        self._refuse_under_way(letter)
        return with_deed(replace(letter, sent_at=deed.at, run=""), deed)

    def _refuse_under_way(self, letter: DeadLetter) -> None:
        if letter.sent_at is not None and self.clock.now() - letter.sent_at < LOST_AFTER:
            raise NotPossible(f"letter {letter.id} is being replayed already, since {letter.sent_at:%H:%M:%S} UTC")

    def _publish(self, letter: DeadLetter) -> None:
        """Errors: StoreUnavailable, with the letter as it was: nobody shall wait for a replay that never left."""
        try:
            self._send(letter)
        except StoreUnavailable:
            self.letters.change(letter.id, lambda one: replace(one, sent_at=None, run=""))
            raise

    def _send(self, letter: DeadLetter) -> None:
        event = replace(ChangeEvent.load(letter.event), letter=letter.id, lane=Lane.BULK, whole=True)
        self.outbox.publish(replace(event, attempts=0, seen_at=self.clock.now()))

    def _deed(self, act: Act, by: str, *, note: str = "") -> Deed:
        return Deed(at=self.clock.now(), by=by, act=act, note=note)

    def _tell(self, deed: Deed, letter: DeadLetter) -> None:
        self.audit.note(about(deed, letter))
        self._tell_story(deed, letter)

    def _tell_story(self, deed: Deed, letter: DeadLetter) -> None:
        if letter.record is not None:
            facts = {
                "entity": letter.entity,
                "letter": letter.id,
                "cause": letter.cause,
                "by": deed.by,
                "note": deed.note,
            }
            self.stories.tell(letter.record, StoryEntry(at=deed.at, what=deed.act, trace=letter.trace, facts=facts))


# --- pure ------------------------------------------------------------------------------------------------------------


def options(letter: DeadLetter) -> Options:
    """What can be decided about it, by its cause."""
    fields = letter.details.get("fields") if letter.cause == "field_conflict" else None
    is_party = letter.entity == EntityKind.CONTACT
    candidates = letter.details.get("candidates") if is_party else None
    gone = _gone(letter)
    return Options(
        fields=fields or {},
        candidates=tuple(parse_ref(text) for text in candidates or ()),
        names_in=gone.system if gone and is_party and letter.cause == "link_broken" else None,
        can_create=(is_party and letter.cause in ("ambiguous_match", "invalid_key")) or _can_be_made_anew(letter, gone),
        can_reopen=letter.cause == "deal_closed",
        can_replay=letter.record is not None and bool(letter.event),
    )


def _gone(letter: DeadLetter) -> RecordRef | None:
    text = letter.details.get("gone")
    return parse_ref(text) if text else None


def _can_be_made_anew(letter: DeadLetter, gone: RecordRef | None) -> bool:
    """A card can, of what 1C has. What is marked for deletion in 1C keeps its external_id: it can only be restored."""
    is_made_here = letter.entity in (EntityKind.CONTACT, EntityKind.INVOICE)
    return is_made_here and letter.cause == "link_broken" and gone is not None and gone.system is System.BITRIX24


def choose_side(letter: DeadLetter, field: str, side: Owner) -> Choice:
    """One side's value of a field in conflict. Errors: NotPossible."""
    values = _values(letter, field)
    return _choice(values, values[side.value])


def choose_value(letter: DeadLetter, field: str, value: Any) -> Choice:
    """A value that a person typed. Errors: NotPossible."""
    return _choice(_values(letter, field), value)


def _values(letter: DeadLetter, field: str) -> Mapping[str, Any]:
    fields = options(letter).fields
    if field not in fields:
        known = ", ".join(sorted(fields)) or "none"
        raise NotPossible(f"letter {letter.id} has no conflict about {field!r}; it has: {known}")
    return fields[field]


def _choice(values: Mapping[str, Any], value: Any) -> Choice:
    return Choice(value=value, bitrix24=values["bitrix24"], onec=values["onec"])


def refuse_unfit(decision: Decision, letter: DeadLetter) -> None:
    """Errors: NotPossible where the letter does not offer what was decided, or something is left open."""
    offered = options(letter)
    if decision.is_blank:
        raise NotPossible(f"nothing is decided about letter {letter.id}")
    if missing := sorted(set(offered.fields) - set(decision.fields)):
        raise NotPossible(f"say for each field which value is right; missing: {', '.join(missing)}")
    if unknown := sorted(set(decision.fields) - set(offered.fields)):
        raise NotPossible(f"letter {letter.id} has no conflict about {', '.join(unknown)}")
    if decision.pick is not None and not _is_offered(decision.pick, offered):
        raise NotPossible(f"{decision.pick} is none of the candidates of letter {letter.id}")
    if decision.pick is not None and subject_of(letter, decision) is None:
        raise NotPossible(f"letter {letter.id} names no record that {decision.pick} could be the partner of")
    if decision.create and not offered.can_create:
        raise NotPossible(f"a letter of {letter.cause} has nothing to create anew")
    if decision.pick is not None and decision.create:
        raise NotPossible("either pick a candidate or create a new record")
    if decision.reopen and not offered.can_reopen:
        raise NotPossible(f"a letter of {letter.cause} is not about a closed deal")
    refuse_unsendable(letter)


def _is_offered(pick: RecordRef, offered: Options) -> bool:
    return pick in offered.candidates or pick.system is offered.names_in


def refuse_unsendable(letter: DeadLetter) -> None:
    if not options(letter).can_replay:
        raise NotPossible(
            f"letter {letter.id} holds no event that could be sent again; mend what sent it, then discard it"
        )


def told(decision: Decision) -> str:
    """What was decided, without values."""
    told = []
    for name, choice in sorted(decision.fields.items()):
        side = "Bitrix24's" if choice.value == choice.bitrix24 else "1C's" if choice.value == choice.onec else "edited"
        told.append(f"{name}: {side}")
    told += [f"partner: {decision.pick}"] if decision.pick else []
    told += ["a new record"] if decision.create else []
    told += ["reopen the deal"] if decision.reopen else []
    return "; ".join(told)


def about(deed: Deed, letter: DeadLetter) -> Deed:
    return replace(deed, letter=letter.id, entity=letter.entity, record=letter.record, cause=letter.cause)


def with_deed(letter: DeadLetter, deed: Deed) -> DeadLetter:
    return replace(letter, deeds=(*letter.deeds, deed)[-MOST_DEEDS:])


def new_run_id(at: datetime) -> str:
    """Sorts by time."""
    return f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def owner_rules(owners: Mapping[str, Owner]) -> str:
    """What to add to sync.toml so that these fields are never in conflict again."""
    lines = (f'{field} = "{owner.value}"' for field, owner in sorted(owners.items()))
    return "\n".join(("[owners.counterparty]", *lines, ""))
