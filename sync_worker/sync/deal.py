"""Deal -> customer order, when it reaches a stage named in the rules, and on every change after that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Rules
from sync_worker.domain.values import decimal_or_zero, fingerprint, money_text
from sync_worker.entities.deal import Deal, reached_send_stage
from sync_worker.entities.results import Upserted
from sync_worker.errors import NeedsPerson, NoCounterparty, NotYetLinked, TotalMismatch
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.journal import Journal
from sync_worker.sync.one_way import send
from sync_worker.sync.ports import Clock, Deals, Links, Locks, Memories, OnecDocuments


@dataclass(frozen=True, kw_only=True, slots=True)
class DealFlow:
    deals: Deals
    onec: OnecDocuments
    counterparties: CounterpartyFlow
    links: Links
    memories: Memories
    locks: Locks
    journal: Journal
    clock: Clock
    rules: Rules

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent, _decision: Decision = NOTHING_DECIDED) -> Outcome:
        return send(event, EntityKind.DEAL, RecordType.ORDER, self)

    # --- port Sender: what is special to a deal ----------------------------------------------------------------------

    def read(self, ref: RecordRef) -> Deal | None:
        return self.deals.read(ref)

    def travels(self, deal: Deal, *, is_sent: bool) -> bool:
        """Sent deals follow; others once they reach a sending stage of a pipeline that is named in the rules."""
        pipeline = self.rules.pipelines.get(deal.category)
        if pipeline is None:
            return False
        if is_sent or deal.stage in pipeline.send_at:
            return True
        # only now: the history costs a command, and a deal may have left the stage before we looked
        deal = replace(deal, past_stages=self.deals.past_stages(deal.ref))
        return reached_send_stage(deal, pipeline, now=self.clock.now(), within_hours=self.rules.max_age_hours)

    def fingerprint(self, deal: Deal) -> str:
        """A move along the pipeline is no change of the order."""
        return fingerprint({**deal.fields, "party": str(deal.counterparty), "contact": str(deal.contact)})

    def upsert(self, deal: Deal, known: RecordRef | None) -> Upserted:
        party = self._counterparty(deal)  # first: the contact may be linked by that
        contact = self.links.find(deal.contact) if deal.contact else None
        fields = {
            **deal.fields,
            "counterparty_ref": party.id,
            "contact_ref": contact.onec.id if contact and not contact.deleted_in else None,
        }
        with self.journal.making(EntityKind.DEAL, deal.ref, known=known):
            return self.onec.upsert_order(deal.ref.external_id, fields, known=known)

    def write_back(self, deal: Deal, done: Upserted) -> None:
        wanted = self.rules.comment_on_create and done.number
        comment = f"1С: создан заказ № {done.number}" if wanted else None
        self.deals.write_back(deal.ref, done.ref, comment=comment)

    def verify(self, deal: Deal, done: Upserted) -> None:
        """1C computes the order's total from rows, discounts and VAT; it has to be the deal's (design, part 6)."""
        wanted, total = decimal_or_zero(deal.fields.get("amount")), self.onec.order_total(done.ref)
        if total is not None and abs(total - wanted) > self.rules.total_tolerance:
            sums = {"deal": money_text(wanted), "order": money_text(total)}
            order = f"order {done.number}" if done.number else str(done.ref)
            raise TotalMismatch(f"{deal.ref} comes to {sums['deal']}, its {order} in 1C to {sums['order']}", **sums)

    def _counterparty(self, deal: Deal) -> RecordRef:
        """Sent first if need be. One that waits for a person holds the deal back, and shows as its own letter."""
        if deal.counterparty is None:
            raise NoCounterparty(f"{deal.ref} has neither company nor contact")
        try:
            return self.counterparties.ensure(deal.counterparty)
        except NoCounterparty:
            raise
        except NeedsPerson as error:
            raise NotYetLinked(f"{deal.counterparty} waits for a person: {error}", need=deal.counterparty) from error
