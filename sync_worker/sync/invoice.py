"""1C invoice -> its card in Bitrix24, on the deal that it belongs to. 1C owns all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sync_worker.contract import Change, ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.letter import NOTHING_DECIDED, Decision
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import InvoiceRules
from sync_worker.domain.values import decimal_or_zero, fingerprint, kopecks, money_text
from sync_worker.entities.invoice import Invoice, InvoiceCard, invoice_title
from sync_worker.errors import LinkBroken, NeedsPerson, NotYetLinked
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.journal import Journal
from sync_worker.sync.one_way import alive, gone, gone_in_onec
from sync_worker.sync.ports import InvoiceCards, Links, Locks, Memories, OnecInvoices, OnecStates

ENTITY = EntityKind.INVOICE


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceFlow:
    cards: InvoiceCards
    onec: OnecInvoices
    states: OnecStates
    counterparties: CounterpartyFlow
    links: Links
    memories: Memories
    locks: Locks
    journal: Journal
    rules: InvoiceRules

    def subject(self, event: ChangeEvent) -> RecordRef | None:
        return event.record

    def handle(self, event: ChangeEvent, decision: Decision = NOTHING_DECIDED) -> Outcome:
        if event.record.system is System.BITRIX24:
            return self._touched_in_bitrix24(event)
        with self.locks.hold(str(event.record)):
            if decision.create:
                return self._show_anew(event.record)
            if event.onec is None:
                return self._look_in_onec(event.record)
            if event.change is Change.DELETED:
                return self._gone_in_onec(event.record, event.onec.sequence)
            invoice = self.states.invoice(event.record, event.onec)
            if invoice.sequence <= self.memories.get(ENTITY, invoice.ref).sequence:
                return Outcome.STALE
            return self._show(invoice)

    def _show_anew(self, ref: RecordRef) -> Outcome:
        """A person decided that an invoice whose card was deleted gets a new one."""
        link = self.links.find(ref)
        invoice = self.onec.read(ref)
        if invoice is None or invoice.is_deleted:
            raise LinkBroken(f"{ref} is gone or marked for deletion", gone=ref)
        if link is not None:
            self.links.forget(link)
        return self._show(invoice)

    def _look_in_onec(self, ref: RecordRef) -> Outcome:
        """A doorbell of an invoice in 1C: it is read as it now is."""
        invoice = self.onec.read(ref)
        return gone(ref, self.links) if invoice is None or invoice.is_deleted else self._show(invoice)

    def _gone_in_onec(self, ref: RecordRef, sequence: int) -> Outcome:
        return gone_in_onec(ref, sequence, ENTITY, ref, links=self.links, memories=self.memories)

    def _touched_in_bitrix24(self, event: ChangeEvent) -> Outcome:
        """Our own echo, or somebody edited the card: then 1C's values are put back."""
        link = self.links.find(event.record)
        if link is None or link.deleted_in is System.ONEC:
            return Outcome.SKIPPED
        with self.locks.hold(str(link.onec)):
            current = self.cards.read(event.record)
            if current is None:
                return gone(event.record, self.links)
            alive(link, System.BITRIX24, self.links)
            if fingerprint(current.fields) == self.memories.get(ENTITY, link.onec).sent:
                return Outcome.ECHO
            invoice = self.onec.read(link.onec)
            if invoice is None or invoice.is_deleted:
                return gone(link.onec, self.links)
            return self._show(invoice)

    def _show(self, invoice: Invoice) -> Outcome:
        card = self._card(invoice)
        link = alive(self.links.find(invoice.ref), System.ONEC, self.links)
        if link is not None and link.deleted_in:
            return Outcome.SKIPPED
        ref = link.bitrix24 if link else self.cards.find(card.xml_id)
        created = ref is None
        if ref is None:
            with self.journal.making(ENTITY, invoice.ref):
                ref = self.cards.create(card)
        if link is None:
            self.links.save(Link(bitrix24=ref, onec=invoice.ref))  # at once: losing it means a second invoice
        current = self.cards.read(ref)
        if current is None:
            raise LinkBroken(f"{ref}, the card of {invoice.ref}, is gone", gone=ref, left=invoice.ref)
        written = self.cards.update(ref, current, card)
        self._remember(invoice, ref, current if not written else self.cards.read(ref))
        if created:
            return Outcome.CREATED
        return Outcome.UPDATED if written else Outcome.UNCHANGED

    def _remember(self, invoice: Invoice, ref: RecordRef, after: InvoiceCard | None) -> None:
        """Keep what the portal made of it: a value that it writes in its own way would else never be at rest."""
        if after is None:
            raise LinkBroken(f"{ref}, the card of {invoice.ref}, is gone", gone=ref, left=invoice.ref)
        memory = Memory(sent=fingerprint(after.fields), sequence=invoice.sequence, version=invoice.version)
        self.memories.save(ENTITY, invoice.ref, memory)

    def _card(self, invoice: Invoice) -> InvoiceCard:
        fields = invoice.fields
        party = self._party(invoice)
        deal = self._deal(invoice)
        return InvoiceCard(
            xml_id=invoice.ref.id,
            fields={
                "title": invoice_title(fields["number"], fields["date"]),
                "opportunity": money_text(decimal_or_zero(fields["amount"])),
                "currency": fields["currency"],
                "begin_on": fields["date"],
                "pay_before": fields.get("pay_before"),
                "stage": self.rules.stages[fields["status"]],
                "comment": fields.get("comment"),
                "deal_id": deal.id if deal else None,
                "company_id": party.id if party and party.type is RecordType.COMPANY else None,
                "contact_id": party.id if party and party.type is RecordType.CONTACT else None,
                "rows": [card_row(row) for row in fields.get("rows") or []],
            },
        )

    def _deal(self, invoice: Invoice) -> RecordRef | None:
        """The deal of the invoice's order; None for an order that no deal made."""
        if invoice.order_deal is not None:
            return invoice.order_deal
        link = self.links.find(invoice.order) if invoice.order else None
        return link.bitrix24 if link and not link.deleted_in else None

    def _party(self, invoice: Invoice) -> RecordRef | None:
        if invoice.counterparty_party is not None:
            return invoice.counterparty_party
        if invoice.counterparty is None:
            return None
        try:
            return self.counterparties.ensure_in_bitrix24(invoice.counterparty)
        except NeedsPerson as error:  # it holds the invoice back, and shows as a letter of its own
            text = f"{invoice.counterparty} waits for a person: {error}"
            raise NotYetLinked(text, need=invoice.counterparty) from error


def card_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A contract row as Bitrix24 shows it: the price of one unit after discount, with VAT."""
    quantity = decimal_or_zero(row["quantity"])
    amount = row.get("amount")
    paid = (
        decimal_or_zero(amount)
        if amount is not None
        else decimal_or_zero(row["price"]) * quantity - decimal_or_zero(row.get("discount"))
    )
    rate, included = row.get("vat_rate"), row.get("vat_included", True)
    if rate is not None and not included:
        paid *= 1 + decimal_or_zero(rate) / 100
    return {
        "name": row["name"],
        "quantity": format(quantity.normalize(), "f"),
        "price": money_text(kopecks(paid / quantity) if quantity else Decimal(0)),
        "tax_rate": None if rate is None else format(decimal_or_zero(rate).normalize(), "f"),
        "is_tax_included": bool(included),
    }
