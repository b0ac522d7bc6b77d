"""A dry run for one record: what would be written where if it were looked at now, and which rule says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, parse_external_id
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.link import Link, names_of
from sync_worker.domain.merge import Verdict
from sync_worker.domain.outcome import Outcome
from sync_worker.entities.document import Document
from sync_worker.entities.invoice import InvoiceCard
from sync_worker.errors import AmbiguousMatch, FieldConflict, LinkBroken, SyncError
from sync_worker.sync.coalescing import QUIET
from sync_worker.sync.dry_run import Action, DocumentReader
from sync_worker.sync.reasons import letter_reasons, link_reason, look_reasons
from sync_worker.sync.trial import Look, RealFlows, Trial
from sync_worker.sync.worker import SyncWorker

SETTLED = (Outcome.ECHO, Outcome.STALE, Outcome.UNCHANGED)  # nothing new on this side: the other one may have some
_KINDS: Mapping[RecordType, tuple[EntityKind, ...]] = {
    RecordType.CONTACT: (EntityKind.CONTACT,),
    RecordType.COMPANY: (EntityKind.CONTACT,),
    RecordType.COUNTERPARTY: (EntityKind.CONTACT,),
    RecordType.LEAD: (EntityKind.LEAD,),
    RecordType.DEAL: (EntityKind.DEAL, EntityKind.STATUS),
    RecordType.ORDER: (EntityKind.DEAL, EntityKind.STATUS),
    RecordType.INVOICE: (EntityKind.INVOICE,),
}


class State(StrEnum):
    """How a record stands. The first that fits, in this order."""

    DELETED = "deleted"  # it or its partner is gone, and the other one was left as it is
    CONFLICTING = "conflicting"  # both sides changed a shared field
    AMBIGUOUS = "ambiguous"  # its partner cannot be told without a person
    PARKED = "parked"  # it waits: behind a dead letter of another cause, or until a time
    GONE = "gone"  # there is no such record, and there was none that we knew
    SKIPPED = "skipped"  # the rules keep it where it is
    LINKED = "linked"
    UNLINKED = "unlinked"


class ParkedEvents(Protocol):
    def find(self, entity: EntityKind, ref: RecordRef) -> tuple[datetime, str] | None:
        """When the record's parked event is ready, and why it waits; None where none is parked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    record: RecordRef
    link: Link | None  # as it is kept now
    state: State
    actions: tuple[Action, ...]
    reasons: tuple[str, ...]
    letters: tuple[DeadLetter, ...]
    failures: tuple[SyncError, ...]  # what a person would be asked
    verdicts: tuple[Verdict, ...]  # of the merges
    words: tuple[str, ...]  # ИНН and e-mails that the reasons may name

    @property
    def conflicts(self) -> Mapping[str, Mapping[str, Any]]:
        """Field -> {"baseline", "bitrix24", "onec"}."""
        return {name: three for one in self.failures for name, three in (one.details().get("fields") or {}).items()}

    @property
    def candidates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.failures for name in one.details().get("candidates") or ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Explainer:
    """Writes nothing: not to the portal, not to 1C, and nothing into the store."""

    worker: SyncWorker
    documents: DocumentReader
    parked: ParkedEvents
    held: Callable[[InvoiceCard], InvoiceCard]  # what the portal's invoices can hold of a card

    def explain(self, ref: RecordRef) -> Explanation:
        """Errors: SyncError where it cannot be told, because a system or the store is away."""
        flows = RealFlows.of(self.worker.flows)
        trial = Trial(flows, documents=self.documents, held=self.held, now=self.worker.clock.now())
        link = self.worker.links.find(ref)
        names = names_of(ref, link)
        letters = {kind: self.worker.letters.of_record(kind, names) for kind in _KINDS[ref.type]}
        looks = tuple(self._looks(trial, ref, letters))
        waits = tuple(self._waits(ref.type, names))
        reasons = [link_reason(link, ref)]
        reasons += [text for letter in letters.values() if letter for text in letter_reasons(letter)]
        reasons += [text for _, text in waits]
        reasons += [text for look in looks for text in look_reasons(look, trial)]
        is_held = any(letter and letter.holds_back for letter in letters.values()) or any(
            is_long for is_long, _ in waits
        )
        failures = tuple(look.error for look in looks if look.error is not None)
        return Explanation(
            record=ref,
            link=link,
            state=state_of(ref, looks, trial, link=link, is_held=is_held),
            actions=tuple(trial.notes.actions),
            reasons=tuple(dict.fromkeys(self.worker.mask(text) for text in [*reasons, *absence(ref, trial)])),
            letters=tuple(letter for letter in letters.values() if letter),
            failures=failures,
            verdicts=tuple(verdict for look in looks for verdict in look.verdicts),
            words=words_of(trial, failures),
        )

    # --- where to look -----------------------------------------------------------------------------------------------

    def _looks(self, trial: Trial, ref: RecordRef, letters: Mapping[EntityKind, DeadLetter | None]) -> Iterator[Look]:
        kinds = _KINDS[ref.type]
        if kinds[0] in (EntityKind.LEAD, EntityKind.DEAL):
            yield from self._looks_at_sent(trial, ref, letters)
            return
        first = self._look(trial, kinds[0], ref, letters)
        yield first
        link = trial.links.find(ref)
        if link is not None and first.outcome in SETTLED:
            yield self._look(trial, kinds[0], link.other(ref), letters)

    def _looks_at_sent(
        self, trial: Trial, ref: RecordRef, letters: Mapping[EntityKind, DeadLetter | None]
    ) -> Iterator[Look]:
        """A lead or a deal is looked at on the portal; its order for its status, where 1C has something new to say."""
        kind = _KINDS[ref.type][0]
        document = self._document(trial, ref)
        sender = self._sender(ref, document)
        ours = trial.memories.get(kind, sender).sequence if sender else 0
        if sender is not None:
            yield self._look(trial, kind, sender, letters)
        if document is None or document.status is None:
            return
        # where our own write is the order's newest state, 1C announces nothing
        if document.sequence > ours or letters[EntityKind.STATUS] is not None:
            yield self._look(trial, EntityKind.STATUS, document.ref, letters)

    def _document(self, trial: Trial, ref: RecordRef) -> Document | None:
        """What 1C has of it."""
        type_ = RecordType.LEAD if ref.type is RecordType.LEAD else RecordType.ORDER
        if ref.system is System.ONEC:
            found = trial.documents.find(type_, external_id=None, known=ref)
            trial.notes.saw(ref, found)
            return found
        link = self.worker.links.find(ref)
        return trial.documents.find(type_, external_id=ref.external_id, known=link.onec if link else None)

    def _sender(self, ref: RecordRef, document: Document | None) -> RecordRef | None:
        """The lead or deal on the portal: by the link, else as 1C names it."""
        if ref.system is System.BITRIX24:
            return ref
        link = self.worker.links.find(ref)
        return link.bitrix24 if link else parse_external_id(document.external_id) if document else None

    def _look(
        self, trial: Trial, kind: EntityKind, ref: RecordRef, letters: Mapping[EntityKind, DeadLetter | None]
    ) -> Look:
        off = self.worker.capabilities.missing(kind)
        return Look(entity=kind, record=ref, off=off) if off else trial.look(kind, ref, letters[kind])

    def _waits(self, type_: RecordType, names: tuple[RecordRef, ...]) -> Iterator[tuple[bool, str]]:
        """(whether it is longer than doorbells are gathered, what to say) of each parked event."""
        now = self.worker.clock.now()
        for kind in _KINDS[type_]:
            for name in names:
                found = self.parked.find(kind, name)
                if found is not None:
                    at, reason = found
                    yield at > now + QUIET, f"an event of {name} is parked until {at:%Y-%m-%d %H:%M:%S} UTC: {reason}"


def state_of(ref: RecordRef, looks: tuple[Look, ...], trial: Trial, *, link: Link | None, is_held: bool) -> State:
    """The first State that fits."""
    after = trial.links.find(ref) if link else None
    errors = [look.error for look in looks if look.error is not None]
    found: tuple[tuple[bool, State], ...] = (
        (after is not None and after.deleted_in is not None, State.DELETED),
        (any(isinstance(error, LinkBroken) for error in errors), State.DELETED),
        (any(isinstance(error, FieldConflict) for error in errors), State.CONFLICTING),
        (any(isinstance(error, AmbiguousMatch) for error in errors), State.AMBIGUOUS),
        (is_held, State.PARKED),
        (link is None and ref in trial.notes.absent, State.GONE),
        (bool(looks) and looks[0].outcome is Outcome.SKIPPED, State.SKIPPED),
        (link is not None, State.LINKED),
    )
    return next((state for is_so, state in found if is_so), State.UNLINKED)


def absence(ref: RecordRef, trial: Trial) -> Iterator[str]:
    if ref in trial.notes.absent:
        yield f"{ref} is not there"


def words_of(trial: Trial, failures: tuple[SyncError, ...]) -> tuple[str, ...]:
    sought = [word for one in trial.notes.searches for word in (one.keys.inn or "", *one.keys.emails)]
    told = [word for error in failures for word in error.words]
    return tuple(dict.fromkeys(word for word in (*sought, *told) if word))
