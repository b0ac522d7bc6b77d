"""The worker's own flows, looking at records as they do for an event, over ports that write nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sync_worker.contract import Change, ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.merge import Verdict
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Rules
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.errors import NeedsPerson, NotYetLinked, SyncError
from sync_worker.sync.chapter import Chapter, chapter
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.deal import DealFlow
from sync_worker.sync.dry_run import (
    DocumentReader,
    DryCounterparties,
    DryDeals,
    DryDocuments,
    DryInvoiceCards,
    DryInvoices,
    DryLeads,
    DryLinks,
    DryMemories,
    NoIntents,
    NoLocks,
    Notebook,
    ReadStates,
)
from sync_worker.sync.invoice import InvoiceFlow
from sync_worker.sync.lead import LeadFlow
from sync_worker.sync.replaying import as_decided
from sync_worker.sync.status import StatusFlow
from sync_worker.sync.worker import Flow

TRACE = "explain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What would come of one look at a record."""

    entity: EntityKind
    record: RecordRef
    outcome: Outcome | None = None  # None: it would fail
    error: NeedsPerson | NotYetLinked | None = None
    verdicts: tuple[Verdict, ...] = ()
    off: str = ""  # why nobody looks: the base does not offer the entity


@dataclass(frozen=True, kw_only=True, slots=True)
class RealFlows:
    """The five flows that the worker was built with, each by its type."""

    counterparties: CounterpartyFlow
    leads: LeadFlow
    deals: DealFlow
    invoices: InvoiceFlow
    statuses: StatusFlow

    @classmethod
    def of(cls, flows: Mapping[EntityKind, Flow]) -> RealFlows:
        by_kind: dict[EntityKind, Any] = dict(flows)
        return cls(
            counterparties=by_kind[EntityKind.CONTACT],
            leads=by_kind[EntityKind.LEAD],
            deals=by_kind[EntityKind.DEAL],
            invoices=by_kind[EntityKind.INVOICE],
            statuses=by_kind[EntityKind.STATUS],
        )

    @property
    def rules(self) -> Rules:
        return self.deals.rules


class Trial:
    """One dry run. What one look would have written, the next one finds written; then all of it is thrown away."""

    def __init__(
        self, flows: RealFlows, *, documents: DocumentReader, held: Callable[[InvoiceCard], InvoiceCard], now: datetime
    ) -> None:
        self.rules = flows.rules
        self.notes = Notebook()
        self.links = DryLinks(flows.counterparties.links, self.notes)
        self.memories = DryMemories(flows.counterparties.memories)
        self.documents = documents
        self._now = now
        self._states = ReadStates()
        self._onec_invoices = DryInvoices(flows.invoices.onec, self.notes)
        self._onec_parties = DryCounterparties(flows.counterparties.onec, System.ONEC, self.notes)
        self._flows = self._dry(flows, held)

    def _dry(self, real: RealFlows, held: Callable[[InvoiceCard], InvoiceCard]) -> dict[EntityKind, Flow]:
        """The same flows with other ports: who decides is the same code under the same rules."""
        remembered: Any = {"links": self.links, "memories": self.memories, "locks": NoLocks()}
        kept = {**remembered, "journal": replace(real.counterparties.journal, intents=NoIntents())}
        documents = DryDocuments(self.documents, self.notes)
        deals = DryDeals(real.deals.deals, self.notes)
        parties = replace(
            real.counterparties,
            bitrix24=DryCounterparties(real.counterparties.bitrix24, System.BITRIX24, self.notes),
            onec=self._onec_parties,
            states=self._states,
            **kept,
        )
        return {
            EntityKind.CONTACT: parties,
            EntityKind.LEAD: replace(real.leads, leads=DryLeads(real.leads.leads, self.notes), onec=documents, **kept),
            EntityKind.DEAL: replace(real.deals, deals=deals, onec=documents, counterparties=parties, **kept),
            EntityKind.INVOICE: replace(
                real.invoices,
                cards=DryInvoiceCards(real.invoices.cards, self.notes, held),
                onec=self._onec_invoices,
                states=self._states,
                counterparties=parties,
                **kept,
            ),
            EntityKind.STATUS: replace(real.statuses, deals=deals, states=self._states, **remembered),
        }

    def look(self, entity: EntityKind, ref: RecordRef, letter: DeadLetter | None) -> Look:
        """As the worker would now; a decision that stands in the record's `letter` counts.

        Errors: every SyncError that is no answer for a person: a remote or the store is away, a right is missing.
        """
        event = self._doorbell(entity, ref) if ref.system is System.BITRIX24 else self._told(entity, ref)
        if event is None:
            return Look(entity=entity, record=ref, outcome=Outcome.SKIPPED)
        event, decision = as_decided(event, letter)
        with chapter() as gathered:
            try:
                outcome = self._flows[entity].handle(event, decision)
            except (NeedsPerson, NotYetLinked) as error:
                return _look(entity, ref, gathered, error=error)
            return _look(entity, ref, gathered, outcome=outcome)

    def _doorbell(self, entity: EntityKind, ref: RecordRef) -> ChangeEvent:
        return ChangeEvent(entity=entity, record=ref, seen_at=self._now, trace=TRACE, whole=True)

    def _told(self, entity: EntityKind, ref: RecordRef) -> ChangeEvent | None:
        """The event that 1C would send of the record as it is now; None where there is nothing to be told of."""
        state = self._read_in_onec(entity, ref)
        self.notes.saw(ref, state)
        if state is None and self.links.find(ref) is None:
            return None
        self._states.keep(ref, state)
        is_gone = state is None or state.is_deleted
        told = OnecState(
            data=None if is_gone else {},
            # what is gone for good has no counter any more, and is newer than all that was handled
            sequence=sys.maxsize if state is None else state.sequence,
            version=getattr(state, "version", None) or "",
            external_id=None,
            event_id=TRACE,
        )
        change = Change.DELETED if is_gone else Change.CHANGED
        return replace(self._doorbell(entity, ref), change=change, onec=told, whole=False)

    def _read_in_onec(self, entity: EntityKind, ref: RecordRef) -> Any:
        if entity is EntityKind.CONTACT:
            return self._onec_parties.read(ref)
        if entity is EntityKind.INVOICE:
            return self._onec_invoices.read(ref)
        order = self.documents.find(RecordType.ORDER, external_id=None, known=ref)
        return order.status if order else None


def _look(
    entity: EntityKind,
    ref: RecordRef,
    gathered: Chapter,
    *,
    outcome: Outcome | None = None,
    error: NeedsPerson | NotYetLinked | None = None,
) -> Look:
    return Look(entity=entity, record=ref, outcome=outcome, error=error, verdicts=tuple(gathered.verdicts))


def needs_person(error: SyncError | None) -> SyncError | None:
    """What a person has to see to: the error itself, or the one that it waits behind."""
    behind = error.__cause__ if isinstance(error, NotYetLinked) else None
    return behind if isinstance(behind, SyncError) else error
