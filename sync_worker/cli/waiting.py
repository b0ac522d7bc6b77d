"""Waiting for what the workers make of replayed letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sync_worker.domain.letter import DeadLetter, ReplayRun
from sync_worker.sync.office import DeadLetterOffice, NotPossible

POLL_SECONDS = 0.5
STILL_SECONDS = 10  # so long nothing moved: a person wants to know why
STILL_NOTE = "nothing moves: does a worker run? (`sync-worker up`, or the workers' service)"


class Fate(StrEnum):
    """What became of a letter that was sent round."""

    SETTLED = "settled"  # its event had an outcome, and the letter is gone
    BACK = "back"  # it failed again
    UNDER_WAY = "under_way"  # not known yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    fate: Fate
    letter: DeadLetter  # as it was seen last


def await_fate(office: DeadLetterOffice, sent: DeadLetter, *, seconds: float, on_still: Callable[[], None]) -> Ending:
    """Look until the letter has an outcome, or the time is up. `on_still` is called once where that takes long."""
    began, has_told = office.clock.now(), False
    while True:
        letter = office.letters.get(sent.id)
        if letter is None:
            return Ending(fate=Fate.SETTLED, letter=sent)
        if letter.sent_at is None:
            return Ending(fate=Fate.BACK, letter=letter)
        waited_seconds = (office.clock.now() - began).total_seconds()
        if waited_seconds >= seconds:
            return Ending(fate=Fate.UNDER_WAY, letter=letter)
        if waited_seconds >= STILL_SECONDS and not has_told:
            on_still()
            has_told = True
        office.clock.sleep(POLL_SECONDS)


def follow(
    office: DeadLetterOffice, run: ReplayRun, *, on_step: Callable[[ReplayRun], None], on_still: Callable[[], None]
) -> ReplayRun:
    """Look until the replay is over; `on_step` sees each look, `on_still` each time that nothing moved for long.

    Errors: NotPossible where the replay is gone.
    """
    moved_at = office.clock.now()
    while True:
        on_step(run)
        if run.is_over:
            return run
        if (office.clock.now() - moved_at).total_seconds() >= STILL_SECONDS:
            on_still()
            moved_at = office.clock.now()
        office.clock.sleep(POLL_SECONDS)
        found = office.replays.get(run.id)
        if found is None:
            raise NotPossible(f"there is no replay {run.id} any more")
        moved_at = office.clock.now() if found != run else moved_at
        run = found
