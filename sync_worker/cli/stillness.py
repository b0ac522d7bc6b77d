"""Which workers hang, by what was seen of them: no connection here, and no clock."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from sync_worker.contract import Lane

STANDSTILL_TIMES = 5
"""A lane may stand so many times longer than a worker may be silent. All threads of a worker may wait for one remote:
90 s for a session of 1C and 120 s for its answer, 30 s for the budget and 70 s for Bitrix24, and nothing comes to an
end meanwhile."""
PAUSE_TIMES = 2  # who was not looking for so long was stopped, as the whole machine may have been, and knows nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen at one moment."""

    answered: frozenset[str]  # programs whose loop answered
    waiting: Mapping[Lane, Hashable]  # lanes where messages wait; the mark changes when one is taken, or a task ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Standstill:
    """A worker that has to be replaced."""

    program: str
    why: str
    seconds: float


class Watch:
    """Remembers since when nothing moved. A worker that waits for the budget, an open circuit or 1C still answers, and
    its tasks come to an end, parked or to be tried again; one that has nothing to do has nothing waiting.
    """

    def __init__(self, programs: Mapping[str, Lane], *, hung_seconds: float) -> None:
        """`programs`: workers by name; `hung_seconds`: how long one may be silent."""
        self._programs = programs
        self._hung_seconds = hung_seconds
        self._marks: dict[Hashable, Hashable] = {}
        self._since: dict[Hashable, float] = {}
        self._replaced = dict.fromkeys(programs, 0)  # in a row, without an answer in between
        self._looked_at: float | None = None

    def forget(self) -> None:
        """Nothing could be seen; whoever seemed still may have moved."""
        self._marks.clear()
        self._since.clear()

    def see(self, look: Look, *, now: float) -> list[Standstill]:
        """Who has to be replaced, and is taken for replaced from here on. `now`: seconds of a clock that only grows."""
        if self._looked_at is not None and now - self._looked_at > self._hung_seconds * PAUSE_TIMES:
            self.forget()
        self._looked_at = now
        found = {one.program: one for one in (*self._standing(look, now), *self._silent(look, now))}
        for program in found:
            self._begin_anew(program)
        return list(found.values())

    def _silent(self, look: Look, now: float) -> Iterator[Standstill]:
        for program in self._programs:
            has_answered = program in look.answered
            if has_answered:
                self._replaced[program] = 0
            seconds = self._unchanged_seconds(("answers", program), now if has_answered else None, now)
            if seconds >= self._hung_seconds * 2 ** self._replaced[program]:
                yield Standstill(program=program, why="it answers nothing", seconds=seconds)

    def _standing(self, look: Look, now: float) -> Iterator[Standstill]:
        for lane in Lane:
            seconds = self._unchanged_seconds(("lane", lane), look.waiting.get(lane, now), now)
            if seconds >= self._hung_seconds * STANDSTILL_TIMES:
                why = f"events of the {lane} lane wait, none is taken and none comes to an end"
                yield from (
                    Standstill(program=program, why=why, seconds=seconds)
                    for program, own in self._programs.items()
                    if own is lane
                )

    def _unchanged_seconds(self, what: Hashable, mark: Hashable, now: float) -> float:
        if what not in self._marks or self._marks[what] != mark:
            self._marks[what] = mark
            self._since[what] = now
        return now - self._since[what]

    def _begin_anew(self, program: str) -> None:
        """It has to start first. Each time that it does not come to an answer it is given twice as long."""
        self._replaced[program] += 1
        for what in (("answers", program), ("lane", self._programs[program])):
            self._marks.pop(what, None)
