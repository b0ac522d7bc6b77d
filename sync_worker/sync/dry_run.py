"""The flows over ports that write nothing: reads go through, writes are noted and answered with a plausible record.

What the other side would refuse for reasons of its own (a full name too long for 1C, a required field of a stage) is
not seen here: only it can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from sync_worker.contract import OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System
from sync_worker.domain.intent import Intent
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys, bitrix24_type
from sync_worker.entities.deal import Deal
from sync_worker.entities.document import Document
from sync_worker.entities.invoice import Invoice, InvoiceCard
from sync_worker.entities.lead import Lead
from sync_worker.entities.results import Upserted
from sync_worker.entities.status import OrderStatus
from sync_worker.errors import AmbiguousMatch, LinkBroken
from sync_worker.sync.ports import CounterpartySide, Deals, InvoiceCards, Leads, Links, Memories, OnecInvoices

NEW = "new"  # stands for the id of a record that would be made
UNKNOWN_NUMBER = "…"
PARTNER_FIELD: Mapping[System, str] = {System.BITRIX24: "UF_CRM_1C_ID", System.ONEC: "external_id"}
NOT_OF_PEOPLE = ("full_name", "kpp", "ogrn")  # the portal has no place for these on a person


class Operation(StrEnum):
    CREATE = "create"
    UPDATE = "update"


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """All that would be written into one record. `fields`: name -> (as it is, as it would be)."""

    operation: Operation
    record: RecordRef  # its id is NEW where it would be made
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A partner was sought on this side."""

    system: System
    keys: MatchKeys
    wanted_for: RecordRef
    found: tuple[CounterpartyRecord, ...]


class DocumentReader(Protocol):
    """Leads and orders are only sent by the flows; to tell what would change in them they have to be read."""

    def find(self, type_: RecordType, *, external_id: str | None, known: RecordRef | None) -> Document | None:
        """The one of this `external_id`, else `known`; marked for deletion too."""


@dataclass(kw_only=True, slots=True)
class Notebook:
    """What the flows asked and would have written, in order."""

    actions: list[Action] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    linked: list[Link] = field(default_factory=list)
    absent: set[RecordRef] = field(default_factory=set)  # was asked for, and is not there
    read: dict[RecordRef, Any] = field(default_factory=dict)  # what was read last of each record
    past_stages: dict[RecordRef, tuple[tuple[str, datetime], ...]] = field(default_factory=dict)

    def saw(self, ref: RecordRef, record: Any) -> None:
        if record is None:
            self.absent.add(ref)
        else:
            self.read[ref] = record

    def write(
        self, ref: RecordRef, after: Mapping[str, Any], *, before: Mapping[str, Any], operation: Operation
    ) -> None:
        """Note what differs. All that is written into one record in one go is one action."""
        changes = {name: (before.get(name), value) for name, value in after.items() if before.get(name) != value}
        known = next((index for index, one in enumerate(self.actions) if one.record == ref), None)
        if known is None:
            self.actions.append(Action(operation=operation, record=ref, fields=changes))
        else:
            self.actions[known] = _joined(self.actions[known], changes)

    def new_ref(self, system: System, type_: RecordType) -> RecordRef:
        known = sum(
            one.operation is Operation.CREATE and (one.record.system, one.record.type) == (system, type_)
            for one in self.actions
        )
        return RecordRef(system=system, type=type_, id=f"{NEW}-{known + 1}" if known else NEW)


def _joined(action: Action, changes: Mapping[str, tuple[Any, Any]]) -> Action:
    later = {name: (action.fields.get(name, (old, None))[0], new) for name, (old, new) in changes.items()}
    return replace(action, fields={**action.fields, **later})


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


# --- what is remembered: an overlay that is thrown away --------------------------------------------------------------


class DryLinks:
    """Port Links."""

    def __init__(self, real: Links, notes: Notebook) -> None:
        self._real = real
        self._notes = notes
        self._changed: dict[RecordRef, Link | None] = {}
        self._owners: dict[RecordRef, RecordRef] = {}

    def find(self, ref: RecordRef) -> Link | None:
        return self._changed[ref] if ref in self._changed else self._real.find(ref)

    def save(self, link: Link) -> None:
        for ref in (link.bitrix24, link.onec):
            older = self.find(ref)
            if older is not None:
                self._changed[older.other(ref)] = None
        self._changed |= {link.bitrix24: link, link.onec: link}
        self._notes.linked.append(link)

    def forget(self, link: Link) -> None:
        found = self.find(link.bitrix24)
        if found is not None and found.onec == link.onec:
            self._changed |= {link.bitrix24: None, link.onec: None}

    def remember_owner(self, part: RecordRef, owner: RecordRef) -> None:
        self._owners[part] = owner

    def find_owner(self, part: RecordRef) -> RecordRef | None:
        return self._owners.get(part) or self._real.find_owner(part)

    def rings_for_parts(self) -> bool:
        return bool(self._owners) or self._real.rings_for_parts()


class DryMemories:
    """Port Memories."""

    def __init__(self, real: Memories) -> None:
        self._real = real
        self._changed: dict[tuple[EntityKind, RecordRef], Memory] = {}

    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        return self._changed.get((entity, ref)) or self._real.get(entity, ref)

    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None:
        self._changed[entity, ref] = memory


class NoIntents:
    """Port Intents. Nothing is sent, so there is nothing to write down."""

    def open(self, intent: Intent, *, settled_before: datetime) -> bool:  # noqa: ARG002
        return True

    def get(self, source: RecordRef) -> Intent | None:  # noqa: ARG002
        return None

    def stamp(self, intent: Intent) -> None:
        """Nothing is there."""

    def close(self, source: RecordRef) -> None:
        """Nothing is there."""

    def all(self) -> list[Intent]:
        return []


class NoLocks:
    """Port Locks. Who only looks gets in nobody's way."""

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:  # noqa: ARG002
        yield


# --- Bitrix24 and 1C -------------------------------------------------------------------------------------------------


class DryCounterparties:
    """Port CounterpartySide."""

    def __init__(self, real: CounterpartySide, system: System, notes: Notebook) -> None:
        self._real = real
        self._system = system
        self._notes = notes
        self._written: dict[RecordRef, CounterpartyRecord] = {}

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        record = self._written[ref] if ref in self._written else self._real.read(ref)
        self._notes.saw(ref, record)
        return record

    def find(self, keys: MatchKeys, *, linked_to: RecordRef) -> list[CounterpartyRecord]:
        found = [self._written.get(one.ref, one) for one in self._real.find(keys, linked_to=linked_to)]
        search = Search(system=self._system, keys=keys, wanted_for=linked_to, found=tuple(found))
        self._notes.searches.append(search)
        return found

    def create(self, record: CounterpartyRecord, *, not_duplicate_of: Collection[str] = ()) -> CounterpartyRecord:
        ref = self._notes.new_ref(self._system, self._type_of(record.kind))
        left_out = NOT_OF_PEOPLE if ref.type is RecordType.CONTACT else ()
        fields = {name: value for name, value in record.fields.items() if name not in left_out}
        made = replace(record, ref=ref, fields=fields, other_ref=written_as(record.ref), version=None, sequence=0)
        after = {**filled(fields), "kind": record.kind.value, PARTNER_FIELD[self._system]: made.other_ref}
        after |= {"not_duplicate_of": list(not_duplicate_of)} if not_duplicate_of else {}
        self._notes.write(ref, after, before={}, operation=Operation.CREATE)
        self._written[ref] = made
        return made

    def update(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        *,
        source: CounterpartyRecord,
        relink: bool = False,  # noqa: ARG002  # the partner's id shows in the action, wherever it was before
    ) -> CounterpartyRecord:
        named, partner = written_as(source.ref), PARTNER_FIELD[self._system]
        if not changes and current.other_ref == named:
            return current
        before = {**current.fields, "kind": current.kind.value, partner: current.other_ref}
        self._notes.write(current.ref, {**changes, partner: named}, before=before, operation=Operation.UPDATE)
        fields = {name: value for name, value in changes.items() if name != "kind"}
        kind = Kind(changes.get("kind", current.kind))
        after = replace(current, kind=kind, fields={**current.fields, **fields}, other_ref=named)
        self._written[current.ref] = after
        return after

    def _type_of(self, kind: Kind) -> RecordType:
        return RecordType.COUNTERPARTY if self._system is System.ONEC else bitrix24_type(kind)


def written_as(ref: RecordRef) -> str:
    """How a record is written into its partner."""
    return ref.id if ref.system is System.ONEC else ref.external_id


class DryLeads:
    """Port Leads."""

    def __init__(self, real: Leads, notes: Notebook) -> None:
        self._real = real
        self._notes = notes

    def read(self, ref: RecordRef) -> Lead | None:
        record = self._real.read(ref)
        self._notes.saw(ref, record)
        return record

    def write_back(self, ref: RecordRef, onec: RecordRef) -> None:
        partner = PARTNER_FIELD[System.BITRIX24]
        before = {partner: self._notes.read[ref].onec_id}
        self._notes.write(ref, {partner: onec.id}, before=before, operation=Operation.UPDATE)


class DryDeals:
    """Port Deals."""

    def __init__(self, real: Deals, notes: Notebook) -> None:
        self._real = real
        self._notes = notes
        self._stages: dict[RecordRef, str] = {}

    def read(self, ref: RecordRef) -> Deal | None:
        record = self._real.read(ref)
        self._notes.saw(ref, record)
        return replace(record, stage=self._stages[ref]) if record and ref in self._stages else record

    def past_stages(self, ref: RecordRef) -> tuple[tuple[str, datetime], ...]:
        found = self._notes.past_stages[ref] = self._real.past_stages(ref)
        return found

    def write_back(self, ref: RecordRef, onec: RecordRef, *, comment: str | None) -> None:
        partner = PARTNER_FIELD[System.BITRIX24]
        after = {partner: onec.id} | ({"timeline_comment": comment} if comment else {})
        before = {partner: self._notes.read[ref].onec_id}
        self._notes.write(ref, after, before=before, operation=Operation.UPDATE)

    def move(self, ref: RecordRef, stage: str) -> str:
        before = {"stage": self._notes.read[ref].stage}
        self._notes.write(ref, {"stage": stage}, before=before, operation=Operation.UPDATE)
        self._stages[ref] = stage
        return stage


class DryInvoiceCards:
    """Port InvoiceCards. `held`: what this portal's invoices can hold of a card."""

    def __init__(self, real: InvoiceCards, notes: Notebook, held: Callable[[InvoiceCard], InvoiceCard]) -> None:
        self._real = real
        self._notes = notes
        self._held = held
        self._written: dict[RecordRef, InvoiceCard] = {}

    def find(self, xml_id: str) -> RecordRef | None:
        return self._real.find(xml_id)

    def read(self, ref: RecordRef) -> InvoiceCard | None:
        card = self._written[ref] if ref in self._written else self._real.read(ref)
        self._notes.saw(ref, card)
        return card

    def create(self, card: InvoiceCard) -> RecordRef:
        ref = self._notes.new_ref(System.BITRIX24, RecordType.INVOICE)
        after = {**filled(self._held(card).fields), "xml_id": card.xml_id}
        self._notes.write(ref, after, before={}, operation=Operation.CREATE)
        self._written[ref] = card
        return ref

    def update(self, ref: RecordRef, current: InvoiceCard | None, card: InvoiceCard) -> bool:
        before = current.fields if current else {}
        wanted = self._held(card).fields
        changes = {name: value for name, value in wanted.items() if before.get(name) != value}
        if changes:
            self._notes.write(ref, changes, before=before, operation=Operation.UPDATE)
            self._written[ref] = replace(card, fields={**before, **changes})
        return bool(changes)


class DryInvoices:
    """Port OnecInvoices."""

    def __init__(self, real: OnecInvoices, notes: Notebook) -> None:
        self._real = real
        self._notes = notes

    def read(self, ref: RecordRef) -> Invoice | None:
        invoice = self._real.read(ref)
        self._notes.saw(ref, invoice)
        return invoice


class DryDocuments:
    """Port OnecDocuments: 1C's answers foretold from what it has."""

    def __init__(self, reader: DocumentReader, notes: Notebook) -> None:
        self._reader = reader
        self._notes = notes

    def upsert_lead(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        return self._upsert(RecordType.LEAD, external_id, fields, known)

    def upsert_order(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        return self._upsert(RecordType.ORDER, external_id, fields, known)

    def order_total(self, ref: RecordRef) -> Decimal | None:  # noqa: ARG002  # nothing was written
        """Nobody knows what 1C would make of an order that it has not got."""
        return None

    def _upsert(
        self, type_: RecordType, external_id: str, fields: Mapping[str, Any], known: RecordRef | None
    ) -> Upserted:
        found = self._reader.find(type_, external_id=external_id, known=known)
        if found is None:
            return self._create(type_, external_id, fields, known)
        _refuse_unfit(found, external_id)
        after = {**fields, "external_id": external_id}
        before = {name: _seen_as(value, found.fields.get(name)) for name, value in fields.items()}
        before["external_id"] = found.external_id
        self._notes.write(found.ref, after, before=before, operation=Operation.UPDATE)
        return Upserted(
            ref=found.ref, created=False, number=found.number, version=found.version, sequence=found.sequence
        )

    def _create(
        self, type_: RecordType, external_id: str, fields: Mapping[str, Any], known: RecordRef | None
    ) -> Upserted:
        if known is not None:
            raise LinkBroken(f"{known} is not in 1C")
        ref = self._notes.new_ref(System.ONEC, type_)
        after = {**filled(fields), "external_id": external_id}
        self._notes.write(ref, after, before={}, operation=Operation.CREATE)
        return Upserted(ref=ref, created=True, number=UNKNOWN_NUMBER, version=None, sequence=0)


def _seen_as(ours: Any, theirs: Any) -> Any:
    """What 1C has, as far as we have it: of a row or a person 1C knows more than is sent."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {name: theirs.get(name) for name in ours}
    if isinstance(ours, list) and isinstance(theirs, list):
        return [_seen_as(ours[index] if index < len(ours) else one, one) for index, one in enumerate(theirs)]
    return theirs


def _refuse_unfit(found: Document, external_id: str) -> None:
    """As 1C does. Errors: LinkBroken, AmbiguousMatch."""
    if found.is_deleted:
        raise LinkBroken(f"{found.ref} is marked for deletion in 1C")
    if found.external_id not in (None, external_id):
        raise AmbiguousMatch(f"{found.ref} is linked to {found.external_id}", candidates=(str(found.ref),))


class ReadStates:
    """Port OnecStates: the states of events that nobody sent, made of what was read."""

    def __init__(self) -> None:
        self._records: dict[RecordRef, Any] = {}

    def keep(self, ref: RecordRef, record: Any) -> None:
        self._records[ref] = record

    def counterparty(self, ref: RecordRef, state: OnecState) -> CounterpartyRecord:  # noqa: ARG002
        found: CounterpartyRecord = self._records[ref]
        return found

    def invoice(self, ref: RecordRef, state: OnecState) -> Invoice:  # noqa: ARG002
        found: Invoice = self._records[ref]
        return found

    def order_status(self, ref: RecordRef, state: OnecState) -> OrderStatus:  # noqa: ARG002
        found: OrderStatus = self._records[ref]
        return found
