"""What crosses the queue: change events and their schema, task and queue names, and the message itself.

The ingress imports this module and nothing else of the worker, so it must stay small and free of the worker's rules.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_dump, post_load

from sync_worker.domain.doorbell import CODES, Meaning, NoId, positive_id, read_doorbell
from sync_worker.domain.identity import EntityKind, Lane, RecordRef, RecordType, System

EXCHANGE = (
    "sync"  # a topic exchange: RabbitMQ's native delays ignore direct ones (reference: kombu native delayed delivery)
)
BROKER_KEY_PREFIX = "sync:"  # so that one Redis server can be shared, and its rights given by pattern
UPKEEP_QUEUE = "upkeep"
DEAD_EXCHANGE = "sync.dead"
DEAD_QUEUE = "dead"
"""On RabbitMQ: takes what the broker has given out DELIVERY_LIMIT times in vain. On Redis there is no such thing."""
DELIVERY_LIMIT = 20  # far above our own count of three crashes: each connection that breaks counts as well
CONFIRM_SECONDS = 5
"""So long a worker or a command waits until RabbitMQ has confirmed a message: one that hangs never does."""
RABBITMQ_QUEUE: Mapping[str, str | int] = MappingProxyType(
    {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        # the message stays in its queue until the dead one has confirmed it; that needs this kind of overflow
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
)
"""How every queue of work is declared on RabbitMQ, whoever does it: it refuses one queue in two forms."""
RABBITMQ_DEAD_QUEUE: Mapping[str, str | int] = MappingProxyType(
    # none in effect: nothing is behind this queue. Without a word RabbitMQ 4 would set one of 20, and then drop
    {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}
)
MISFIT_TASK = "sync.misfit"
RELEASE_TASK = "sync.release_parked"
REQUEUE_TASK = "sync.requeue_lost"
STOCK_TASK = "sync.take_stock"
REPLAY_TASK = "sync.advance_replays"
ALERT_TASK = "sync.send_alerts"
SWEEP_TASK = "sync.reconcile"
OFFLINE_TASK = "sync.read_offline_queue"
ACCEPTED_KEY = "accepted"
"""On Redis: a hash of the messages that were accepted and not yet handled, by task id.

A Redis worker takes a message out of its list before it notes that it holds it, so a Redis that dies in between loses
it. The ledger is written before the message is sent, and what is in neither place is sent again.
"""
EVENTS_TALLY_KEY = "sync:tally:events"
"""In the state's Redis: a hash, "<entity> <lane> <outcome>" -> how many events came to that."""
PUT_BACK_TALLY_KEY = "sync:tally:put_back"
"""In the state's Redis: a hash, a field's name -> how often its owner's value was put back."""
OFFLINE_TALLY_KEY = "sync:tally:offline"
"""In the state's Redis: a hash, what rows of the offline queue came to (sync/offline.py) -> how many."""
BUDGET_TALLY_KEY = "sync:tally:budget:bitrix24"
"""In the state's Redis: a hash, "<lane> <field of LaneUse>" -> a count, or seconds."""
BUDGET_STOCK_KEY = "sync:stock:budget:bitrix24"
"""In the state's Redis: a hash of how the budget stood some seconds ago (store/stock.py); gone when nobody looks."""
PARKED_KEY = "sync:parked:events"
SWEEP_DRIFT_KEY = "sync:sweep:drift"
"""In the state's Redis: a hash, an entity -> how many records the last sweep found that no event had announced."""
SWEEP_HELD_KEY = "sync:sweep:held"
"""In the state's Redis: a hash of sweep sources that wait until a person has said that what they found is right."""
DEAD_CAUSES_KEY = "sync:dead:causes"
"""In the state's Redis: a set; of each cause there is a sorted set of letters, `dead_cause_key`."""


def dead_cause_key(cause: str) -> str:
    return f"sync:dead:cause:{cause}"


def seen_key(events_key: str, entity: EntityKind) -> str:
    """Beside a hash of events (ACCEPTED_KEY, PARKED_KEY): a sorted set of its fields by the second each was seen at.

    With it the oldest is found without reading the others.
    """
    return f"{events_key}:seen:{entity}"


def task_name(entity: EntityKind) -> str:
    return f"sync.{entity}"


def queue_name(entity: EntityKind, lane: Lane = Lane.LIVE) -> str:
    """The queue of live work, or its twin for replay, backfill and sweeps."""
    return entity.value if lane is Lane.LIVE else f"{entity}.{lane}"


def lane_queues(lane: Lane) -> tuple[str, ...]:
    """The queues that one worker process takes from, so that bulk work never holds all the threads."""
    queues = tuple(queue_name(kind, lane) for kind in EntityKind)
    return (*queues, UPKEEP_QUEUE) if lane is Lane.LIVE else queues


def all_queues() -> tuple[str, ...]:
    return tuple(queue for lane in Lane for queue in lane_queues(lane))


class Change(StrEnum):
    CHANGED = "changed"  # added or changed: events do not tell reliably which
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class OnecState:
    """What a 1C event carries besides the name of the record: its whole new state.

    1C often cannot be called back, so the state travels with the event (contracts: Event).
    """

    data: Mapping[str, Any] | None  # as in the contract, by event type; None for a deletion
    sequence: int  # the base's write counter: of two states of one object the higher one counts
    version: str  # opaque data version, for if_version
    external_id: str | None  # the Bitrix24 record that 1C links it to
    event_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeEvent:
    """A doorbell: look at this record. Only 1C's events bring the record's state with them."""

    entity: EntityKind
    record: RecordRef
    change: Change = Change.CHANGED
    seen_at: datetime  # aware UTC, when the ingress received it; its age counts from here
    trace: str  # one id from the webhook to the document on the other side
    onec: OnecState | None = None
    attempts: int = 0  # tries that failed so far; waiting for the rate limit is no try
    letter: str | None = None  # the dead letter that this is a replay of
    lane: Lane = Lane.LIVE  # what it causes stays in its lane
    given_up: str | None = None  # what a person has given up: the same failure makes no letter again (letter.matter)
    whole: bool = False  # about a part of the record (requisite, address) or all of it: its card alone will not do

    @property
    def is_doorbell(self) -> bool:
        """True where it says no more than "look": of several the last one is as good as all."""
        return self.onec is None and self.change is Change.CHANGED

    @classmethod
    def load(cls, message: Mapping[str, Any]) -> ChangeEvent:
        """Read what `dump` wrote. marshmallow.ValidationError names what is wrong with it."""
        event = _EVENTS.load(message)
        assert isinstance(event, ChangeEvent)  # noqa: S101  # post_load makes it
        return event

    def dump(self) -> dict[str, Any]:
        return dict(_EVENTS.dump(self))

    def describe(self) -> str:
        """The ids only: what logs, Flower and Sentry may see of it."""
        return f"{self.entity} {self.record} {self.change} trace={self.trace}"


class _Strict(Schema):
    class Meta:
        unknown = EXCLUDE  # a newer ingress may send more than an older worker knows

    @post_dump
    def drop_nones(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {key: value for key, value in values.items() if value is not None}


class RecordRefSchema(_Strict):
    system = fields.Enum(System, by_value=True, required=True)
    type = fields.Enum(RecordType, by_value=True, required=True)
    id = fields.String(required=True)

    @post_load
    def build(self, values: dict[str, Any], **_: Any) -> RecordRef:
        return RecordRef(**values)


class OnecStateSchema(_Strict):
    data = fields.Dict(load_default=None, allow_none=True)
    sequence = fields.Integer(required=True)
    version = fields.String(required=True)
    external_id = fields.String(load_default=None, allow_none=True)
    event_id = fields.String(required=True)

    @post_load
    def build(self, values: dict[str, Any], **_: Any) -> OnecState:
        return OnecState(**values)


class ChangeEventSchema(_Strict):
    entity = fields.Enum(EntityKind, by_value=True, required=True)
    record = fields.Nested(RecordRefSchema, required=True)
    change = fields.Enum(Change, by_value=True, load_default=Change.CHANGED)
    seen_at = fields.AwareDateTime(format="iso", default_timezone=UTC, required=True)
    trace = fields.String(required=True)
    onec = fields.Nested(OnecStateSchema, load_default=None, allow_none=True)
    attempts = fields.Integer(load_default=0)
    letter = fields.String(load_default=None, allow_none=True)
    given_up = fields.String(load_default=None, allow_none=True)
    lane = fields.Enum(Lane, by_value=True, load_default=Lane.LIVE)
    whole = fields.Boolean(load_default=False)

    @post_load
    def build(self, values: dict[str, Any], **_: Any) -> ChangeEvent:
        return ChangeEvent(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """An authentic event that fits no schema: kept for a person, as it came, less its secrets."""

    system: System
    seen_at: datetime
    trace: str
    errors: Mapping[str, Any]  # what is wrong with it, by field
    raw: Mapping[str, Any]  # the body without tokens and signatures
    entity: EntityKind | None = None  # where it can be told
    event_id: str | None = None

    @classmethod
    def load(cls, message: Mapping[str, Any]) -> Misfit:
        misfit = _MISFITS.load(message)
        assert isinstance(misfit, Misfit)  # noqa: S101
        return misfit

    def dump(self) -> dict[str, Any]:
        return dict(_MISFITS.dump(self))

    def describe(self) -> str:
        return f"misfit from {self.system} trace={self.trace}"


class MisfitSchema(_Strict):
    system = fields.Enum(System, by_value=True, required=True)
    seen_at = fields.AwareDateTime(format="iso", default_timezone=UTC, required=True)
    trace = fields.String(required=True)
    errors = fields.Dict(required=True)
    raw = fields.Dict(required=True)
    entity = fields.Enum(EntityKind, by_value=True, load_default=None, allow_none=True)
    event_id = fields.String(load_default=None, allow_none=True)

    @post_load
    def build(self, values: dict[str, Any], **_: Any) -> Misfit:
        return Misfit(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """An authentic event that nobody handles: counted and let go."""

    code: str


Reading = ChangeEvent | Misfit | Ignored


def bitrix24_event(meaning: Meaning, id_: str, *, seen_at: datetime) -> ChangeEvent:
    """A doorbell of the portal's, whichever way it came."""
    return ChangeEvent(
        entity=meaning.entity,
        record=RecordRef(system=System.BITRIX24, type=meaning.type, id=id_),
        change=Change.DELETED if meaning.is_deleted else Change.CHANGED,
        seen_at=seen_at,
        trace=new_trace(),
        whole=meaning.whole,
    )


def bitrix24_misfit(
    raw: Mapping[str, Any], errors: Mapping[str, Any], *, seen_at: datetime, entity: EntityKind | None = None
) -> Misfit:
    return Misfit(system=System.BITRIX24, seen_at=seen_at, trace=new_trace(), errors=errors, raw=raw, entity=entity)


def read_bitrix24(
    code: str, fields: Mapping[str, Any], raw: Mapping[str, Any], *, seen_at: datetime, fields_at: str = "data[FIELDS]"
) -> Reading:
    """What an authentic event of the portal says. `raw` is all of it but its secrets; `fields_at`: where they stood."""
    if not code:
        return bitrix24_misfit(raw, {"event": ["no event code"]}, seen_at=seen_at)
    bell = read_doorbell(code, fields)
    if bell is None:
        return Ignored(code=code)
    if isinstance(bell, NoId):
        wrong = {f"{fields_at}[{bell.field}]": ["missing, or not a positive integer"]}
        return bitrix24_misfit(raw, wrong, seen_at=seen_at, entity=bell.entity)
    return bitrix24_event(bell.meaning, bell.id, seen_at=seen_at)


_EVENTS = ChangeEventSchema()  # made once: building a schema takes longer than using it
_MISFITS = MisfitSchema()


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMessage:
    """A task as it lies in the queue (Celery's message protocol 2), ready for a kombu producer."""

    queue: str
    body: tuple[list[Any], dict[str, Any], dict[str, Any]]  # args, kwargs, embed
    headers: dict[str, Any]
    correlation_id: str


def event_message(event: ChangeEvent) -> TaskMessage:
    """The message that makes a worker look at `event.record`, for the queue of its lane."""
    queue = queue_name(event.entity, event.lane)
    return _message(task_name(event.entity), queue, {"event": event.dump()}, event.describe())


def misfit_message(misfit: Misfit) -> TaskMessage:
    """The message that files an unreadable event as a dead letter."""
    return _message(MISFIT_TASK, UPKEEP_QUEUE, {"misfit": misfit.dump()}, misfit.describe())


def _message(task: str, queue: str, kwargs: dict[str, Any], shown: str) -> TaskMessage:
    task_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": shown,  # ids only: Flower and the logs show this, never the content
        "origin": "sync",
        "ignore_result": True,
    }
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return TaskMessage(queue=queue, body=([], kwargs, embed), headers=headers, correlation_id=task_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """One entry of the ledger: all that it takes to send the message again."""

    at: float  # Unix time
    task: str
    queue: str
    kwargs: Mapping[str, Any]
    shown: str  # kwargsrepr

    @classmethod
    def of(cls, message: TaskMessage, *, at: float) -> Accepted:
        return cls(
            at=at,
            task=message.headers["task"],
            queue=message.queue,
            kwargs=message.body[1],
            shown=message.headers["kwargsrepr"],
        )

    @classmethod
    def load(cls, text: str) -> Accepted:
        return cls(**json.loads(text))

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))  # ASCII: a lone surrogate has no UTF-8

    @property
    def seen(self) -> tuple[EntityKind, float] | None:
        """What it is about, and the Unix time at which that was seen; None where it is no event."""
        match self.kwargs.get("event"):
            case {"entity": str() as entity, "seen_at": str() as seen_at}:
                return EntityKind(entity), datetime.fromisoformat(seen_at).timestamp()
        return None


def seen_marks(accepted: Mapping[str, Accepted]) -> dict[str, dict[str, float]]:
    """What belongs into the sorted sets beside the ledger (`seen_key`): task ids with their seconds, by key."""
    marks: dict[str, dict[str, float]] = {}
    for task_id, one in accepted.items():
        if one.seen is not None:
            entity, second = one.seen
            marks.setdefault(seen_key(ACCEPTED_KEY, entity), {})[task_id] = second
    return marks


def explain_refusal(reply: str) -> str:
    """What to do where RabbitMQ answers `reply` (406) to a declaration: the queue is there in another form."""
    named = re.search(r"queue '([^']*)'", reply)
    queue = f"the queue {named[1]}" if named else "a queue"
    return (
        f"RabbitMQ has {queue} in a form that this version does not declare, most likely from an older version. "
        "Let the workers of that version empty all queues, stop them, delete the queues and start again: "
        f"docs/operations.md, 'Queues of an older version'. RabbitMQ's own words: {reply}"
    )


def new_trace() -> str:
    return uuid.uuid4().hex


__all__ = [
    "ACCEPTED_KEY",
    "ALERT_TASK",
    "BROKER_KEY_PREFIX",
    "BUDGET_STOCK_KEY",
    "BUDGET_TALLY_KEY",
    "CODES",
    "CONFIRM_SECONDS",
    "DEAD_CAUSES_KEY",
    "DEAD_EXCHANGE",
    "DEAD_QUEUE",
    "DELIVERY_LIMIT",
    "EVENTS_TALLY_KEY",
    "EXCHANGE",
    "MISFIT_TASK",
    "OFFLINE_TALLY_KEY",
    "OFFLINE_TASK",
    "PARKED_KEY",
    "PUT_BACK_TALLY_KEY",
    "RABBITMQ_DEAD_QUEUE",
    "RABBITMQ_QUEUE",
    "RELEASE_TASK",
    "REPLAY_TASK",
    "REQUEUE_TASK",
    "STOCK_TASK",
    "SWEEP_DRIFT_KEY",
    "SWEEP_HELD_KEY",
    "SWEEP_TASK",
    "UPKEEP_QUEUE",
    "Accepted",
    "Change",
    "ChangeEvent",
    "EntityKind",
    "Ignored",
    "Lane",
    "Misfit",
    "OnecState",
    "Reading",
    "RecordRef",
    "RecordType",
    "System",
    "TaskMessage",
    "ValidationError",
    "all_queues",
    "bitrix24_event",
    "bitrix24_misfit",
    "dead_cause_key",
    "event_message",
    "explain_refusal",
    "lane_queues",
    "misfit_message",
    "new_trace",
    "positive_id",
    "queue_name",
    "read_bitrix24",
    "seen_key",
    "seen_marks",
    "task_name",
]
