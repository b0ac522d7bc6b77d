"""What the flows need of the world, in small pieces. Each is held by a gateway or a store, and by a fake in tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sync_worker.contract import ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, Lane, RecordRef
from sync_worker.domain.intent import Intent
from sync_worker.domain.letter import DeadLetter, Deed, Group, ReplayRun, Selection
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.rules import Kind
from sync_worker.domain.story import StoryEntry
from sync_worker.entities.contact import CounterpartyRecord, MatchKeys
from sync_worker.entities.deal import Deal
from sync_worker.entities.invoice import Invoice, InvoiceCard
from sync_worker.entities.lead import Lead
from sync_worker.entities.results import Finding, Upserted
from sync_worker.entities.status import OrderStatus

EVERYTHING = Selection()


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware and in UTC."""

    def sleep(self, seconds: float) -> None: ...


# --- what is remembered ----------------------------------------------------------------------------------------------


class Links(Protocol):
    def find(self, ref: RecordRef) -> Link | None:
        """The link of a record on either side, tombstones too."""

    def save(self, link: Link) -> None:
        """Remember, from both sides, at once. A record's older link to another record is forgotten.

        What either was about to be given is given: their intents go.
        """

    def remember_owner(self, part: RecordRef, owner: RecordRef) -> None:
        """A part (a requisite) belongs to `owner`: its deletion can be understood later."""

    def forget(self, link: Link) -> None:
        """Both records are strangers again, if they still are linked to each other."""

    def find_owner(self, part: RecordRef) -> RecordRef | None: ...

    def rings_for_parts(self) -> bool:
        """True once any part's owner was remembered: the portal sends the events of parts too."""


class Intents(Protocol):
    """Creates whose outcome nobody knows. One goes in the very step that saves the link of its record (Links.save)."""

    def open(self, intent: Intent, *, settled_before: datetime) -> bool:
        """Write it down. False, and nothing written, where one of the same record stands there that is younger."""

    def get(self, source: RecordRef) -> Intent | None: ...

    def stamp(self, intent: Intent) -> None:
        """Put it in the place of the one that stands there."""

    def close(self, source: RecordRef) -> None: ...

    def all(self) -> list[Intent]:
        """The oldest first."""


class Memories(Protocol):
    """Keyed by entity and one of its records: the Bitrix24 one, or 1C's for INVOICE and STATUS."""

    def get(self, entity: EntityKind, ref: RecordRef) -> Memory:
        """What is remembered; an empty Memory where nothing is."""

    def save(self, entity: EntityKind, ref: RecordRef, memory: Memory) -> None:
        """An empty Memory forgets it."""


class Locks(Protocol):
    def hold(self, *names: str) -> AbstractContextManager[None]:
        """Hold all names or none, for as long as the block runs and its process lives.

        Errors: RecordBusy at once where another task holds one of them.
        """


class DeadLetters(Protocol):
    def add(self, letter: DeadLetter) -> DeadLetter:
        """File it; a letter of the same record and entity is brought up to date instead. Returns what is filed.

        What failed again is no longer under way: its run, its time of sending and its decision are gone. Deeds stay.
        """

    def get(self, letter_id: str) -> DeadLetter | None: ...

    def of_record(self, entity: EntityKind, refs: Iterable[RecordRef]) -> DeadLetter | None:
        """The letter of this record, by any of its names."""

    def park_behind(self, letter: DeadLetter, event: ChangeEvent) -> None:
        """Count the event, and keep it as the one to replay if it is the newer."""

    def change(self, letter_id: str, change: Callable[[DeadLetter], DeadLetter]) -> DeadLetter | None:
        """Put `change` of the letter in its place, whatever others do meanwhile (it may be called again for that).

        `change` returns the very letter it was given where nothing is to be written, and may raise. Neither id, record,
        partner, entity nor first_at may change. Returns the letter as it then stands; None where there is none.
        """

    def remove(self, seen: DeadLetter) -> bool:
        """Remove it if it still is as it was seen. True for the one caller who removed it."""

    def page(
        self, selection: Selection = EVERYTHING, *, after: str | None = None, limit: int = 100
    ) -> tuple[list[DeadLetter], str | None]:
        """Letters, oldest first, and the cursor of the next page. Errors: ValueError where `after` is no cursor."""

    def count(self, selection: Selection = EVERYTHING) -> int: ...

    def count_by_cause(self) -> Mapping[str, int]: ...

    def groups(self, *, limit: int = 100) -> list[Group]:
        """The biggest first."""

    def search(self, word: str, *, limit: int = 50) -> list[DeadLetter]:
        """By a letter's or a record's id ("42", "contact:42", a UUID), a trace, an ИНН, an e-mail: the whole word."""


class Replays(Protocol):
    """Replays of many letters. Their steps may be done by several processes at once, and done twice."""

    def start(self, run: ReplayRun) -> ReplayRun:
        """Keep it with a list of the letters that its selection means now. Returns it with its `total`."""

    def get(self, run_id: str) -> ReplayRun | None: ...

    def page(self, *, limit: int = 20) -> list[ReplayRun]:
        """The newest first."""

    def unfinished(self) -> list[ReplayRun]:
        """Those with letters that wait for their turn, the oldest first."""

    def next(self, run_id: str, *, limit: int) -> list[str]:
        """Ids of the letters whose turn it is. They stay pending until `sent` or `skipped`."""

    def sent(self, run_id: str, letter_id: str, *, at: datetime) -> None:
        """It is under way."""

    def skipped(self, run_id: str, letter_id: str) -> None:
        """It is not there any more, or somebody else has sent it."""

    def ended(self, run_id: str, letter_id: str, *, closed: bool) -> None:
        """It had an outcome, or its letter is back. Counted once."""

    def cancel(self, run_id: str, *, by: str, at: datetime) -> ReplayRun | None:
        """Forget what waits for its turn; what is under way comes to its end. None where there is no such run."""


class Audit(Protocol):
    """Who did what. Never removed."""

    def note(self, deed: Deed) -> None: ...

    def page(self, *, after: str | None = None, limit: int = 100) -> tuple[list[Deed], str | None]:
        """The newest first, and the cursor of the next page."""


class Stories(Protocol):
    """What happened to each record lately: its newest entries, for some months."""

    def tell(self, ref: RecordRef, entry: StoryEntry) -> None:
        """Errors: StoreUnavailable."""

    def read(self, *refs: RecordRef) -> list[StoryEntry]:
        """Of all these names of one record together, the oldest first."""


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

    def put_back(self, field: str) -> None:
        """A value that one side had changed gave way to the owner's. Errors: StoreUnavailable."""

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

    def create(self, record: CounterpartyRecord, *, not_duplicate_of: Collection[str] = ()) -> CounterpartyRecord:
        """Create from the other side's record, naming it as the partner. Returns the new one as it is now.

        `not_duplicate_of`: ids of this side's records that a person decided are others.

        Errors: AmbiguousMatch where the remote itself sees a duplicate, OutcomeUnknown, RemoteRejected.
        """

    def update(
        self,
        current: CounterpartyRecord,
        changes: Mapping[str, Any],
        *,
        source: CounterpartyRecord,
        relink: bool = False,
    ) -> CounterpartyRecord:
        """Write `changes` and `source.ref` as the partner, where they differ. Returns the record as it then is.

        `relink`: a link to another record that stands there moves here, by a person's decision.

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

    def order_total(self, ref: RecordRef) -> Decimal | None:
        """What the order comes to in 1C, in its currency; None where the order is not there."""


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
