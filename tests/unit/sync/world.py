"""The whole worker over stores and systems in memory, and the people and events of the scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sync_worker.contract import Change, ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.link import Link
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import (
    BudgetRules,
    CounterpartyRules,
    InvoiceRules,
    Kind,
    PipelineRules,
    ReconcileRules,
    Rules,
)
from sync_worker.entities.contact import DEFAULT_OWNERS, CounterpartyRecord
from sync_worker.entities.deal import Deal
from sync_worker.gateways.onec.schemas.contact import show_counterparty
from sync_worker.gateways.onec.states import OnecStates
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.deal import DealFlow
from sync_worker.sync.invoice import InvoiceFlow
from sync_worker.sync.journal import Journal
from sync_worker.sync.lead import LeadFlow
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.sync.retry_policy import GiveUp, NextStep
from sync_worker.sync.status import StatusFlow
from sync_worker.sync.worker import SyncWorker
from tests.fakes.gateways import (
    FakeCapabilities,
    FakeCounterpartySide,
    FakeDeals,
    FakeInvoiceCards,
    FakeLeads,
    FakeOnecDocuments,
    FakeOnecInvoices,
)
from tests.fakes.stores import (
    FakeClock,
    MemoryAudit,
    MemoryDeadLetters,
    MemoryLinks,
    MemoryLocks,
    MemoryMemories,
    MemoryOutbox,
    MemoryParked,
    MemoryReads,
    MemoryReplays,
    MemoryStories,
    MemoryTally,
)

A_WHILE = timedelta(seconds=2)

INN, KPP, BRANCH_KPP = "7707083893", "773601001", "540602001"
PERSON_INN = "500100732259"

COMPANY = bitrix24_ref(RecordType.COMPANY, 7)
CONTACT = bitrix24_ref(RecordType.CONTACT, 42)
DEAL = bitrix24_ref(RecordType.DEAL, 5)
LEAD = bitrix24_ref(RecordType.LEAD, 3)
REQUISITE = bitrix24_ref(RecordType.REQUISITE, 11)
PARTY = onec_ref(RecordType.COUNTERPARTY, "6f9619ff-8b86-d011-b42d-00c04fc964ff")
OTHER_PARTY = onec_ref(RecordType.COUNTERPARTY, "1b4e28ba-2fa1-11d2-883f-0016d3cca427")
ORDER = onec_ref(RecordType.ORDER, "0f8fad5b-d9cb-469f-a165-70867728950e")
INVOICE = onec_ref(RecordType.INVOICE, "7c9e6679-7425-40de-944b-e07fc1f90ae7")

BLANK: Mapping[str, Any] = {
    "name": None,
    "full_name": None,
    "inn": None,
    "kpp": None,
    "ogrn": None,
    "addresses": [],
    "phones": [],
    "emails": [],
    "responsible": None,
    "comment": None,
}
ROMASHKA: Mapping[str, Any] = {**BLANK, "name": "Ромашка", "inn": INN, "kpp": KPP, "phones": ["+74951234567"]}
IVANOV: Mapping[str, Any] = {**BLANK, "name": "Иванов Иван Иванович", "emails": ["ivan@example.com"]}

RULES = Rules(
    counterparties=CounterpartyRules(owners=DEFAULT_OWNERS),
    qualified_lead_statuses=frozenset({"CONVERTED"}),
    pipelines={
        0: PipelineRules(
            category=0,
            send_at=frozenset({"EXECUTING"}),
            stages={"КОтгрузке": "FINAL_INVOICE", "Закрыт": "WON"},
            ignore_statuses=frozenset({"НеСогласован"}),
        )
    },
    invoices=InvoiceRules(stages={"issued": "N", "partly_paid": "S", "paid": "P", "cancelled": "D"}),
    budget=BudgetRules(),
    reconcile=ReconcileRules(),
)


@dataclass(kw_only=True)
class World:
    """Everything that a scenario may look at."""

    rules: Rules = RULES
    clock: FakeClock = field(default_factory=FakeClock)
    links: MemoryLinks = field(default_factory=MemoryLinks)
    intents: Any = None  # by default, those that the links close
    memories: MemoryMemories = field(default_factory=MemoryMemories)
    locks: MemoryLocks = field(default_factory=MemoryLocks)
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    parked: MemoryParked = field(default_factory=MemoryParked)
    reads: MemoryReads = field(default_factory=MemoryReads)
    tally: MemoryTally = field(default_factory=MemoryTally)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    stories: MemoryStories = field(default_factory=MemoryStories)
    replays: MemoryReplays = field(init=False)
    filed: list[DeadLetter] = field(default_factory=list)
    capabilities: FakeCapabilities = field(default_factory=FakeCapabilities)
    portal: FakeCounterpartySide = field(default_factory=lambda: FakeCounterpartySide(System.BITRIX24))
    base: FakeCounterpartySide = field(default_factory=lambda: FakeCounterpartySide(System.ONEC))
    leads: FakeLeads = field(default_factory=FakeLeads)
    deals: FakeDeals = field(default_factory=FakeDeals)
    cards: FakeInvoiceCards = field(default_factory=FakeInvoiceCards)
    documents: FakeOnecDocuments = field(default_factory=FakeOnecDocuments)
    invoices: FakeOnecInvoices = field(default_factory=FakeOnecInvoices)

    def __post_init__(self) -> None:
        self.intents = self.intents or self.links.intents
        self.replays = MemoryReplays(self.letters, now=self.clock.now)

    @property
    def journal(self) -> Journal:
        return Journal(intents=self.intents, clock=self.clock)

    @property
    def counterparties(self) -> CounterpartyFlow:
        return CounterpartyFlow(
            bitrix24=self.portal,
            cards=self.portal,
            onec=self.base,
            requisites=self.portal,
            states=OnecStates(),
            links=self.links,
            memories=self.memories,
            locks=self.locks,
            journal=self.journal,
            rules=self.rules.counterparties,
        )

    @property
    def worker(self) -> SyncWorker:
        remembered: Any = {"links": self.links, "memories": self.memories, "locks": self.locks}
        kept = {**remembered, "journal": self.journal}
        counterparties = self.counterparties
        return SyncWorker(
            flows={
                EntityKind.CONTACT: counterparties,
                EntityKind.LEAD: LeadFlow(
                    leads=self.leads,
                    onec=self.documents,
                    qualified_statuses=self.rules.qualified_lead_statuses,
                    **kept,
                ),
                EntityKind.DEAL: DealFlow(
                    deals=self.deals,
                    onec=self.documents,
                    counterparties=counterparties,
                    clock=self.clock,
                    rules=self.rules,
                    **kept,
                ),
                EntityKind.INVOICE: InvoiceFlow(
                    cards=self.cards,
                    onec=self.invoices,
                    states=OnecStates(),
                    counterparties=counterparties,
                    rules=self.rules.invoices,
                    **kept,
                ),
                EntityKind.STATUS: StatusFlow(deals=self.deals, states=OnecStates(), rules=self.rules, **remembered),
            },
            capabilities=self.capabilities,
            links=self.links,
            letters=self.letters,
            parked=self.parked,
            reads=self.reads,
            tally=self.tally,
            outbox=self.outbox,
            replays=self.replays,
            stories=self.stories,
            filed=lambda letter, _error: self.filed.append(letter),
            clock=self.clock,
            max_age_hours=self.rules.max_age_hours,
            code_version="1.2.3",
            mask=lambda text: text.replace("hunter2", "***"),
        )

    @property
    def office(self) -> DeadLetterOffice:
        return DeadLetterOffice(
            letters=self.letters,
            replays=self.replays,
            audit=self.audit,
            stories=self.stories,
            links=self.links,
            outbox=self.outbox,
            clock=self.clock,
        )

    # --- events ------------------------------------------------------------------------------------------------------

    def ring(self, record: RecordRef, *, change: Change = Change.CHANGED, entity: EntityKind | None = None) -> Any:
        """A doorbell of Bitrix24, rung a while after whatever was before: nothing gathers it."""
        self.clock.time += A_WHILE
        kind = entity or _ENTITY_OF[record.type]
        return ChangeEvent(entity=kind, record=record, change=change, seen_at=self.clock.now(), trace=f"ring {record}")

    def tell(self, record: CounterpartyRecord, *, trace: str = "") -> ChangeEvent:
        """1C's event with the record's whole new state."""
        shown = show_counterparty(record.fields, value_kinds={}, responsible_name=None)
        state = OnecState(
            data={"kind": record.kind.value, **shown},
            sequence=record.sequence,
            version=record.version or "",
            external_id=record.other_ref,
            event_id=f"e{record.sequence}",
        )
        return self.event(EntityKind.CONTACT, record.ref, state, trace=trace)

    def event(self, entity: EntityKind, record: RecordRef, state: OnecState, *, trace: str = "") -> ChangeEvent:
        trace = trace or f"{record} {state.sequence}"
        return ChangeEvent(entity=entity, record=record, seen_at=self.clock.now(), trace=trace, onec=state)

    def deleted_in_onec(self, entity: EntityKind, record: RecordRef, *, sequence: int = 99) -> ChangeEvent:
        state = OnecState(data=None, sequence=sequence, version="v99", external_id=None, event_id="e99")
        return ChangeEvent(
            entity=entity, record=record, change=Change.DELETED, seen_at=self.clock.now(), trace="gone", onec=state
        )

    # --- what a task does with them ----------------------------------------------------------------------------------

    def handle(self, event: ChangeEvent) -> Outcome:
        """Errors: what the flow raises."""
        worker = self.worker
        found = worker.resolve(event)
        return Outcome.SKIPPED if found is None else worker.handle(found)

    def run(self, event: ChangeEvent) -> Outcome | NextStep:
        """As tasks/base.py: the outcome, or what was decided after the failure."""
        worker = self.worker
        found = worker.resolve(event)
        assert found is not None
        try:
            return worker.handle(found)
        except Exception as error:  # as the task does
            return worker.settle(found, error)

    def lose(self, event: ChangeEvent) -> None:
        """A record is gone; a person saw the letter, and discarded it."""
        assert self.run(event) == GiveUp()
        assert self.letter().cause == "link_broken"
        self.office.discard(self.letter().id, by="operator", reason="it was a test record")

    def replay(self) -> ChangeEvent:
        """The event that the replay of the only letter sends."""
        self.outbox.published.clear()
        self.office.replay_one(self.letter().id, by="operator")
        (event,) = self.outbox.published
        self.outbox.published.clear()
        return event

    # --- looking -----------------------------------------------------------------------------------------------------

    def letter(self) -> DeadLetter:
        """The only letter there is."""
        (letter,), _ = self.letters.page()
        return letter

    def forget_calls(self) -> None:
        for remote in (self.portal, self.base, self.leads, self.deals, self.cards, self.documents, self.invoices):
            remote.calls.clear()

    # --- beginnings that many scenarios share ------------------------------------------------------------------------

    def linked_company(self) -> tuple[CounterpartyRecord, CounterpartyRecord]:
        """A company that is on both sides, in agreement. No calls are counted yet."""
        self.portal.put(company())
        self.handle(self.ring(COMPANY))
        self.forget_calls()
        link = self.links.find(COMPANY)
        assert link is not None
        return self.portal.records[COMPANY], self.base.records[link.onec]

    def sent_deal(self, **changes: Any) -> RecordRef:
        """A deal whose order is in 1C. Returns the order."""
        self.linked_company()
        self.deals.records[DEAL] = deal(**changes)
        self.handle(self.ring(DEAL))
        self.forget_calls()
        link = self.links.find(DEAL)
        assert link is not None
        return link.onec


_ENTITY_OF = {
    RecordType.CONTACT: EntityKind.CONTACT,
    RecordType.COMPANY: EntityKind.CONTACT,
    RecordType.REQUISITE: EntityKind.CONTACT,
    RecordType.LEAD: EntityKind.LEAD,
    RecordType.DEAL: EntityKind.DEAL,
    RecordType.INVOICE: EntityKind.INVOICE,
}


def company(ref: RecordRef = COMPANY, *, fields: Mapping[str, Any] = ROMASHKA, **rest: Any) -> CounterpartyRecord:
    return CounterpartyRecord(ref=ref, kind=Kind.COMPANY, **{"fields": fields, **rest})


def contact(ref: RecordRef = CONTACT, *, fields: Mapping[str, Any] = IVANOV, **rest: Any) -> CounterpartyRecord:
    return CounterpartyRecord(ref=ref, kind=Kind.PERSON, **{"fields": fields, **rest})


def deal(**changes: Any) -> Deal:
    fields = {"title": "Поставка", "amount": "1200.00", "currency": "RUB", "rows": [], "comment": None}
    standing: dict[str, Any] = {"category": 0, "stage": "EXECUTING", "is_closed": False, "company": COMPANY}
    return Deal(ref=DEAL, **{"fields": fields, **standing, **changes})


def linked(one: RecordRef, other: RecordRef, *, deleted_in: System | None = None) -> Link:
    return Link(bitrix24=one, onec=other, deleted_in=deleted_in)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)
