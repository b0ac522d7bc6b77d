"""Links made anew from what is written in both systems, after our own state was lost.

First both sides are listed: who names whom. Then each record that names another is judged, and safe links are saved.
Nothing else is written, here or there: a pair whose link was made has no baseline, and the first event merges without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.link import Link
from sync_worker.domain.listed import Listed, ListPage
from sync_worker.sync.paging import hold_job, walk
from sync_worker.sync.ports import CapabilityCheck, Clock, Links, Locks

JOB = "rebuild"
KINDS: Mapping[RecordType, tuple[EntityKind, tuple[RecordType, ...]]] = {
    RecordType.COUNTERPARTY: (EntityKind.CONTACT, (RecordType.COMPANY, RecordType.CONTACT)),
    RecordType.LEAD: (EntityKind.LEAD, (RecordType.LEAD,)),
    RecordType.ORDER: (EntityKind.DEAL, (RecordType.DEAL,)),
    RecordType.INVOICE: (EntityKind.INVOICE, (RecordType.INVOICE,)),
}
"""1C's type -> the entity it travels as, and Bitrix24's types that it is linked to."""
STEP_RECORDS = 500
MOST_LISTED = 1000  # contradictions that are shown; all are counted


class Bitrix24Pages(Protocol):
    def pages(
        self, type_: RecordType, *, after: str | None = None, where: Mapping[str, object] = ...
    ) -> Iterator[ListPage]: ...

    def last_id(self, type_: RecordType, *, where: Mapping[str, object] = ...) -> int: ...


class OnecPages(Protocol):
    def pages(self, type_: RecordType, *, after: str | None = None, with_deleted: bool) -> Iterator[ListPage]: ...


class Claims(Protocol):
    """Who names whom, of one kind; store/claims.py."""

    def places(self) -> Mapping[str, str]: ...

    def add(self, source: str, rows: Iterable[Listed], *, place: str) -> None: ...

    def naming(self, system: System) -> Iterator[tuple[Listed, Listed | None, bool]]: ...

    def clear(self) -> None: ...


class NewLinks(Protocol):
    def save(self, link: Link) -> str:
        """Returns "saved", "known" where it is there already, "other" where one of the two is linked elsewhere."""


class Verdict(StrEnum):
    """What is made of a record that names another."""

    AGREED = "agreed"  # each names the other
    ONE_SIDED = "one_sided"  # only one does, and nobody else has to do with either
    MISSING = "missing"  # there is no such record, or it was deleted
    MARKED = "marked"  # it is marked for deletion in 1C
    NAMES_ANOTHER = "names_another"  # the named one names a third
    SEVERAL = "several"  # more than one name it, or it is named by another itself
    LINKED_ELSEWHERE = "linked_elsewhere"  # a link is there already, to another record


SAFE = frozenset({Verdict.AGREED, Verdict.ONE_SIDED})


def judge(claim: Listed, named: Listed | None, *, is_contested: bool) -> Verdict:
    """`named`: whom the claim names, as found; `is_contested`: somebody else names one of the two."""
    if named is None:
        return Verdict.MISSING
    if named.is_deleted:
        return Verdict.MARKED
    if named.names == claim.record:
        return Verdict.AGREED
    if named.names is not None:
        return Verdict.NAMES_ANOTHER
    return Verdict.SEVERAL if is_contested else Verdict.ONE_SIDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradiction:
    """Nothing was written for it."""

    record: RecordRef
    names: RecordRef
    verdict: Verdict
    other: RecordRef | None = None  # whom the named one names instead


@dataclass(kw_only=True, slots=True)
class KindReport:
    """What came of one kind."""

    seen: Counter[System] = field(default_factory=Counter)  # records listed in this run
    saved: int = 0
    known: int = 0  # links that were there
    refused: Counter[Verdict] = field(default_factory=Counter)
    off: str = ""  # why this kind was not looked at


@dataclass(kw_only=True, slots=True)
class RebuildReport:
    kinds: dict[RecordType, KindReport] = field(default_factory=dict)
    contradictions: list[Contradiction] = field(default_factory=list)  # the first MOST_LISTED

    @property
    def refused(self) -> int:
        return sum(kind.refused.total() for kind in self.kinds.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildStep:
    """How far it is."""

    kind: RecordType
    doing: str
    records: int  # so far, of this kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuild:
    """Safe to run twice, beside the workers, and again after it was killed: it goes on with listing where it was."""

    bitrix24: Bitrix24Pages
    onec: OnecPages
    claims: Callable[[RecordType], Claims]
    links: Links
    new_links: NewLinks
    locks: Locks
    capabilities: CapabilityCheck
    clock: Clock

    def run(self, on_step: Callable[[RebuildStep], None] = lambda _step: None) -> RebuildReport:
        """Errors: RecordBusy where another one is running; TryLater where a side stays away for long."""
        report = RebuildReport()
        with hold_job(self.locks, JOB, clock=self.clock):
            for kind in KINDS:
                report.kinds[kind] = found = KindReport()
                found.off = self.capabilities.missing(KINDS[kind][0]) or ""
                if not found.off:
                    self._gather(kind, found, on_step)
                    self._join(kind, report, on_step)
            for kind in KINDS:  # not before: a run that was killed goes on with what there is
                self.claims(kind).clear()
        return report

    def _gather(self, kind: RecordType, found: KindReport, on_step: Callable[[RebuildStep], None]) -> None:
        claims = self.claims(kind)
        places = claims.places()
        for source, system, pages in self._sources(kind):
            for page, place in walk(pages, places.get(source), clock=self.clock):
                claims.add(source, (row for row in page.rows if not row.is_ours), place=place)
                found.seen[system] += len(page.rows)
                on_step(RebuildStep(kind=kind, doing=f"reading {source}", records=found.seen.total()))

    def _sources(self, kind: RecordType) -> Iterator[tuple[str, System, Callable[[str | None], Iterator[ListPage]]]]:
        """1C's records first: those that are linked meanwhile are then seen with their partner's name on the card."""
        yield f"1C {kind}", System.ONEC, lambda after: self.onec.pages(kind, after=after, with_deleted=True)
        for type_ in KINDS[kind][1]:
            yield f"Bitrix24 {type_}", System.BITRIX24, self._reader(type_)

    def _reader(self, type_: RecordType) -> Callable[[str | None], Iterator[ListPage]]:
        return lambda after: self.bitrix24.pages(type_, after=after)

    def _join(self, kind: RecordType, report: RebuildReport, on_step: Callable[[RebuildStep], None]) -> None:
        found = report.kinds[kind]
        for number, (claim, named, is_contested) in enumerate(self._claims_of_both(kind)):
            verdict = self._settle(claim, judge(claim, named, is_contested=is_contested), found)
            if verdict not in SAFE:
                _refuse(report, found, claim, named, verdict)
            if number % STEP_RECORDS == 0:
                on_step(RebuildStep(kind=kind, doing="linking", records=number))

    def _claims_of_both(self, kind: RecordType) -> Iterator[tuple[Listed, Listed | None, bool]]:
        """Of two that agree only Bitrix24's."""
        claims = self.claims(kind)
        yield from claims.naming(System.BITRIX24)
        for claim, named, is_contested in claims.naming(System.ONEC):
            if named is None or named.names != claim.record:
                yield claim, named, is_contested

    def _settle(self, claim: Listed, verdict: Verdict, found: KindReport) -> Verdict:
        if verdict not in SAFE:
            is_linked = self._is_linked(claim)  # the two met while we looked, or one was seen to be deleted
            found.known += is_linked
            return Verdict.AGREED if is_linked else verdict
        said = self.new_links.save(link_of(claim))
        found.saved += said == "saved"
        found.known += said == "known"
        return Verdict.LINKED_ELSEWHERE if said == "other" else verdict

    def _is_linked(self, claim: Listed) -> bool:
        link = self.links.find(claim.record)
        return link is not None and link.other(claim.record) == claim.names


def link_of(claim: Listed) -> Link:
    assert claim.names is not None  # noqa: S101  # who names nobody makes no claim
    sides = {claim.record.system: claim.record, claim.names.system: claim.names}
    return Link(bitrix24=sides[System.BITRIX24], onec=sides[System.ONEC])


def _refuse(report: RebuildReport, found: KindReport, claim: Listed, named: Listed | None, verdict: Verdict) -> None:
    found.refused[verdict] += 1
    if len(report.contradictions) < MOST_LISTED and claim.names is not None:
        other = named.names if named is not None and verdict is Verdict.NAMES_ANOTHER else None
        report.contradictions.append(
            Contradiction(record=claim.record, names=claim.names, verdict=verdict, other=other)
        )
