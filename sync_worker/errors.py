"""Errors, classed by what happens next: wait, look, ask a person, or stop.

Remote errors are translated into these once, in each gateway's client. `cause` is the name that operators see.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from sync_worker.domain.identity import RecordRef


class SyncError(Exception):
    """The base of everything below. The class docstring says what happens next."""

    cause: ClassVar[str] = "error"
    advice: ClassVar[str] = "Look into the log for the traceback, and tell us. Replay after the fix."
    """What the person who finds the dead letter does next."""
    holds_back: ClassVar[bool] = True
    """False: all was done, and the letter is a notice; the record's later events go on."""
    words: tuple[str, ...] = ()
    """What the record may be sought by beside its ids: its ИНН, its e-mails."""
    about: RecordRef | None = None
    """The record that it is about, where that is another than the event's: merged cards, a person's decision."""
    done: Mapping[str, Any] = MappingProxyType({})
    """What had been done for the event until it failed: as StoryEntry.facts has it."""

    @property
    def topic(self) -> str:
        """What letters of this cause are grouped by. Nothing that belongs to one record alone."""
        return ""

    def details(self) -> Mapping[str, Any]:
        """What a person needs beside the message; kept in the dead letter. Never secrets."""
        return {}


class TryLater(SyncError):
    """The same call may work later, without a person."""

    cause = "try_later"
    advice = "See to what it waited for, then replay."

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(TryLater):
    """Wait for the budget. Uses up no attempt."""

    cause = "rate_limited"


class RemoteUnavailable(TryLater):
    """Wait for the remote: timeouts on reads, 5xx, 1C closed for maintenance."""

    cause = "remote_unavailable"


class CircuitOpen(TryLater):
    """The remote is down or has shut us out: work is held back, one call probes, neither attempts nor age count."""

    cause = "circuit_open"


class StoreUnavailable(TryLater):
    """Wait for our own Redis."""

    cause = "store_unavailable"


class QueueRefused(StoreUnavailable):
    """RabbitMQ has a queue in another form than ours, and takes nothing for it: a person has to see to that."""

    cause = "queue_refused"
    advice = "Have the queues made anew: docs/operations.md, 'Queues of an older version'."


class RecordBusy(TryLater):
    """Another task holds this record: come back in a moment. Uses up no attempt."""

    cause = "record_busy"


class LeaseLost(RecordBusy):
    """This task stood still for so long that another may hold the record by now: nothing more was written."""

    cause = "lease_lost"


class VersionMoved(TryLater):
    """The record changed between our read and our write: read again."""

    cause = "version_moved"


class NotYetLinked(TryLater):
    """Send the needed record first, then come back."""

    cause = "not_yet_linked"

    def __init__(self, message: str, *, need: RecordRef | None = None) -> None:
        super().__init__(message)
        self.need = need

    def details(self) -> Mapping[str, Any]:
        return {"need": str(self.need)} if self.need else {}

    @property
    def topic(self) -> str:
        return str(self.need.type) if self.need else ""


class OutcomeUnknown(SyncError):
    """A write's answer was lost: look whether it was done before anything is sent again."""

    cause = "outcome_unknown"
    advice = "Look whether the other side has it, then replay: what is there already is found and not made twice."


class NeedsPerson(SyncError):
    """Goes to the dead letters with what a person needs to decide."""

    cause = "needs_person"
    advice = "Mend what the message names, then replay."


class FieldConflict(NeedsPerson):
    """Both sides changed a shared field: a person says which value is right."""

    cause = "field_conflict"
    advice = "Say for each field which value is right."

    def __init__(self, conflicts: Mapping[str, Mapping[str, Any]]) -> None:
        """`conflicts`: field -> {"baseline", "bitrix24", "onec"}."""
        super().__init__(f"both sides changed: {', '.join(sorted(conflicts))}")
        self.conflicts = conflicts

    def details(self) -> Mapping[str, Any]:
        return {"fields": dict(self.conflicts)}

    @property
    def topic(self) -> str:
        return ", ".join(sorted(self.conflicts))


class AmbiguousMatch(NeedsPerson):
    """Several records match, or the one that matches belongs to another: a person picks."""

    cause = "ambiguous_match"
    advice = "Pick the record that is the same one, or say that none is and a new one is to be made."

    def __init__(self, message: str, *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates

    def details(self) -> Mapping[str, Any]:
        return {"candidates": list(self.candidates)}


class InvalidKey(AmbiguousMatch):
    """The ИНН is none, so that the record can be matched with nobody: a person mends it, or picks the partner."""

    cause = "invalid_key"
    advice = "Mend the ИНН on the card and replay; or pick the partner; or have a new record made without a match."


class MergedAway(AmbiguousMatch):
    """Two linked records were merged on the portal, so that 1C has two for one: a person says which it keeps."""

    cause = "merged_away"
    advice = "Merge the two in 1C as well, then pick the one that is left."

    def __init__(self, message: str, *, candidates: tuple[str, ...], gone: RecordRef, heir: RecordRef) -> None:
        """`candidates`: in 1C. `gone` was merged into `heir`."""
        super().__init__(message, candidates=candidates)
        self.gone = gone
        self.heir = heir

    def details(self) -> Mapping[str, Any]:
        return {**AmbiguousMatch.details(self), "gone": str(self.gone), "subject": str(self.heir)}


class LinkBroken(NeedsPerson):
    """The other record is gone or marked for deletion: a person decides what becomes of this one."""

    cause = "link_broken"
    advice = "Restore the record and replay; or name the one that takes its place; or discard, and nothing is done."

    def __init__(self, message: str, *, gone: RecordRef | None = None, left: RecordRef | None = None) -> None:
        """`gone`: the record that was deleted, and `left`, its partner, which was not; None where it is not known."""
        super().__init__(message)
        self.gone = gone
        self.left = left

    def details(self) -> Mapping[str, Any]:
        named = {"gone": self.gone, "subject": self.left}
        return {name: str(ref) for name, ref in named.items() if ref is not None}

    @property
    def topic(self) -> str:
        return f"{self.gone.type} gone in {self.gone.system}" if self.gone else ""


class RemoteRejected(NeedsPerson):
    """The remote refused what was sent, for a reason that waiting does not cure."""

    cause = "remote_rejected"
    advice = "Mend the field that the message names, then replay."

    def __init__(self, message: str, *, code: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field

    def details(self) -> Mapping[str, Any]:
        return {"code": self.code} | ({"field": self.field} if self.field else {})

    @property
    def topic(self) -> str:
        return " ".join(part for part in (self.code, self.field) if part)


class NoCounterparty(NeedsPerson):
    """The deal names nobody whom the rules let into 1C: give it a company or contact, or change the rules."""

    cause = "no_counterparty"
    advice = "Give the deal a company or contact that the rules let into 1C, then replay."


class OrderLocked(RemoteRejected):
    """1C has locked the order: unlock it there or take the deal's change back, then replay."""

    cause = "order_locked"
    advice = "Unlock the order in 1C or take the deal's change back, then replay."


class TotalMismatch(NeedsPerson):
    """The order was written, and comes to another sum in 1C than the deal does: a notice to who keeps the books."""

    cause = "total_mismatch"
    advice = (
        "Compare rows, discounts and VAT on both sides; the next write compares again. Or allow it: total_tolerance."
    )
    holds_back = False

    def __init__(self, message: str, *, deal: str, order: str) -> None:
        """Both sums as decimal text."""
        super().__init__(message)
        self.deal = deal
        self.order = order

    def details(self) -> Mapping[str, Any]:
        return {"totals": {"bitrix24": self.deal, "onec": self.order}}


class StatusUnmapped(NeedsPerson):
    """No stage is named for this 1C status: add it to sync.toml (stages or ignore_statuses), then replay."""

    cause = "status_unmapped"
    advice = "Name the status in sync.toml (stages or ignore_statuses), restart the workers, then replay."

    def __init__(self, message: str, *, status: str = "") -> None:
        super().__init__(message)
        self.status = status

    @property
    def topic(self) -> str:
        return self.status


class DealClosed(NeedsPerson):
    """The deal is won or lost and may not be reopened by a 1C status (reopen_closed in sync.toml)."""

    cause = "deal_closed"
    advice = "Say that the deal may be reopened, or discard. Always so: reopen_closed in sync.toml."


class StageRefused(NeedsPerson):
    """The portal did not move the deal: an unfilled required field, a right, or a stage that is not there."""

    cause = "stage_refused"
    advice = "Do what the portal's words ask for, then replay."


class RequiredFieldEmpty(StageRefused):
    """The portal wants a field filled before the card may stand at this stage: somebody fills it, then replays."""

    cause = "required_field"
    advice = "Fill the field that the portal asks for on the card, then replay."

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    @property
    def topic(self) -> str:
        return self.field or ""


class StageUnknown(StageRefused):
    """The stage that sync.toml names is none of this pipeline's: correct it there, then replay."""

    cause = "stage_unknown"
    advice = (
        "Name a stage of this pipeline in sync.toml (`doctor` lists what is wrong), restart the workers, then replay."
    )


class WorkerCrash(SyncError):
    """The event killed its worker again and again: it is kept here, so that it does so no more."""

    cause = "worker_crash"
    advice = "Look into the system's log for what killed the worker (memory?), tell us, and replay after the fix."


class BadEvent(SyncError):
    """It cannot be read: kept as it came, never retried."""

    cause = "bad_event"
    advice = "Look at what came, mend its sender, then discard. Nothing of it can be sent again."

    def __init__(self, message: str, *, raw: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.raw = raw or {}

    def details(self) -> Mapping[str, Any]:
        return {"raw": dict(self.raw)}


class Misconfigured(SyncError):
    """Credentials, a right or a setting is wrong: work is held back and the operator is told; no backlog is burnt."""

    cause = "misconfigured"
    advice = "Mend the setting, right or credential that the message names. All goes on by itself."


class ShutOut(Misconfigured):
    """The portal lets us do nothing at all: blocked, expired, unpaid or moved. One alarm, and a probe now and then."""

    cause = "shut_out"


def all_causes() -> dict[str, type[SyncError]]:
    """Every cause a dead letter may have, with its class (for docs and `dead list`)."""
    found: dict[str, type[SyncError]] = {}
    queue: list[type[SyncError]] = [SyncError]
    while queue:
        parent = queue.pop()
        for child in parent.__subclasses__():
            found[child.cause] = child
            queue.append(child)
    return found
