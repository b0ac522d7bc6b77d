"""Bitrix24 and 1C in memory, behind the ports of sync/ports.py: they keep records, count calls, and fail when told to.

They keep the promises that the flows rely on: an upsert is keyed by its external id, a write moves the version on, a
new card on the portal has no requisite yet.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.rules import Kind
from sync_worker.domain.values import decimal_or_zero
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys, bitrix24_type
from sync_worker.entities.deal import Deal
from sync_worker.entities.invoice import Invoice, InvoiceCard
from sync_worker.entities.lead import Lead
from sync_worker.entities.results import Upserted
from sync_worker.errors import AmbiguousMatch, LinkBroken, OrderLocked, StageRefused, VersionMoved

CARD_FIELDS = ("name", "phones", "emails", "responsible", "comment")  # what a card holds before it has a requisite


class Remote:
    """`calls` has the name of each call made. `fail` makes the next call of a name fail, before or after its work."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._failures: dict[tuple[str, bool], list[BaseException]] = {}
        self._hooks: dict[tuple[str, bool], Callable[[], object]] = {}

    def fail(self, call: str, error: BaseException, *, is_done: bool = False) -> None:
        """`is_done`: the work was done and only its answer is lost."""
        self._failures.setdefault((call, is_done), []).append(error)

    def before(self, call: str, hook: Callable[[], object]) -> None:
        """What happens in the world just before the next call of this name."""
        self._hooks[call, False] = hook

    def after(self, call: str, hook: Callable[[], object]) -> None:
        """What happens just after it."""
        self._hooks[call, True] = hook

    def forget_plans(self) -> None:
        """What was planned and did not come to pass will not."""
        self._failures.clear()
        self._hooks.clear()

    def count(self, *calls: str) -> int:
        made = Counter(self.calls)
        return sum(made[call] for call in calls)

    @contextmanager
    def _called(self, call: str) -> Iterator[None]:
        self.calls.append(call)
        self._meet_fate(call, is_done=False)
        yield
        self._meet_fate(call, is_done=True)

    def _meet_fate(self, call: str, *, is_done: bool) -> None:
        self._hooks.pop((call, is_done), lambda: None)()
        if planned := self._failures.get((call, is_done)):
            raise planned.pop(0)


class FakeCounterpartySide(Remote):
    """Port CounterpartySide, and on the portal's side CounterpartyCards and RequisiteOwners."""

    def __init__(self, system: System, *, unknown_people: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.system = system
        self.records: dict[RecordRef, CounterpartyRecord] = {}
        self.requisites: dict[RecordRef, RecordRef] = {}
        self.unknown_people = unknown_people
        self._writes = 0

    # --- what people do here -----------------------------------------------------------------------------------------

    def put(self, record: CounterpartyRecord) -> CounterpartyRecord:
        """Somebody typed it in."""
        return self._write(record)

    def edit(self, ref: RecordRef, **changes: Any) -> CounterpartyRecord:
        record = self.records[ref]
        return self._write(replace(record, fields={**record.fields, **changes}))

    def alter(self, ref: RecordRef, **attributes: Any) -> CounterpartyRecord:
        """Change what is no field: kind, other_ref, is_deleted ..."""
        return self._write(replace(self.records[ref], **attributes))

    # --- what the flows ask ------------------------------------------------------------------------------------------

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        with self._called("read"):
            return self.records.get(ref)

    def read_card(self, ref: RecordRef, *, remembered: Mapping[str, Any], kind: Kind) -> CounterpartyRecord | None:
        with self._called("read_card"):
            record = self.records.get(ref)
            if record is None:
                return None
            card = {name: value for name, value in record.fields.items() if name in CARD_FIELDS}
            return replace(record, kind=kind, fields={**remembered, **card}, is_whole=False)

    def find(self, keys: MatchKeys, *, linked_to: RecordRef) -> list[CounterpartyRecord]:
        with self._called("find"):
            named = self._name_of(linked_to)
            return [
                record
                for record in self.records.values()
                if not record.is_ours and (record.other_ref == named or _may_match(keys, record))
            ]

    def create(self, record: CounterpartyRecord, *, not_duplicate_of: Collection[str] = ()) -> CounterpartyRecord:
        with self._called("create"):
            named = self._name_of(record.ref)
            if self.system is System.ONEC:
                known = next((one for one in self.records.values() if one.other_ref == named), None)
                if known is None:
                    self._refuse_double(record.fields, not_duplicate_of)
                return known or self._write(replace(self._new(record), fields=self._known(record.fields)))
            card = {name: record.fields[name] for name in CARD_FIELDS if name in record.fields}
            blank = {name: [] if name == "addresses" else None for name in record.fields if name not in card}
            return self._write(replace(self._new(record), fields={**blank, **self._known(card)}))

    def update(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        *,
        source: CounterpartyRecord,
        relink: bool = False,
    ) -> CounterpartyRecord:
        if not current.is_whole:
            raise ValueError(f"of {current.ref} only the card was read: nothing can be written with that")
        named = self._name_of(source.ref)
        if not changes and current.other_ref == named:
            return current
        with self._called("update"):
            stored = self.records[current.ref]
            if self.system is System.ONEC and stored.version != current.version:
                raise VersionMoved(f"{current.ref} is at {stored.version}")
            if self.system is System.ONEC:
                self._take_link(stored, named, relink=relink)
            kind = Kind(changes.get("kind", stored.kind))
            fields = {name: value for name, value in changes.items() if name != "kind"}
            known = {**stored.fields, **self._known(fields)}
            return self._write(replace(stored, kind=kind, fields=known, other_ref=named))

    def _refuse_double(self, fields: Mapping[str, Any], allowed: Collection[str]) -> None:
        """1C makes no second one of an ИНН and КПП, nor of an ИНН that comes without КПП, unless both are meant."""
        inn, kpp = fields.get("inn"), fields.get("kpp")
        doubles = [
            ref
            for ref, one in self.records.items()
            if inn and not one.is_deleted and one.fields.get("inn") == inn and kpp in (None, one.fields.get("kpp"))
        ]
        if {ref.id for ref in doubles} - set(allowed):
            raise AmbiguousMatch("a counterparty with this inn is there already", candidates=tuple(map(str, doubles)))

    def _take_link(self, stored: CounterpartyRecord, named: str, *, relink: bool) -> None:
        """A link that is taken moves by a person's decision only; who loses it is left unlinked."""
        others = [one for one in self.records.values() if one.other_ref == named and one.ref != stored.ref]
        taken = [stored, *others] if stored.other_ref not in (None, named) else others
        if taken and not relink:
            raise AmbiguousMatch("the link is taken", candidates=tuple(str(one.ref) for one in taken))
        for loser in others:
            self._write(replace(loser, other_ref=None))

    def owner_of(self, requisite: RecordRef) -> RecordRef | None:
        with self._called("owner_of"):
            return self.requisites.get(requisite)

    def _new(self, record: CounterpartyRecord) -> CounterpartyRecord:
        return CounterpartyRecord(
            ref=self._new_ref(record.kind), kind=record.kind, fields={}, other_ref=self._name_of(record.ref)
        )

    def _new_ref(self, kind: Kind) -> RecordRef:
        if self.system is System.ONEC:
            return onec_ref(RecordType.COUNTERPARTY, str(uuid.uuid4()))
        return bitrix24_ref(bitrix24_type(kind), 9000 + len(self.records))

    def _known(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A person whom this side does not know is left out."""
        return {
            name: value for name, value in fields.items() if name != "responsible" or value not in self.unknown_people
        }

    def _name_of(self, ref: RecordRef) -> str:
        """How a record of the other side is written here."""
        return ref.id if ref.system is System.ONEC else ref.external_id

    def _write(self, record: CounterpartyRecord) -> CounterpartyRecord:
        self._writes += 1
        if self.system is System.ONEC:
            record = replace(record, sequence=self._writes, version=f"v{self._writes}")
        self.records[record.ref] = record
        return record


def _may_match(keys: MatchKeys, record: CounterpartyRecord) -> bool:
    if keys.inn:
        return record.fields.get("inn") == keys.inn
    return bool(set(keys.emails) & set(record.fields.get("emails") or ()))


class FakeLeads(Remote):
    """Port Leads."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[RecordRef, Lead] = {}

    def read(self, ref: RecordRef) -> Lead | None:
        with self._called("read"):
            return self.records.get(ref)

    def write_back(self, ref: RecordRef, onec: RecordRef) -> None:
        with self._called("write_back"):
            self.records[ref] = replace(self.records[ref], onec_id=onec.id)


class FakeDeals(Remote):
    """Port Deals. `sticky` deals stay at their stage, as those do that a robot moves back at once.

    `refusals` are raised by moves to their stages, such as the RequiredFieldEmpty of a field that is blank.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[RecordRef, Deal] = {}
        self.history: dict[RecordRef, tuple[tuple[str, datetime], ...]] = {}
        self.comments: list[tuple[RecordRef, str]] = []
        self.sticky: set[RecordRef] = set()
        self.refusals: dict[str, StageRefused] = {}

    def read(self, ref: RecordRef) -> Deal | None:
        with self._called("read"):
            return self.records.get(ref)

    def past_stages(self, ref: RecordRef) -> tuple[tuple[str, datetime], ...]:
        with self._called("past_stages"):
            return self.history.get(ref, ())

    def write_back(self, ref: RecordRef, onec: RecordRef, *, comment: str | None) -> None:
        with self._called("write_back"):
            self.records[ref] = replace(self.records[ref], onec_id=onec.id)
            if comment:
                self.comments.append((ref, comment))

    def move(self, ref: RecordRef, stage: str) -> str:
        with self._called("move"):
            if stage in self.refusals:
                raise self.refusals[stage]
            if ref not in self.sticky:
                self.records[ref] = replace(self.records[ref], stage=stage)
            return self.records[ref].stage


class FakeInvoiceCards(Remote):
    """Port InvoiceCards."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[RecordRef, InvoiceCard] = {}

    def find(self, xml_id: str) -> RecordRef | None:
        with self._called("find"):
            return next((ref for ref, card in self.cards.items() if card.xml_id == xml_id), None)

    def read(self, ref: RecordRef) -> InvoiceCard | None:
        with self._called("read"):
            return self.cards.get(ref)

    def create(self, card: InvoiceCard) -> RecordRef:
        with self._called("create"):
            ref = bitrix24_ref(RecordType.INVOICE, 700 + len(self.cards))
            self.cards[ref] = replace(card, fields={**card.fields, "rows": []})
            return ref

    def update(self, ref: RecordRef, current: InvoiceCard | None, card: InvoiceCard) -> bool:
        if current is not None and dict(current.fields) == dict(card.fields):
            return False
        with self._called("update"):
            self.cards[ref] = card
            return True

    def edit(self, ref: RecordRef, **changes: Any) -> None:
        """Somebody changed the card by hand."""
        self.cards[ref] = replace(self.cards[ref], fields={**self.cards[ref].fields, **changes})


class FakeOnecDocuments(Remote):
    """Port OnecDocuments: documents keyed by external id, as 1C keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, tuple[RecordRef, dict[str, Any]]] = {}
        self.locked: set[str] = set()
        self.marked: set[str] = set()
        self.has_numbers = True
        self.totals: dict[str, Decimal] = {}  # external id -> what 1C makes of it, where that is not what was sent
        self._writes = 0

    def upsert_lead(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        with self._called("upsert_lead"):
            return self._upsert(RecordType.LEAD, external_id, fields, known)

    def upsert_order(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        with self._called("upsert_order"):
            return self._upsert(RecordType.ORDER, external_id, fields, known)

    def order_total(self, ref: RecordRef) -> Decimal | None:
        with self._called("order_total"):
            for external_id, (known, fields) in self.documents.items():
                if known == ref and external_id not in self.marked:
                    return self.totals.get(external_id, decimal_or_zero(fields.get("amount")))
            return None

    def _upsert(
        self, type_: RecordType, external_id: str, fields: Mapping[str, Any], known: RecordRef | None
    ) -> Upserted:
        if external_id in self.locked:
            raise OrderLocked("the order is closed", code="locked")
        if external_id in self.marked:
            raise LinkBroken("the order is marked for deletion")
        before = self.documents.get(external_id)
        ref = before[0] if before else known or onec_ref(type_, str(uuid.uuid4()))
        self.documents[external_id] = (ref, dict(fields))
        self._writes += 1
        is_new = before is None and known is None
        return Upserted(
            ref=ref,
            created=is_new,
            number=f"УТ-{len(self.documents):06}" if self.has_numbers else None,
            version=f"v{self._writes}",
            sequence=self._writes,
        )


class FakeOnecInvoices(Remote):
    """Port OnecInvoices."""

    def __init__(self) -> None:
        super().__init__()
        self.invoices: dict[RecordRef, Invoice] = {}

    def read(self, ref: RecordRef) -> Invoice | None:
        with self._called("read"):
            return self.invoices.get(ref)


class FakeCapabilities:
    """Port CapabilityCheck."""

    def __init__(self) -> None:
        self.lacking: set[EntityKind] = set()

    def missing(self, entity: EntityKind) -> str | None:
        return f"the base does not offer {entity}" if entity in self.lacking else None
