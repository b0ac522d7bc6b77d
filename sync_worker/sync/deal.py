"""Deal -> customer order, when it reaches a stage named in the rules, and on every change after that."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Rules
from sync_worker.domain.values import fingerprint
from sync_worker.entities.deal import Deal, reached_send_stage
from sync_worker.entities.results import Upserted
from sync_worker.errors import NeedsPerson, NoCounterparty, NotYetLinked
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.one_way import gone, known_partner
from sync_worker.sync.ports import Clock, Deals, Links, Locks, Memories, OnecDocuments

ENTITY = EntityKind.DEAL


@dataclass(frozen=True, kw_only=True, slots=True)
class DealFlow:
    deals: Deals
    onec: OnecDocuments
    counterparties: CounterpartyFlow
    links: Links
    memories: Memories
    locks: Locks
    clock: Clock
    rules: Rules

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent) -> Outcome:
        ref = event.record
        with self.locks.hold(str(ref)):
            return gone(ref, self.links) if event.change is Change.DELETED else self._send(ref)

    def _send(self, ref: RecordRef) -> Outcome:
        deal = self.deals.read(ref)
        if deal is None:
            return gone(ref, self.links)
        link = self.links.find(ref)
        known = known_partner(ref, RecordType.ORDER, deal.onec_id, self.links)
        if not self._travels(deal, link, is_sent=known is not None):
            return Outcome.SKIPPED
        sent = self._fingerprint(deal)
        if link is not None and deal.onec_id == link.onec.id and self.memories.get(ENTITY, ref).sent == sent:
            return Outcome.ECHO
        done = self._upsert(deal, known)
        self.links.save(Link(bitrix24=ref, onec=done.ref))  # at once: losing it means a second order
        if deal.onec_id != done.ref.id:
            self.deals.write_back(ref, done.ref, comment=self._comment(done))
        self.memories.save(ENTITY, ref, Memory(sent=sent, sequence=done.sequence, version=done.version))
        return Outcome.CREATED if done.created else Outcome.UPDATED

    def _travels(self, deal: Deal, link: Link | None, *, is_sent: bool) -> bool:
        """Sent deals follow; others once they reach a sending stage of a pipeline that is named in the rules."""
        pipeline = self.rules.pipelines.get(deal.category)
        if pipeline is None or (link is not None and link.deleted_in):
            return False
        now = self.clock.now()
        return is_sent or reached_send_stage(deal, pipeline, now=now, within_hours=self.rules.max_age_hours)

    def _upsert(self, deal: Deal, known: RecordRef | None) -> Upserted:
        party = self._counterparty(deal)  # first: the contact may be linked by that
        contact = self.links.find(deal.contact) if deal.contact else None
        fields = {
            **deal.fields,
            "counterparty_ref": party.id,
            "contact_ref": contact.onec.id if contact and not contact.deleted_in else None,
        }
        return self.onec.upsert_order(deal.ref.external_id, fields, known=known)

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

    def _comment(self, done: Upserted) -> str | None:
        wanted = self.rules.comment_on_create and done.number
        return f"1С: создан заказ № {done.number}" if wanted else None

    def _fingerprint(self, deal: Deal) -> str:
        """Of all that makes the order; a move along the pipeline is not among it."""
        return fingerprint({**deal.fields, "party": str(deal.counterparty), "contact": str(deal.contact)})
