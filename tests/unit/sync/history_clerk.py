"""Who settles dead letters: anybody with anything that is offered; and at the end somebody with sense."""

from __future__ import annotations

from datetime import timedelta

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.letter import DeadLetter, Decision
from sync_worker.domain.rules import Owner
from sync_worker.errors import StoreUnavailable
from sync_worker.sync.office import NotPossible, Options, choose_side, choose_value, options, told
from tests.unit.sync.history_people import People, Step
from tests.unit.sync.history_sides import Crash, Fate
from tests.unit.sync.history_stage import Stage
from tests.unit.sync.history_values import VALUES

BY = "anna"
Move = Decision | str  # a decision, or the name of what else can be done


class Clerk:
    """`gives_up`: somebody may give a letter up, or rob a record of its partner: a reconcile comes afterwards."""

    def __init__(self, stage: Stage, people: People, *, gives_up: bool) -> None:
        self.stage, self.people, self.gives_up = stage, people, gives_up
        self.office = stage.world.office

    def settle(self, step: Step) -> None:
        letters = self.stage.waiting_letters()
        if letters:
            letter = letters[step.which % len(letters)]
            moves = self._moves(letter, step.value)
            self._do(letter, moves[step.what % len(moves)], step.fate)

    def _moves(self, letter: DeadLetter, number: int) -> list[Move]:
        offered = options(letter)
        edits = {name: choose_value(letter, name, VALUES[name][number % 2]) for name in offered.fields}
        moves: list[Move] = [*_by_side(letter, offered), *([Decision(fields=edits)] if edits else [])]
        picks = (*offered.candidates, *self._to_be_named(letter, offered))
        moves += [Decision(pick=ref) for ref in picks if self.gives_up or self._is_free(ref, letter)]
        moves += [Decision(create=True)] if offered.can_create else []
        return [*moves, "replay", *(["discard"] if self.gives_up else [])]

    def _to_be_named(self, letter: DeadLetter, offered: Options) -> list[RecordRef]:
        """Whom a person could name in the place of the one that is gone."""
        if offered.names_in is None:
            return []
        return [ref for ref in self.stage.alive(offered.names_in) if str(ref) != letter.details.get("gone")]

    def _do(self, letter: DeadLetter, move: Move, fate: Fate | None = None) -> None:
        what = "resolve" if isinstance(move, Decision) else move
        self.stage.seen[what] += 1
        self.stage.trace.append(f"{told(move) if isinstance(move, Decision) else move}: {letter.cause} {letter.record}")
        self.stage.fuse.arm(fate)
        try:
            if isinstance(move, Decision):
                self.office.resolve(letter.id, move, by=BY)
            elif move == "replay":
                self.office.replay_one(letter.id, by=BY)
            else:
                self.office.discard(letter.id, by=BY, reason="so be it")
        except (Crash, StoreUnavailable, NotPossible) as error:
            self.stage.trace.append(f"but {type(error).__name__}")
        self.stage.fuse.arm(None)

    # --- with sense --------------------------------------------------------------------------------------------------

    def settle_with_sense(self, letter_id: str) -> None:
        self.stage.clock.time += timedelta(minutes=20)  # whatever was sent and lost may be sent again
        letter = self.stage.letters.get(letter_id)
        if letter is not None:
            self._do(letter, self._sensible(letter))

    def _sensible(self, letter: DeadLetter) -> Move:
        offered = options(letter)
        if offered.fields:
            sides = [one for one in _by_side(letter, offered) if "name" not in one.fields or one.fields["name"].value]
            return self.stage.luck.choice(sides)
        if letter.cause == "merged_away":
            return self._merge_in_onec(offered)
        if letter.cause == "remote_rejected":
            return self._mend_name(letter)
        picks = (*offered.candidates, *self._to_be_named(letter, offered))
        moves: list[Move] = [Decision(pick=ref) for ref in picks if self._is_free(ref, letter)]
        moves += [Decision(create=True)] if offered.can_create else []
        if letter.cause == "link_broken":
            has_tombstone = letter.record is not None and self.stage.links.find(letter.record) is not None
            moves += ["discard"] if has_tombstone else []
            moves += ["restore"] if self._lost(letter) else []
        move = self.stage.luck.choice(moves or ["replay"])
        return self._restore(letter) if move == "restore" else move

    def _is_free(self, ref: RecordRef, letter: DeadLetter) -> bool:
        """True for nobody else's partner."""
        record, link = self.stage.sides[ref.system].records.get(ref), self.stage.links.find(ref)
        is_ours = link is not None and link.other(ref) in (letter.record, letter.partner)
        is_there = record is not None and not record.is_deleted
        return is_ours or (is_there and link is None and record is not None and record.other_ref is None)

    def _merge_in_onec(self, offered: Options) -> Move:
        """As the letter's advice has it."""
        left, *others = [
            ref for ref in offered.candidates if not self.stage.base.records[ref].is_deleted
        ] or offered.candidates
        for ref in others:
            self.stage.base.alter(ref, is_deleted=True)
        return Decision(pick=left)

    def _mend_name(self, letter: DeadLetter) -> Move:
        for ref in (letter.record, letter.partner):
            card = self.stage.portal.records.get(ref) if ref else None
            if card is not None and not card.fields["name"]:
                self.people.write(card.ref, "name", "Безымянный")
        return "replay"

    def _lost(self, letter: DeadLetter) -> list[RecordRef]:
        """Of which of the deleted records the letter tells."""
        about = str(letter.details.get("gone") or letter.message)
        return [ref for ref in self.stage.deleted() if str(ref) in about.split() or about.startswith(f"{ref} ")]

    def _restore(self, letter: DeadLetter) -> Move:
        self.people.bring_back(self._lost(letter)[0])
        return "replay"


def _by_side(letter: DeadLetter, offered: Options) -> list[Decision]:
    if not offered.fields:
        return []
    sides = (Owner.BITRIX24, Owner.ONEC)
    return [Decision(fields={name: choose_side(letter, name, side) for name in offered.fields}) for side in sides]
