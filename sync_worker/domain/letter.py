"""Dead letters: events that wait for a person, what that person decides, and who did what with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.values import fingerprint


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a person made of one field in conflict. It holds only while both sides still say what that person saw."""

    value: Any  # what both sides are to have
    bitrix24: Any  # what was seen there
    onec: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a person decided. The next replay of the letter carries it out; what is blank was not decided."""

    fields: Mapping[str, Choice] = field(default_factory=dict)
    pick: RecordRef | None = None  # this record is the partner, whatever else it is linked to
    create: bool = False  # none of the candidates is: make a new record; of a broken link: forget it and begin anew
    reopen: bool = False  # a closed deal may be moved
    rejected: tuple[RecordRef, ...] = ()  # with `create`: the candidates that were offered, and are others

    @property
    def is_blank(self) -> bool:
        return self == NOTHING_DECIDED


NOTHING_DECIDED = Decision()


class Act(StrEnum):
    """What a person may do."""

    RESOLVED = "resolved"
    REPLAYED = "replayed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"  # a replay


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Who did what, and when."""

    at: datetime
    by: str  # a login of Flower, or user@host of the command line
    act: Act
    letter: str = ""  # its id; blank where the deed is about many
    entity: str = ""
    record: RecordRef | None = None
    cause: str = ""
    note: str = ""  # a reason, the names of the decided fields, how many letters. Never values


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An event that waits for a person, with its reason. Never expires by itself."""

    id: str
    entity: str
    record: RecordRef | None  # None where the event could not be read that far
    partner: RecordRef | None  # the linked record on the other side
    cause: str
    message: str  # the remote's words or ours, masked
    details: Mapping[str, Any]  # both values, candidates ... as the cause needs
    event: Mapping[str, Any]  # the newest event of the record, ready to be replayed
    attempts: int
    first_at: datetime
    last_at: datetime
    waiting: int = 0  # later events of this record that are parked behind it
    trace: str = ""
    code_version: str = ""
    topic: str = ""  # what letters of one cause are grouped by: names of fields, a status, a remote's code
    words: tuple[str, ...] = ()  # what it is found by beside ids: ИНН, e-mails
    holds_back: bool = True  # False: a notice; the record's later events go on
    decision: Decision | None = None  # not carried out yet
    sent_at: datetime | None = None  # it is being replayed since then
    run: str = ""  # the replay that sent it; blank where it was sent on its own
    deeds: tuple[Deed, ...] = ()  # the newest last


def matter(letter: DeadLetter) -> str:
    """A fingerprint of what the letter is about: the same failure over the same values, whenever it happened."""
    return fingerprint({"cause": letter.cause, "message": letter.message, "details": letter.details})


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which letters: those named, else all that every given filter lets through."""

    ids: tuple[str, ...] = ()
    cause: str | None = None
    entity: str | None = None
    group: str | None = None  # a Group's id


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Letters of one entity, cause and topic: "412 invoices: no counterparty for ИНН ..."."""

    id: str  # short, made of the three below
    entity: str
    cause: str
    topic: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayRun:
    """A replay of many letters, in the order of their first failures, at a bounded pace."""

    id: str
    by: str
    at: datetime
    selection: Selection
    total: int
    pending: int = 0  # not sent yet
    under_way: int = 0  # sent, without an outcome
    closed: int = 0  # their letters are gone
    failed: int = 0  # their letters are back
    skipped: int = 0  # gone, or sent by somebody else, before their turn
    cancelled_at: datetime | None = None
    cancelled_by: str = ""

    @property
    def is_over(self) -> bool:
        return self.pending == 0 and self.under_way == 0
