"""Telling people that dead letters wait for them: one message per cause, with the next step, no more than needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sync_worker.domain.alert import Told
from sync_worker.errors import RecordBusy, RemoteRejected, RemoteUnavailable, SyncError, all_causes
from sync_worker.sync.ports import Clock, DeadLetters, Locks

logger = logging.getLogger(__name__)

GROWTH = 10  # so many times the letters that were told of are news
REMIND_AFTER = timedelta(days=1)
LOCK = "alerts"


class Reason(StrEnum):
    """Why a message is due."""

    NEW = "new"
    GROWN = "grown"
    STILL_THERE = "still_there"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One message about all letters of one cause. It names no record."""

    cause: str
    count: int
    reason: Reason

    @property
    def text(self) -> str:
        advice = all_causes().get(self.cause, SyncError).advice
        return (
            f"{_LEAD[self.reason]}{_counted(self.count)}: {self.cause}. Next: {advice}"
            f" See `sync-worker dead list --cause {self.cause}` or Flower's Dead letters."
        )

    def message(self) -> dict[str, str | int]:
        """As chats take it: Slack, Mattermost and Rocket.Chat show `text`, the rest is for other receivers."""
        return {"text": self.text, "cause": self.cause, "count": self.count, "reason": self.reason.value}


_LEAD = {Reason.NEW: "", Reason.GROWN: "Now ", Reason.STILL_THERE: "Still "}


class Alarms(Protocol):
    """What was told, by cause; it outlives this process."""

    def told(self) -> Mapping[str, Told]: ...

    def note(self, cause: str, told: Told) -> None: ...

    def forget(self, causes: Collection[str]) -> None: ...


class Receiver(Protocol):
    """Where messages are sent to."""

    def post(self, message: Mapping[str, str | int]) -> None:
        """Errors: RemoteUnavailable, where no message would be taken now; RemoteRejected, where this one was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertSender:
    """One round looks at the letters and tells what is due. Rounds of several processes never overlap."""

    letters: DeadLetters
    alarms: Alarms
    receiver: Receiver
    locks: Locks
    clock: Clock

    def send_due(self) -> int:
        """Tell what is due; how many messages were taken. What was not is tried again in the next round.

        Errors: StoreUnavailable. A message whose sending could not be noted is sent again.
        """
        try:
            with self.locks.hold(LOCK):
                return self._send_due()
        except RecordBusy:  # another process is at it
            return 0

    def _send_due(self) -> int:
        counts, told, now = self.letters.count_by_cause(), self.alarms.told(), self.clock.now()
        self.alarms.forget(settled(counts, told))
        sent = 0
        for alert in due(counts, told, now):
            try:
                self.receiver.post(alert.message())
            except RemoteUnavailable as error:
                logger.warning("nobody was told of dead letters of %s: %s", alert.cause, error)
                break  # nor would it take the others
            except RemoteRejected as error:
                logger.warning("nobody was told of dead letters of %s: %s", alert.cause, error)
            else:
                self.alarms.note(alert.cause, Told(count=alert.count, at=now))
                sent += 1
        return sent


def due(counts: Mapping[str, int], told: Mapping[str, Told], now: datetime) -> list[Alert]:
    """What people have to be told, by the names of the causes. `counts`: letters of each cause."""
    found = ((cause, count, _reason(count, told.get(cause), now)) for cause, count in sorted(counts.items()))
    return [Alert(cause=cause, count=count, reason=reason) for cause, count, reason in found if reason is not None]


def _reason(count: int, told: Told | None, now: datetime) -> Reason | None:
    if count < 1:
        return None
    if told is None:
        return Reason.NEW
    if count >= told.count * GROWTH:
        return Reason.GROWN
    return Reason.STILL_THERE if now - told.at >= REMIND_AFTER else None


def settled(counts: Mapping[str, int], told: Mapping[str, Told]) -> set[str]:
    """Causes that people were told of and that have no letters any more: the next letter is news again."""
    return {cause for cause in told if not counts.get(cause)}


def _counted(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"
