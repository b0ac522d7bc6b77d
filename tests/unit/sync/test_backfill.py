"""The first load over lists and queues in memory: what is rung for, how fast, and where a stopped one goes on."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, Lane, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link
from sync_worker.domain.listed import Listed, ListPage
from sync_worker.domain.rules import (
    BudgetRules,
    Contacts,
    CounterpartyRules,
    InvoiceRules,
    Kind,
    PipelineRules,
    ReconcileRules,
    Rules,
)
from sync_worker.errors import RateLimited, RecordBusy, RemoteUnavailable
from sync_worker.sync.backfill import MOST_WAITING, Ahead, Backfill, BackfillReport, left_of, sources_of, travels
from sync_worker.sync.paging import hold_job
from tests.fakes.stores import FakeClock, MemoryLinks, MemoryLocks, MemoryOutbox

PAGE_ROWS = 50


def party_id(number: int) -> str:
    return f"6f9619ff-8b86-d011-b42d-{number:012}"


def cards(count: int, type_: RecordType = RecordType.CONTACT, **fields: Any) -> list[Listed]:
    return [Listed(record=bitrix24_ref(type_, number), **fields) for number in range(1, count + 1)]


def parties(count: int, **fields: Any) -> list[Listed]:
    refs = (onec_ref(RecordType.COUNTERPARTY, party_id(number)) for number in range(count))
    return [Listed(**{"record": ref, "kind": Kind.COMPANY, "sequence": 1, "version": "v", **fields}) for ref in refs]


@dataclass
class Lists:
    """Both systems' lists. `fails`: errors that come instead of the next pages."""

    rows: dict[RecordType, list[Listed]] = field(default_factory=dict)
    fails: list[Exception] = field(default_factory=list)

    def pages(
        self, type_: RecordType, *, after: str | None = None, where: Any = None, with_deleted: bool = False
    ) -> Iterator[ListPage]:
        """The place is how many rows were seen: it is the id, where ids have no gaps."""
        rows = self.rows.get(type_, [])
        for start in range(int(after or 0), max(len(rows), 1), PAGE_ROWS):
            if self.fails:
                raise self.fails.pop(0)
            end = start + PAGE_ROWS
            yield ListPage(rows=tuple(rows[start:end]), after=str(end) if end < len(rows) else None)

    def last_id(self, type_: RecordType, *, where: Any = None) -> int:
        return len(self.rows.get(type_, []))


class MemoryProgress:
    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def read(self) -> Mapping[str, str]:
        return dict(self.places)

    def note(self, source: str, place: str) -> None:
        self.places[source] = place

    def clear(self) -> None:
        self.places.clear()


class Everything:
    def missing(self, entity: EntityKind) -> str | None:
        return None


class NoInvoices:
    def missing(self, entity: EntityKind) -> str | None:
        return "the base has no invoices" if entity is EntityKind.INVOICE else None


def rules(**changed: Any) -> Rules:
    base: dict[str, Any] = {
        "counterparties": CounterpartyRules(owners={}),
        "qualified_lead_statuses": frozenset({"CONVERTED"}),
        "pipelines": {0: PipelineRules(category=0, send_at=frozenset({"EXECUTING"}), stages={})},
        "invoices": InvoiceRules(),
        "budget": BudgetRules(),
        "reconcile": ReconcileRules(),
        "total_tolerance": Decimal("0.01"),
    }
    return Rules(**{**base, **changed})


class World:
    def __init__(self) -> None:
        self.lists = Lists()
        self.links = MemoryLinks()
        self.outbox = MemoryOutbox()
        self.progress = MemoryProgress()
        self.clock = FakeClock()
        self.handled_a_look = 10**6  # events that the workers handle between two looks at the queues
        self.deepest = 0
        self._handled = 0

    def waiting(self) -> int:
        waiting = len(self.outbox.published) - self._handled
        self.deepest = max(self.deepest, waiting)
        self._handled += min(waiting, self.handled_a_look)
        return waiting

    def run(
        self,
        *,
        limit: int | None = None,
        given: Rules | None = None,
        capabilities: Any = None,
        on_step: Callable[[BackfillReport], None] = lambda _report: None,
    ) -> BackfillReport:
        job = Backfill(
            bitrix24=self.lists,
            onec=self.lists,
            links=self.links,
            outbox=self.outbox,
            progress=self.progress,
            locks=MemoryLocks(),
            capabilities=capabilities or Everything(),
            clock=self.clock,
            rules=given or rules(),
            waiting=self.waiting,
        )
        return job.run(limit=limit, on_step=on_step)

    @property
    def events(self) -> list[ChangeEvent]:
        return self.outbox.published

    def ids(self) -> list[str]:
        return [event.record.id for event in self.events]


@pytest.fixture
def world() -> World:
    return World()


def test_every_unlinked_record_gets_a_doorbell_in_the_bulk_lane(world: World) -> None:
    world.lists.rows = {
        RecordType.COMPANY: cards(1, RecordType.COMPANY),
        RecordType.CONTACT: cards(2),
        RecordType.COUNTERPARTY: parties(1),
        RecordType.LEAD: cards(1, RecordType.LEAD),
        RecordType.DEAL: cards(1, RecordType.DEAL),
    }
    linked = world.lists.rows[RecordType.CONTACT][0].record
    world.links.save(Link(bitrix24=linked, onec=onec_ref(RecordType.COUNTERPARTY, party_id(9))))

    report = world.run()

    kinds = ["contact", "contact", "contact", "lead", "deal"]
    assert [event.entity.value for event in world.events] == kinds
    assert linked not in [event.record for event in world.events]
    assert {event.lane for event in world.events} == {Lane.BULK}
    assert all(event.is_doorbell and event.whole for event in world.events)
    assert report.is_over
    assert world.progress.places == {}


def test_an_open_invoice_brings_its_state(world: World) -> None:
    state = {"ref": party_id(1), "version": "v2", "sequence": 7, "number": "12", "deleted": False}
    ref = onec_ref(RecordType.INVOICE, party_id(1))
    world.lists.rows[RecordType.INVOICE] = [
        Listed(record=ref, state={**state, "status": status}, sequence=7, version="v2")
        for status in ("issued", "partly_paid", "paid", "cancelled")
    ]
    world.run()
    told = [event.onec for event in world.events]
    assert [one.data for one in told if one] == [
        {"number": "12", "status": "issued"},
        {"number": "12", "status": "partly_paid"},
    ]
    assert {(one.sequence, one.version) for one in told if one} == {(7, "v2")}


def test_no_more_wait_than_the_workers_can_soon_do(world: World) -> None:
    world.lists.rows[RecordType.CONTACT] = cards(3000)
    world.handled_a_look = 40
    world.run()
    assert len(world.events) == 3000
    assert world.deepest == MOST_WAITING


def test_one_that_was_killed_goes_on_where_it_was(world: World) -> None:
    world.lists.rows[RecordType.CONTACT] = cards(220)

    def killed(report: BackfillReport) -> None:
        if report.seen.get("contact") == 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.run(on_step=killed)
    world.run()
    assert world.ids() == [str(number) for number in range(1, 221)]


def test_one_that_was_killed_within_a_page_rings_for_that_page_again(world: World) -> None:
    world.lists.rows[RecordType.CONTACT] = cards(60)
    publish = world.outbox.publish

    def killed(event: ChangeEvent) -> None:
        if event.record.id == "56":
            raise KeyboardInterrupt
        publish(event)

    world.outbox.publish = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.outbox.publish = publish  # type: ignore[method-assign]
    world.run()
    assert world.ids() == [*map(str, range(1, 56)), *map(str, range(51, 61))]


def test_runs_with_a_limit_do_all_together_what_one_without_does(world: World) -> None:
    world.lists.rows[RecordType.CONTACT] = cards(120)
    reports = [world.run(limit=35) for _ in range(4)]
    assert [report.total for report in reports] == [35, 35, 35, 15]
    assert [report.is_over for report in reports] == [False, False, False, True]
    assert world.ids() == [str(number) for number in range(1, 121)]


def test_what_may_work_later_is_waited_for(world: World) -> None:
    world.lists.rows[RecordType.CONTACT] = cards(120)
    world.lists.fails = [RateLimited("spent", retry_after_seconds=60), RemoteUnavailable("closed for maintenance")]
    world.run()
    assert world.ids() == [str(number) for number in range(1, 121)]
    assert world.clock.sleeps == [60, 5]


def test_a_side_that_stays_away_is_told(world: World) -> None:
    world.lists.fails = [RemoteUnavailable("closed for maintenance") for _ in range(1000)]
    with pytest.raises(RemoteUnavailable):
        world.run()
    assert sum(world.clock.sleeps) < 1000


def test_an_entity_that_the_base_has_not_is_named_and_passed_over(world: World) -> None:
    world.lists.rows[RecordType.INVOICE] = [
        Listed(record=onec_ref(RecordType.INVOICE, party_id(1)), state={"status": "issued"}, sequence=1, version="v")
    ]
    report = world.run(capabilities=NoInvoices())
    assert report.off == {"1C invoice": "the base has no invoices"}
    assert world.events == []


@pytest.mark.parametrize(
    ("row", "given", "expected"),
    [
        (cards(1)[0], {}, True),
        (cards(1, company_id="7")[0], {}, True),
        (cards(1)[0], {"contacts": Contacts.WITHOUT_COMPANY}, True),
        (cards(1, company_id="7")[0], {"contacts": Contacts.WITHOUT_COMPANY}, False),
        (cards(1, RecordType.COMPANY, is_ours=True)[0], {}, False),
        (parties(1)[0], {"contacts": Contacts.NONE}, True),
        (parties(1)[0], {"companies": False}, False),
        (parties(1, kind=Kind.SOLE_TRADER)[0], {"companies": False}, False),
        (parties(1, kind=Kind.PERSON)[0], {"companies": False}, True),
        (parties(1, kind=Kind.PERSON)[0], {"contacts": Contacts.NONE}, False),
        (parties(1, is_deleted=True)[0], {}, False),
    ],
)
def test_the_rules_say_who_travels(row: Listed, given: dict[str, Any], expected: bool) -> None:
    assert travels(row, CounterpartyRules(owners={}, **given)) is expected


def test_lists_that_the_rules_shut_are_not_walked_through() -> None:
    few = rules(
        counterparties=CounterpartyRules(owners={}, contacts=Contacts.NONE, companies=False),
        qualified_lead_statuses=frozenset(),
        pipelines={},
    )
    assert [source.name for source in sources_of(few)] == ["1C counterparty", "1C invoice"]


def test_a_deals_list_is_that_of_its_pipeline_and_stages() -> None:
    where = {source.name: source.where for source in sources_of(rules())}
    assert where["deal of pipeline 0"] == {"=CATEGORY_ID": 0, "@STAGE_ID": ["EXECUTING"]}
    assert where["lead"] == {"@STATUS_ID": ["CONVERTED"]}


@pytest.mark.parametrize(
    ("ahead", "published", "expected"),
    [
        (Ahead(began=0, at=0, last=800), 0, 800),  # nothing is known yet: perhaps all of them
        (Ahead(began=0, at=200, last=800), 100, 300),
        (Ahead(began=200, at=400, last=400), 200, 0),
    ],
)
def test_what_is_still_to_come_is_guessed_by_what_came(ahead: Ahead, published: int, expected: int) -> None:
    report = BackfillReport(published={"contact": published, "1C invoice": 5000})
    assert left_of([ahead], report) == expected


def peak_bytes(contacts: int) -> int:
    """Of one whole run. The list is made page by page, and what is published is let go, as a broker takes it."""
    world = World()

    def pages(type_: RecordType, *, after: str | None = None, **_how: Any) -> Iterator[ListPage]:
        count = contacts if type_ is RecordType.CONTACT else 0
        for start in range(int(after or 0), max(count, 1), PAGE_ROWS):
            end = min(start + PAGE_ROWS, count)
            refs = (bitrix24_ref(RecordType.CONTACT, number) for number in range(start + 1, end + 1))
            yield ListPage(rows=tuple(Listed(record=ref) for ref in refs), after=str(end) if end < count else None)

    published = 0

    def publish(_event: ChangeEvent) -> None:
        nonlocal published
        published += 1

    world.lists.pages = pages  # type: ignore[method-assign, assignment]
    world.outbox.publish = publish  # type: ignore[method-assign]
    gc.collect()
    tracemalloc.start()
    try:
        world.run()
        assert published == contacts
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_records_take_no_more_memory() -> None:
    few, many = peak_bytes(2_000), peak_bytes(20_000)
    assert many < few + 100_000, f"{few} bytes for 2,000 contacts, {many} for 20,000"


def test_a_second_one_waits_for_as_long_as_a_killed_ones_lock_may_last() -> None:
    locks, clock = MemoryLocks(), FakeClock()
    with (
        locks.hold("backfill"),
        pytest.raises(RecordBusy, match="another backfill is running"),
        hold_job(locks, "backfill", clock=clock),
    ):
        pytest.fail("two at once")
    assert sum(clock.sleeps) > 15
    with hold_job(locks, "backfill", clock=clock), pytest.raises(RecordBusy), locks.hold("backfill"):
        pytest.fail("it is not held")
