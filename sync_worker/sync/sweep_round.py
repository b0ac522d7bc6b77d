"""Handing over what a sweep has found, and where it stops and asks a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sync_worker.contract import ChangeEvent
from sync_worker.domain.drift import SweepState, Swept, bell_name, looks_empty
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.sync.ports import Outbox


class TooMuchError(Exception):
    """A source found more than a sweep may hand over unasked."""

    def __init__(self, reason: str, *, found: int) -> None:
        super().__init__(reason)
        self.found = found


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A record that needs a look, and whether that counts as drift."""

    event: ChangeEvent
    is_drift: bool = True


@dataclass(kw_only=True, slots=True)
class Round:
    """One sweep under way."""

    began: datetime
    limit: int  # events that it may hand over unasked
    released: frozenset[str]  # sources of which a person has said: all of it
    under_way: dict[str, int]  # sweep_ports.UnderWay, and what this sweep hands over
    outbox: Outbox
    events: list[ChangeEvent] = field(default_factory=list)  # handed over
    unasked: int = 0

    def hand_over(self, source: str, pages: Iterable[tuple[int, Sequence[Found]]]) -> Swept:
        """Ring for what the pages found: all or nothing, or as it comes where a person has released the source.

        `pages`: how many records each listed, and those that need a look. Errors: TooMuchError.
        """
        waiting: list[Found] = []
        met: set[RecordRef] = set()  # a list may name a record twice: an owner of two requisites
        seen, rung, drift = 0, 0, dict[EntityKind, int]()
        for count, all_found in pages:
            found = [one for one in all_found if one.event.record not in met]
            met.update(one.event.record for one in found)
            seen, rung = seen + count, rung + len(found)
            count_drift(drift, found)
            waiting += found
            self.refuse_too_many(source, waiting)
            if source in self.released:
                self.ring(source, waiting)
                waiting = []
        self.ring(source, waiting)
        return Swept(source=source, state=SweepState.DONE, seen=seen, rung=rung, drift=drift)

    def refuse_too_many(self, source: str, found: Sequence[Found]) -> None:
        """Errors: TooMuchError where these would be more than a sweep hands over unasked.

        What was read in the very second of its change counts for nothing: its events did come.
        """
        count = sum(one.is_drift for one in found)
        if source not in self.released and self.unasked + count > self.limit:
            before = f" after {self.unasked} of other kinds" if self.unasked else ""
            text = f"at least {count} records need a look{before}; reconcile.max_changes is {self.limit}"
            raise TooMuchError(text, found=count)

    def refuse_empty(self, source: str, type_: RecordType, *, gone: int, of: int) -> None:
        """Errors: TooMuchError where the portal rather looks empty than tidied up."""
        if source not in self.released and looks_empty(gone=gone, of=of):
            text = (
                f"the portal lists {of - gone} of {of} linked records of type {type_}; may the webhook's user see all?"
            )
            raise TooMuchError(text, found=gone)

    def ring(self, source: str, found: Iterable[Found]) -> None:
        for one in found:
            event = one.event
            self.outbox.publish(event)
            self.events.append(event)
            self.unasked += one.is_drift and source not in self.released
            for whole in {False, event.whole}:
                name = bell_name(event.entity, event.record, whole=whole)
                self.under_way[name] = max(self.under_way.get(name, 0), event.onec.sequence if event.onec else 0)


def count_drift(drift: dict[EntityKind, int], found: Iterable[Found]) -> None:
    for one in found:
        drift[one.event.entity] = drift.get(one.event.entity, 0) + one.is_drift
