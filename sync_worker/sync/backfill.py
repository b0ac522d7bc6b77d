"""The first load: a doorbell in the bulk lane for every record that the rules let travel and that has no link yet.

What is published is what live events are made of, so the workers do with it just what they always do. Published no
faster than the queues empty, and remembered page by page: one that was killed goes on there. What was rung twice for
that is looked at twice, and nothing is made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from sync_worker.contract import ChangeEvent, OnecState, new_trace
from sync_worker.domain.identity import EntityKind, Lane, RecordType, System
from sync_worker.domain.listed import Listed, ListPage
from sync_worker.domain.rules import Contacts, CounterpartyRules, Rules
from sync_worker.entities.contact import bitrix24_type
from sync_worker.sync.paging import DONE, hold_job, walk
from sync_worker.sync.ports import CapabilityCheck, Clock, Links, Locks, Outbox
from sync_worker.sync.rebuild import Bitrix24Pages, OnecPages

JOB = "backfill"
MOST_WAITING = 500  # events in the bulk lane: enough for calls to be joined, and few enough to stop soon
POLL_SECONDS = 0.5
ONEC_PREFIX = "1C "  # of the names of 1C's lists
OPEN_INVOICES = frozenset({"issued", "partly_paid"})
_IDENTITY = frozenset({"ref", "version", "sequence", "external_id", "changed_at", "deleted"})  # contracts: Identity


class Progress(Protocol):
    def read(self) -> Mapping[str, str]:
        """Source -> where to go on."""

    def note(self, source: str, place: str) -> None: ...

    def clear(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One list that is walked through."""

    name: str  # what its place is remembered by
    entity: EntityKind
    system: System
    type: RecordType
    where: Mapping[str, Any] = field(default_factory=dict)  # Bitrix24's filter


@dataclass(kw_only=True, slots=True)
class BackfillReport:
    """What one run came to, and how far it is."""

    published: dict[str, int] = field(default_factory=dict)  # events by source
    seen: dict[str, int] = field(default_factory=dict)  # records by source
    off: dict[str, str] = field(default_factory=dict)  # source -> why it was not looked at
    source: str = ""  # that is walked through now
    waiting: int = 0  # events that the workers have not handled yet
    left: int = 0  # events still to be published out of Bitrix24, about; what 1C has is known when it is read
    is_over: bool = False  # False: --limit was reached, and the next run goes on

    @property
    def total(self) -> int:
        return sum(self.published.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill:
    bitrix24: Bitrix24Pages
    onec: OnecPages
    links: Links
    outbox: Outbox
    progress: Progress
    locks: Locks
    capabilities: CapabilityCheck
    clock: Clock
    rules: Rules
    waiting: Callable[[], int]  # events in the bulk lane's queues, and parked ones

    def run(
        self, *, limit: int | None = None, on_step: Callable[[BackfillReport], None] = lambda _report: None
    ) -> BackfillReport:
        """Publish at most `limit` events. Errors: RecordBusy where another one is running; TryLater, StoreUnavailable
        where a system stays away for long: the next run goes on."""
        with hold_job(self.locks, JOB, clock=self.clock):
            return _Run(job=self, limit=limit, on_step=on_step).go()

    def forget(self) -> None:
        """The next run begins at the beginning."""
        self.progress.clear()

    def await_quiet(self, report: BackfillReport, *, on_step: Callable[[BackfillReport], None]) -> None:
        """Until the workers have handled all that waits."""
        while True:
            report.waiting = self.waiting()
            on_step(report)
            if not report.waiting:
                return
            self.clock.sleep(POLL_SECONDS)


class _LimitReachedError(Exception):
    """As many as were asked for are published."""


class _Run:
    """One run's own figures."""

    def __init__(self, *, job: Backfill, limit: int | None, on_step: Callable[[BackfillReport], None]) -> None:
        self._job = job
        self._limit = limit
        self._on_step = on_step
        self._report = BackfillReport()
        self._places = dict(job.progress.read())
        self._ahead: dict[str, Ahead] = {}

    def go(self) -> BackfillReport:
        sources = [source for source in sources_of(self._job.rules) if self._is_on(source)]
        self._ahead = {one.name: self._look_ahead(one) for one in sources if one.system is System.BITRIX24}
        try:
            for source in sources:
                self._walk(source)
        except _LimitReachedError:
            return self._report
        self._job.progress.clear()
        self._report.is_over = True
        return self._report

    def _is_on(self, source: Source) -> bool:
        missing = self._job.capabilities.missing(source.entity)
        if missing:
            self._report.off[source.name] = missing
        return not missing

    def _look_ahead(self, source: Source) -> Ahead:
        place = self._places.get(source.name, "0")
        if place == DONE:
            return Ahead(began=0, at=0, last=0)
        return Ahead(began=int(place), at=int(place), last=self._job.bitrix24.last_id(source.type, where=source.where))

    def _walk(self, source: Source) -> None:
        report = self._report
        report.source = source.name
        for page, place in walk(self._pages(source), self._places.get(source.name), clock=self._job.clock):
            for row in page.rows:
                self._take(source, row)
            report.seen[source.name] = report.seen.get(source.name, 0) + len(page.rows)
            self._job.progress.note(source.name, place)
            report.left = left_of(self._ahead.values(), report)
            self._on_step(report)

    def _pages(self, source: Source) -> Callable[[str | None], Iterator[ListPage]]:
        if source.system is System.BITRIX24:
            return lambda after: self._job.bitrix24.pages(source.type, after=after, where=source.where)
        return lambda after: self._job.onec.pages(source.type, after=after, with_deleted=False)

    def _take(self, source: Source, row: Listed) -> None:
        if travels(row, self._job.rules.counterparties) and self._job.links.find(row.record) is None:
            if self._limit is not None and self._report.total >= self._limit:
                self._stop(source, row)
            self._publish(source, row)
        if source.name in self._ahead:
            self._ahead[source.name] = replace(self._ahead[source.name], at=int(row.record.id))

    def _stop(self, source: Source, row: Listed) -> None:
        """The next run begins with this row; in 1C, whose places are its own, with this page."""
        if source.system is System.BITRIX24:
            self._job.progress.note(source.name, str(int(row.record.id) - 1))
        raise _LimitReachedError

    def _publish(self, source: Source, row: Listed) -> None:
        report = self._report
        if report.waiting >= MOST_WAITING or not report.total:
            self._await_room()
        self._job.outbox.publish(event_of(source, row, now=self._job.clock.now()))
        report.waiting += 1
        report.published[source.name] = report.published.get(source.name, 0) + 1

    def _await_room(self) -> None:
        """The workers set the pace; so little waits that a stop, or a remote that closes, leaves little behind."""
        report = self._report
        while True:
            report.waiting = self._job.waiting()
            report.left = left_of(self._ahead.values(), report)
            self._on_step(report)
            if report.waiting < MOST_WAITING:
                return
            self._job.clock.sleep(POLL_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """How far one of Bitrix24's lists was walked through, in ids."""

    began: int
    at: int
    last: int


def left_of(lists: Iterable[Ahead], report: BackfillReport) -> int:
    """Events to come: of the ids ahead as many become one as of those behind; all of them, where none is behind."""
    lists = list(lists)
    behind, ahead = sum(one.at - one.began for one in lists), sum(max(0, one.last - one.at) for one in lists)
    published = sum(count for name, count in report.published.items() if not name.startswith(ONEC_PREFIX))
    return round(ahead * min(1.0, published / behind)) if behind else ahead


def sources_of(rules: Rules) -> list[Source]:
    """In this order, so that most find their partners linked: whoever is needed earlier is sent first all the same."""
    bitrix24, onec, parties = System.BITRIX24, System.ONEC, rules.counterparties
    found = []
    if parties.companies:
        found.append(Source(name="company", entity=EntityKind.CONTACT, system=bitrix24, type=RecordType.COMPANY))
    if parties.contacts is not Contacts.NONE:
        found.append(Source(name="contact", entity=EntityKind.CONTACT, system=bitrix24, type=RecordType.CONTACT))
    found.append(
        Source(
            name=f"{ONEC_PREFIX}counterparty",
            entity=EntityKind.CONTACT,
            system=onec,
            type=RecordType.COUNTERPARTY,
        )
    )
    if rules.qualified_lead_statuses:
        where = {"@STATUS_ID": sorted(rules.qualified_lead_statuses)}
        found.append(Source(name="lead", entity=EntityKind.LEAD, system=bitrix24, type=RecordType.LEAD, where=where))
    for category, pipeline in sorted(rules.pipelines.items()):
        if pipeline.send_at:
            stage: dict[str, Any] = {"=CATEGORY_ID": category, "@STAGE_ID": sorted(pipeline.send_at)}
            name = f"deal of pipeline {category}"
            found.append(Source(name=name, entity=EntityKind.DEAL, system=bitrix24, type=RecordType.DEAL, where=stage))
    found.append(Source(name=f"{ONEC_PREFIX}invoice", entity=EntityKind.INVOICE, system=onec, type=RecordType.INVOICE))
    return found


def travels(row: Listed, rules: CounterpartyRules) -> bool:
    """True where the rules let this unlinked record travel, as far as a list tells; the flow looks at the rest."""
    if row.is_ours or row.is_deleted:
        return False
    if row.record.type is RecordType.CONTACT:
        return rules.contacts is Contacts.ALL or row.company_id is None
    if row.kind is not None:
        becomes_company = bitrix24_type(row.kind) is RecordType.COMPANY
        return rules.companies if becomes_company else rules.contacts is not Contacts.NONE
    return row.record.type is not RecordType.INVOICE or row.state.get("status") in OPEN_INVOICES


def event_of(source: Source, row: Listed, *, now: datetime) -> ChangeEvent:
    """A doorbell; an invoice's event carries the state, as 1C's own events do."""
    return ChangeEvent(
        entity=source.entity,
        record=row.record,
        seen_at=now,
        trace=new_trace(),
        lane=Lane.BULK,
        whole=True,
        onec=_state_of(row) if row.record.type is RecordType.INVOICE else None,
    )


def _state_of(row: Listed) -> OnecState:
    return OnecState(
        data={name: value for name, value in row.state.items() if name not in _IDENTITY},
        sequence=row.sequence,
        version=row.version,
        external_id=None,
        event_id=f"{JOB}-{row.record.id}-{row.sequence}",
    )
