"""What is done for one event, gathered while it is done: calls, writes, and values that gave way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.merge import Verdict

MOST_CALLS = 20  # an event makes a handful; a page that lists hundreds tells nobody anything


@dataclass(slots=True)
class Chapter:
    calls: list[str] = field(default_factory=list)
    wrote: dict[str, list[str]] = field(default_factory=dict)  # by system: names of fields
    lost: list[Mapping[str, Any]] = field(default_factory=list)  # {"field", "system", "value", "kept"}
    parted: list[RecordRef] = field(default_factory=list)  # they lost their partner to another
    put_back: list[str] = field(default_factory=list)  # fields that one side had changed and the other owns
    verdicts: list[Verdict] = field(default_factory=list)  # of the merges, also of one that came to a conflict

    def facts(self) -> dict[str, Any]:
        """As StoryEntry.facts has them; what is empty is left out."""
        calls = self.calls[:MOST_CALLS]
        found = {"calls": calls, "wrote": {system: sorted(names) for system, names in self.wrote.items() if names}}
        return {name: value for name, value in {**found, "lost": self.lost}.items() if value}


_open: ContextVar[Chapter | None] = ContextVar("chapter", default=None)


@contextmanager
def chapter() -> Iterator[Chapter]:
    """Gather what this thread does in the block."""
    gathered = Chapter()
    token = _open.set(gathered)
    try:
        yield gathered
    finally:
        _open.reset(token)


def note_call(name: str) -> None:
    """A call is about to be made. Nothing where no event is being handled."""
    if (gathered := _open.get()) is not None:
        gathered.calls.append(name)


def note_written(system: str, fields: Mapping[str, Any]) -> None:
    if (gathered := _open.get()) is not None:
        gathered.wrote.setdefault(system, []).extend(fields)


def note_parted(ref: RecordRef) -> None:
    """It lost its partner to another record."""
    if (gathered := _open.get()) is not None:
        gathered.parted.append(ref)


def note_lost(*, field: str, system: str, value: Any, kept: Any, is_put_back: bool) -> None:
    """`system`'s value gave way to the owner's, `kept`."""
    if (gathered := _open.get()) is not None:
        gathered.lost.append({"field": field, "system": system, "value": value, "kept": kept})
        if is_put_back:
            gathered.put_back.append(field)


def note_verdicts(verdicts: Iterable[Verdict]) -> None:
    """What was decided about each field, before anything of it is written."""
    if (gathered := _open.get()) is not None:
        gathered.verdicts.extend(verdicts)
