"""Errors, classed by what happens next: wait, look, ask a person, or stop.

Remote errors are translated into these once, in each gateway's client. `cause` is the name that operators see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sync_worker.domain.identity import RecordRef


class SyncError(Exception):
    """The base of everything below. The class docstring says what happens next."""

    cause: ClassVar[str] = "error"

    def details(self) -> Mapping[str, Any]:
        """What a person needs beside the message; kept in the dead letter. Never secrets."""
        return {}


class TryLater(SyncError):
    """The same call may work later, without a person."""

    cause = "try_later"

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


class RecordBusy(TryLater):
    """Another task holds this record: come back in a moment. Uses up no attempt."""

    cause = "record_busy"


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


class OutcomeUnknown(SyncError):
    """A write's answer was lost: look whether it was done before anything is sent again."""

    cause = "outcome_unknown"


class NeedsPerson(SyncError):
    """Goes to the dead letters with what a person needs to decide."""

    cause = "needs_person"


class FieldConflict(NeedsPerson):
    """Both sides changed a shared field: a person says which value is right."""

    cause = "field_conflict"

    def __init__(self, conflicts: Mapping[str, Mapping[str, Any]]) -> None:
        """`conflicts`: field -> {"baseline", "bitrix24", "onec"}."""
        super().__init__(f"both sides changed: {', '.join(sorted(conflicts))}")
        self.conflicts = conflicts

    def details(self) -> Mapping[str, Any]:
        return {"fields": dict(self.conflicts)}


class AmbiguousMatch(NeedsPerson):
    """Several records match, or the one that matches belongs to another: a person picks."""

    cause = "ambiguous_match"

    def __init__(self, message: str, *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates

    def details(self) -> Mapping[str, Any]:
        return {"candidates": list(self.candidates)}


class LinkBroken(NeedsPerson):
    """The other record is gone or marked for deletion: a person decides what becomes of this one."""

    cause = "link_broken"


class RemoteRejected(NeedsPerson):
    """The remote refused what was sent, for a reason that waiting does not cure."""

    cause = "remote_rejected"

    def __init__(self, message: str, *, code: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field

    def details(self) -> Mapping[str, Any]:
        return {"code": self.code} | ({"field": self.field} if self.field else {})


class NoCounterparty(NeedsPerson):
    """The deal names nobody whom the rules let into 1C: give it a company or contact, or change the rules."""

    cause = "no_counterparty"


class OrderLocked(RemoteRejected):
    """1C has locked the order: unlock it there or take the deal's change back, then replay."""

    cause = "order_locked"


class StatusUnmapped(NeedsPerson):
    """No stage is named for this 1C status: add it to sync.toml (stages or ignore_statuses), then replay."""

    cause = "status_unmapped"


class DealClosed(NeedsPerson):
    """The deal is won or lost and may not be reopened by a 1C status (reopen_closed in sync.toml)."""

    cause = "deal_closed"


class StageRefused(NeedsPerson):
    """The portal did not move the deal: an unfilled required field, a right, or a stage that is not there."""

    cause = "stage_refused"


class BadEvent(SyncError):
    """It cannot be read: kept as it came, never retried."""

    cause = "bad_event"

    def __init__(self, message: str, *, raw: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.raw = raw or {}

    def details(self) -> Mapping[str, Any]:
        return {"raw": dict(self.raw)}


class Misconfigured(SyncError):
    """Credentials, a right or a setting is wrong: work is held back and the operator is told; no backlog is burnt."""

    cause = "misconfigured"


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
