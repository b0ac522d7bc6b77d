"""A sweep: look for what no event has announced, and ring for it. Safe to run twice, and to be killed at any moment.

What it lists and somebody has looked at since needs no event (sync/sweep_news.py), so that a sweep of a quiet exchange
hands nothing over, and one that was killed is simply run again: its mark moves only when a source is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sync_worker.contract import ChangeEvent, Lane, Misfit, new_trace
from sync_worker.domain.drift import Heard, Held, OnecChange, Stamped, SweepState, Swept, drift_of
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.rules import ReconcileRules
from sync_worker.errors import StoreUnavailable, SyncError
from sync_worker.sync.ports import CapabilityCheck, Clock, Intents, Locks, Outbox
from sync_worker.sync.sweep_news import ENTITY_OF, News, as_event
from sync_worker.sync.sweep_ports import AllLinks, OnecQueue, PortalSide, Sweeps, UnderWay
from sync_worker.sync.sweep_round import Found, Round, TooMuchError, count_drift

LOCK = "sweep"
GONE, ORPHANS, ONEC, INTENTS = "gone", "orphans", "onec", "intents"
FULL_CHECK = (GONE, ORPHANS)
PORTAL_TYPES = (
    RecordType.CONTACT,
    RecordType.COMPANY,
    RecordType.REQUISITE,
    RecordType.LEAD,
    RecordType.DEAL,
    RecordType.INVOICE,
)
MARKED_TYPES = (RecordType.CONTACT, RecordType.COMPANY, RecordType.LEAD, RecordType.DEAL)
"""Those with UF_CRM_1C_ID. An invoice's 1C ref is its xmlId, by which it is looked for whenever it is shown."""
ONEC_ENTITIES = (EntityKind.CONTACT, EntityKind.INVOICE, EntityKind.STATUS)
ONEC_PAGE = 500
SAME_CLOCK = timedelta(seconds=2)  # the portal tells its time to the second: less is no difference
NOTHING = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one sweep came to."""

    at: datetime
    parts: tuple[Swept, ...]
    drift: Mapping[EntityKind, int]
    held: Mapping[str, Held]
    events: tuple[ChangeEvent, ...]  # handed over


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciler:
    portal: PortalSide
    onec: OnecQueue
    news: News
    links: AllLinks
    intents: Intents
    under_way: UnderWay
    sweeps: Sweeps
    capabilities: CapabilityCheck
    outbox: Outbox
    keep: Callable[[Misfit], object]  # a change that cannot be read becomes a dead letter
    locks: Locks
    clock: Clock
    rules: ReconcileRules
    mask: Callable[[str], str]

    def sweep(self) -> Report:
        """Errors: RecordBusy where another sweep runs, StoreUnavailable. What befalls a source is told in its part."""
        with self.locks.hold(LOCK):
            round_ = self._begin()
            parts = [self._part(source, run, round_) for source, run in self._sources(round_)]
            drift = {**dict.fromkeys(looked_at(parts), 0), **drift_of(parts)}
            self.sweeps.note(parts, drift, at=round_.began)
        return Report(
            at=round_.began,
            parts=tuple(parts),
            drift=self.sweeps.drift(),
            held=self.sweeps.held(),
            events=tuple(round_.events),
        )

    def is_due(self) -> bool:
        """True where the last sweep began reconcile.every_minutes ago."""
        last = self.sweeps.last()
        return last is None or last[0] + timedelta(minutes=self.rules.every_minutes) <= self.clock.now()

    def release(self, *, by: str) -> list[str]:
        """A person says that what was found is right: the next sweep hands over all of it. Returns the sources."""
        held = self.sweeps.held()
        for one in held.values():
            self.sweeps.hold(replace(one, released_by=by))
        return list(held)

    def unanswered(self, events: Iterable[ChangeEvent]) -> list[ChangeEvent]:
        """Those that have come to nothing yet."""
        return [event for event in events if not self.news.is_answered(event)]

    def _begin(self) -> Round:
        return Round(
            began=self.clock.now(),
            limit=self.rules.max_changes,
            released=frozenset(source for source, one in self.sweeps.held().items() if one.released_by),
            under_way=dict(self.under_way.sequences()),
            outbox=self.outbox,
        )

    def _sources(self, round_: Round) -> Iterator[tuple[str, Callable[[str, Round], Swept]]]:
        for type_ in PORTAL_TYPES:
            yield type_.value, partial(self._changed, type_)
        yield ONEC, self._registered
        yield INTENTS, self._unfinished
        for source, run in ((GONE, self._gone), (ORPHANS, self._orphans)):
            if self._is_due(source, round_):
                yield source, run

    def _is_due(self, source: str, round_: Round) -> bool:
        mark = self.sweeps.mark(source)
        every = timedelta(hours=self.rules.full_check_hours)
        return mark is None or mark + every <= round_.began or source in round_.released

    def _part(self, source: str, run: Callable[[str, Round], Swept], round_: Round) -> Swept:
        """One source from its beginning to its mark; what it fails with is its own."""
        try:
            part = run(source, round_)
        except TooMuchError as found:
            self.sweeps.hold(Held(source=source, reason=str(found), found=found.found, at=round_.began))
            part = Swept(source=source, state=SweepState.HELD, seen=found.found, message=str(found))
        except StoreUnavailable:
            raise
        except SyncError as error:
            return Swept(source=source, state=SweepState.FAILED, message=self.mask(str(error)))
        if part.state is SweepState.DONE:
            self.sweeps.let_go(source)
        if part.state is SweepState.DONE or source in FULL_CHECK:  # held, it is not walked again each time
            self.sweeps.move_mark(source, round_.began)
        return part

    # --- changed on the portal ---------------------------------------------------------------------------------------

    def _changed(self, type_: RecordType, source: str, round_: Round) -> Swept:
        if why := self.capabilities.missing(ENTITY_OF[type_]):
            return Swept(source=source, state=SweepState.OFF, message=why)
        ahead = self._portal_ahead()
        pages = self.portal.changed(type_, self._since(source, round_) + ahead)
        return round_.hand_over(source, ((len(page), self._unheard(page, ahead, round_)) for page in pages))

    def _since(self, source: str, round_: Round) -> datetime:
        """From the last mark. What was changed before the very first sweep is for `backfill`, not for this."""
        mark = self.sweeps.mark(source) or round_.began - timedelta(minutes=self.rules.every_minutes)
        return mark - timedelta(minutes=self.rules.overlap_minutes)

    def _portal_ahead(self) -> timedelta:
        """By how much the portal's clock is before ours."""
        ahead = self.portal.now() - self.clock.now()
        return ahead if abs(ahead) > SAME_CLOCK else NOTHING

    def _unheard(self, page: Iterable[Stamped], ahead: timedelta, round_: Round) -> list[Found]:
        found = []
        for stamped in page:
            by_our_clock = replace(stamped, changed_at=stamped.changed_at - ahead)
            heard = self.news.heard(by_our_clock, round_.under_way)
            if heard is not Heard.YES:
                # of what was read within that very second, the card will do
                event = self._bell(stamped.ref, whole=stamped.whole or heard is Heard.NO)
                found.append(Found(event=event, is_drift=heard is Heard.NO))
        return found

    def _bell(self, ref: RecordRef, *, entity: EntityKind | None = None, whole: bool = True) -> ChangeEvent:
        return ChangeEvent(
            entity=entity or ENTITY_OF[ref.type],
            record=ref,
            seen_at=self.clock.now(),
            trace=new_trace(),
            lane=Lane.BULK,
            whole=whole,
        )

    # --- the full check ----------------------------------------------------------------------------------------------

    def _gone(self, source: str, round_: Round) -> Swept:
        """Linked records that the portal lists no more. All are looked for before the first is rung for."""
        seen: set[RecordRef] = set()
        gone: set[RecordRef] = set()
        for refs in self._linked():
            seen.update(refs)
            gone.update(self.portal.gone(refs))
        for type_ in {ref.type for ref in gone}:
            of = sum(ref.type is type_ for ref in seen)
            round_.refuse_empty(source, type_, gone=sum(ref.type is type_ for ref in gone), of=of)
        found = [Found(event=self._bell(ref)) for ref in sorted(gone) if self._is_open(ref, round_)]
        return round_.hand_over(source, [(len(seen), found)])

    def _linked(self) -> Iterator[list[RecordRef]]:
        cursor: str | None = None
        while True:
            links, cursor = self.links.all(cursor)
            alive = (link.bitrix24 for link in links if link.deleted_in is None)
            yield [ref for ref in alive if not self.capabilities.missing(ENTITY_OF[ref.type])]
            if cursor is None:
                return

    def _orphans(self, source: str, round_: Round) -> Swept:
        """Records that carry a 1C ref, and of which we know no link.

        Only older ones: what was changed lately is listed for that, and may just be getting its link.
        """
        return round_.hand_over(source, self._orphan_pages(round_))

    def _orphan_pages(self, round_: Round) -> Iterator[tuple[int, list[Found]]]:
        before = round_.began + self._portal_ahead() - timedelta(minutes=self.rules.overlap_minutes)
        for type_ in MARKED_TYPES:
            if self.capabilities.missing(ENTITY_OF[type_]):
                continue
            for page in self.portal.carrying(type_, before):
                orphans = [one.ref for one in page if self.news.is_orphan(one)]
                yield len(page), [Found(event=self._bell(ref)) for ref in orphans if self._is_open(ref, round_)]

    def _is_open(self, ref: RecordRef, round_: Round) -> bool:
        return self.news.is_open(ENTITY_OF[ref.type], ref, round_.under_way)

    # --- what was about to be made ------------------------------------------------------------------------------------

    def _unfinished(self, source: str, round_: Round) -> Swept:
        """Creates that a look did not come back to. Only older ones: what was begun lately is just being made."""
        before = round_.began - timedelta(minutes=self.rules.overlap_minutes)
        old = [one for one in self.intents.all() if one.at < before]
        unlinked = [one for one in old if self.links.find(one.source) is None]
        left = [one for one in unlinked if self.news.is_open(one.entity, one.source, round_.under_way)]
        found = [Found(event=self._bell(one.source, entity=one.entity)) for one in left]
        swept = round_.hand_over(source, [(len(old), found)])
        waiting = {one.source for one in unlinked} - {one.source for one in left}
        for one in old:
            if one.source not in waiting:  # its event sees to the rest, and writes down anew what it makes
                self.intents.close(one.source)
        return swept

    # --- 1C's queue --------------------------------------------------------------------------------------------------

    def _registered(self, source: str, round_: Round) -> Swept:
        """A page is confirmed once all of it is in safety."""
        if why := self.onec.missing():
            return Swept(source=source, state=SweepState.OFF, message=why)
        seen, rung, drift = 0, 0, dict[EntityKind, int]()
        while True:
            page = self.onec.page(limit=ONEC_PAGE)
            found = self._onec_news(page.changes, round_)
            round_.refuse_too_many(source, found)
            round_.ring(source, found)
            for raw in page.unreadable:
                self.keep(self._misfit(raw))
            if not page.is_empty:
                self.onec.confirm(page.cursor)
            count_drift(drift, found)
            seen, rung = seen + len(page.changes) + len(page.unreadable), rung + len(found)
            if page.is_empty or not page.has_more:
                return Swept(source=source, state=SweepState.DONE, seen=seen, rung=rung, drift=drift)

    def _onec_news(self, changes: Iterable[OnecChange], round_: Round) -> list[Found]:
        news = [change for change in changes if self.news.is_news(change, round_.under_way)]
        now = self.clock.now()
        return [Found(event=as_event(change, seen_at=now, trace=new_trace())) for change in news]

    def _misfit(self, raw: Mapping[str, Any]) -> Misfit:
        return Misfit(
            system=System.ONEC,
            seen_at=self.clock.now(),
            trace=new_trace(),
            errors={"event": ["Not an event of the contract."]},
            raw=raw,
        )


def looked_at(parts: Iterable[Swept]) -> set[EntityKind]:
    """The entities that the finished sources tell of, even where they found nothing."""
    done = {part.source for part in parts if part.state is SweepState.DONE}
    of_portal = {ENTITY_OF[type_] for type_ in PORTAL_TYPES if type_.value in done}
    return of_portal | (set(ONEC_ENTITIES) if ONEC in done else set())
