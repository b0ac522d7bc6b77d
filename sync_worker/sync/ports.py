"""What the flows need of the world, in small pieces. Each is held by a gateway or a store, and by a fake in tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sync_worker.contract import ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, Lane, RecordRef
from sync_worker.domain.link import DeadLetter, Link, Memory
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys
from sync_worker.entities.deal import Deal
from sync_worker.entities.invoice import Invoice, InvoiceCard
from sync_worker.entities.lead import Lead
from sync_worker.entities.results import Finding, Upserted
from sync_worker.entities.status import OrderStatus


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware and in UTC."""

    def sleep(self, seconds: float) -> None: ...


# --- what is remembered ----------------------------------------------------------------------------------------------


class Links(Protocol):
    def find(self, ref: RecordRef) -> Link | None:
        """The link of a record on either side, tombstones too."""

    def save(self, link: Link) -> None:
        """Remember, from both sides, at once. A record's older link to another record is forgotten."""

    def remember_owner(self, part: RecordRef, owner: RecordRef) -> None:
        """A part (a requisite) belongs to `owner`: its deletion can be understood later."""

    def find_owner(self, part: RecordRef) -> RecordRef | None: ...

    def rings_for_parts(self) -> bool:
        """True once any part's owner was remembered: the portal sends the events of parts too."""


class Memories(Protocol):
    """Keyed by entity and one of its records: the Bitrix24 one, or 1C's for INVOICE and STATUS."""

    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        """What is remembered; an empty Memory where nothing is."""

    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None: ...


class Locks(Protocol):
    def hold(self, *names: str) -> AbstractContextManager[None]:
        """Hold all names or none, for as long as the block runs and its process lives.

        Errors: RecordBusy at once where another task holds one of them.
        """


class DeadLetters(Protocol):
    def add(self, letter: DeadLetter) -> DeadLetter:
        """File it; a letter of the same record and entity is brought up to date instead. Returns what is filed."""

    def get(self, letter_id: str) -> DeadLetter | None: ...

    def blocking(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        """The letter behind which events of this record (by any of its names) have to wait."""

    def park_behind(self, letter: DeadLetter, event: ChangeEvent) -> None:
        """Count the event, and keep it as the one to replay if it is the newer."""

    def remove(self, letter_id: str) -> bool:
        """True for the one caller who removed it."""

    def take(self, letter_id: str) -> DeadLetter | None:
        """Remove it, and return what it was at that moment, for the one caller who removed it."""

    def page(
        self, *, cause: str | None = None, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        """Letters, oldest first, and the cursor of the next page."""

    def count_by_cause(self) -> Mapping[str, int]: ...


class Parked(Protocol):
    def park(self, event: ChangeEvent, *, ready_at: datetime, reason: str) -> None: ...

    def release(self, now: datetime, *, limit: int) -> list[ChangeEvent]:
        """Events whose time has come; each stays parked until `forget` says that it is in the queue."""

    def forget(self, *events: ChangeEvent) -> None: ...

    def count(self) -> int: ...


class Reads(Protocol):
    """When each record was last read with success. A lost entry costs a read, and nothing else."""

    def began(self, entity: EntityKind, ref: RecordRef, *, whole: bool) -> datetime | None:
        """When the last such read began; `whole`: of those that read more than the card. None where it is not known."""

    def note(self, entity: EntityKind, ref: RecordRef, began: datetime, *, whole: bool) -> None:
        """Remember that moment, unless a later one is remembered. Errors: StoreUnavailable."""


class Tally(Protocol):
    """What became of all events, counted since the store was new."""

    def count(self, entity: EntityKind, lane: Lane, outcome: str) -> None:
        """One more. Errors: StoreUnavailable."""

    def events(self) -> Mapping[tuple[EntityKind, Lane, str], int]: ...


class Outbox(Protocol):
    def publish(self, event: ChangeEvent) -> None:
        """Put the event into the queue of its lane. Errors: StoreUnavailable."""

    def strike(self, task_id: str) -> None:
        """The message's event is in safety: nobody has to look for it. Errors: StoreUnavailable."""

    def send_lost(self) -> list[str]:
        """Send again what a dying broker lost. Returns what each was about, ids only. Errors: StoreUnavailable."""


# --- Bitrix24 and 1C -------------------------------------------------------------------------------------------------


class CounterpartySide(Protocol):
    """One side's counterparties; both sides look the same from here."""

    def read(self, ref: RecordRef) -> CounterpartyRecord | None:
        """The record as it is now; None where it is gone."""

    def find(self, keys: MatchKeys, *, linked_to: RecordRef) -> list[CounterpartyRecord]:
        """Records that say they are linked to `linked_to`, and records that may match by key."""

    def create(self, record: CounterpartyRecord) -> CounterpartyRecord:
        """Create from the other side's record, naming it as the partner. Returns the new one as it is now.

        Errors: AmbiguousMatch where the remote itself sees a duplicate, OutcomeUnknown, RemoteRejected.
        """

    def update(
        self, current: CounterpartyRecord, changes: Mapping[str, Any], *, source: CounterpartyRecord
    ) -> CounterpartyRecord:
        """Write `changes` and `source.ref` as the partner, where they differ. Returns the record as it then is.

        A responsible person whom this side does not know is left out (design, part 6).
        Errors: VersionMoved where the record changed since `current` was read, LinkBroken, RemoteRejected.
        """


class CounterpartyCards(Protocol):
    """Bitrix24's counterparties once more, at a third of the price."""

    def read_card(self, ref: RecordRef, *, remembered: Mapping[str, Any], kind: Kind) -> CounterpartyRecord | None:
        """The card as it is now; what stands in requisite and addresses, and the kind, as remembered.

        Returns a record that is not whole, so that nothing can be written with it; None where it is gone.
        """


class RequisiteOwners(Protocol):
    def owner_of(self, requisite: RecordRef) -> RecordRef | None:
        """The contact or company a requisite belongs to; None where it is gone, or belongs to something else."""


class Leads(Protocol):
    def read(self, ref: RecordRef) -> Lead | None: ...

    def write_back(self, ref: RecordRef, onec: RecordRef) -> None:
        """Put the 1C ref on the lead."""


class Deals(Protocol):
    def read(self, ref: RecordRef) -> Deal | None:
        """With rows and contacts: one call."""

    def past_stages(self, ref: RecordRef) -> tuple[tuple[str, datetime], ...]:
        """(stage, when it was reached), newest first; none where the portal does not tell them."""

    def write_back(self, ref: RecordRef, onec: RecordRef, *, comment: str | None) -> None:
        """Put the 1C ref on the deal and a comment into its timeline: one call."""

    def move(self, ref: RecordRef, stage: str) -> str:
        """Set the stage, read it back, and return the one that the deal now has.

        Errors: StageRefused with the portal's words.
        """


class InvoiceCards(Protocol):
    """Invoices as Bitrix24 shows them: smart ones or old ones, as the settings say."""

    def find(self, xml_id: str) -> RecordRef | None: ...

    def read(self, ref: RecordRef) -> InvoiceCard | None: ...

    def create(self, card: InvoiceCard) -> RecordRef:
        """Without rows; they follow by `update`, so that the link is saved first."""

    def update(self, ref: RecordRef, current: InvoiceCard | None, card: InvoiceCard) -> bool:
        """Write what differs from `current`, rows too. True where something was written.

        Errors: StageRefused, RemoteRejected.
        """


class OnecDocuments(Protocol):
    """Leads and orders in 1C."""

    def upsert_lead(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted: ...

    def upsert_order(self, external_id: str, fields: Mapping[str, Any], *, known: RecordRef | None) -> Upserted:
        """Errors: OrderLocked, LinkBroken (marked for deletion), AmbiguousMatch, RemoteRejected, OutcomeUnknown."""


class OnecInvoices(Protocol):
    def read(self, ref: RecordRef) -> Invoice | None: ...


class OnecStates(Protocol):
    """Reads the states that 1C's events carry. Errors: BadEvent."""

    def counterparty(self, ref: RecordRef, state: OnecState) -> CounterpartyRecord: ...

    def invoice(self, ref: RecordRef, state: OnecState) -> Invoice: ...

    def order_status(self, ref: RecordRef, state: OnecState) -> OrderStatus: ...


class CapabilityCheck(Protocol):
    def missing(self, entity: EntityKind) -> str | None:
        """Why this entity is off: what the base lacks; None where it is offered."""


class Examiner(Protocol):
    """A side that can say how it is."""

    def examine(self) -> list[Finding]: ...
