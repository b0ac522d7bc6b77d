"""1C's signed events: did 1C sign these bytes, and what does each event in them say? Nothing else.

Source: contracts/onec-exchange.openapi.yaml, webhook onecEvents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import Schema
from standardwebhooks import Webhook, WebhookVerificationError

from ingress.answers import unauthorized, unreadable
from ingress.onec_schemas import (
    CounterpartySchema,
    EventHeadSchema,
    InvoiceSchema,
    OrderStateSchema,
    OrderStatusSchema,
)
from sync_worker.contract import (
    Change,
    ChangeEvent,
    EntityKind,
    Misfit,
    OnecState,
    RecordRef,
    RecordType,
    System,
    new_trace,
)

MAX_EVENTS = 500  # contracts: events.maxItems
MAX_JSON_DEPTH = 32  # levels; the contract needs 6, and the queue's encoder has to write it again


@dataclass(frozen=True, kw_only=True, slots=True)
class EventType:
    """What a type of event says of the object it names."""

    entity: EntityKind
    type: RecordType
    data: Schema | None = None  # of the state it carries; None for a deletion

    @property
    def change(self) -> Change:
        return Change.DELETED if self.data is None else Change.CHANGED


_HEAD = EventHeadSchema()

EVENT_TYPES: Mapping[str, EventType] = {
    "counterparty.changed": EventType(
        entity=EntityKind.CONTACT, type=RecordType.COUNTERPARTY, data=CounterpartySchema()
    ),
    "counterparty.deleted": EventType(entity=EntityKind.CONTACT, type=RecordType.COUNTERPARTY),
    "invoice.changed": EventType(entity=EntityKind.INVOICE, type=RecordType.INVOICE, data=InvoiceSchema()),
    "invoice.deleted": EventType(entity=EntityKind.INVOICE, type=RecordType.INVOICE),
    "order.status_changed": EventType(entity=EntityKind.STATUS, type=RecordType.ORDER, data=OrderStatusSchema()),
    "order.changed": EventType(entity=EntityKind.STATUS, type=RecordType.ORDER, data=OrderStateSchema()),
    "order.deleted": EventType(entity=EntityKind.STATUS, type=RecordType.ORDER),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """An event that fits no schema, by its place in the request."""

    index: int
    misfit: Misfit

    def answer(self) -> dict[str, Any]:
        return {"index": self.index, "id": self.misfit.event_id, "errors": self.misfit.errors}


def verify_signature(body: bytes, headers: Mapping[str, str], secrets: Iterable[str]) -> None:
    """Raise a 401 refusal unless one of `secrets` signed these very bytes within the last five minutes."""
    signed = [_is_signed(body, headers, secret) for secret in secrets]  # all of them, so that time tells nothing
    if not any(signed):
        raise unauthorized(
            "the signature is missing, wrong or more than 5 minutes old; check the secret and the clock of the base"
        )


def _is_signed(body: bytes, headers: Mapping[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a body that is no UTF-8, or a header that is no list of `v1,<base64>`
        return False
    return True


def parse_events(body: bytes) -> list[Any]:
    """The request's list of events, none of them looked into yet. Errors: a 400 refusal, and nothing is taken."""
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise unreadable("the body is not JSON in UTF-8") from error
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise unreadable('there is no list of events; send {"events": [...]}')
    if len(events) > MAX_EVENTS:
        raise unreadable(f"there are {len(events)} events; send at most {MAX_EVENTS} in one request")
    if not _is_within(events, MAX_JSON_DEPTH):
        raise unreadable(f"the events are nested deeper than {MAX_JSON_DEPTH} levels")
    return events


def read_events(events: Iterable[Any], *, seen_at: datetime) -> tuple[list[ChangeEvent], list[Rejected]]:
    """What each event says, in the order sent: the good ones, and those that go to a person."""
    good: list[ChangeEvent] = []
    bad: list[Rejected] = []
    for index, raw in enumerate(events):
        errors = _errors_of(raw)
        if errors:
            bad.append(Rejected(index=index, misfit=_misfit(raw, errors, seen_at)))
        else:
            good.append(_event(raw, seen_at))
    return good, bad


def _errors_of(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        return {"event": ["Not an object."]}
    errors: dict[str, Any] = dict(_HEAD.validate(raw))
    if "type" in errors:
        return errors
    type_ = EVENT_TYPES.get(raw["type"])
    if type_ is None:
        return {**errors, "type": ["Nobody handles this type of event."]}
    if type_.data is None:
        return errors
    return {**errors, **_data_errors(raw, type_.data)}


def _data_errors(raw: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    if not isinstance(raw.get("data"), dict):
        return {"data": ["Missing, or not an object."]}
    errors = schema.validate(raw["data"])
    return {"data": errors} if errors else {}


def _event(raw: Mapping[str, Any], seen_at: datetime) -> ChangeEvent:
    type_ = EVENT_TYPES[raw["type"]]
    state = OnecState(
        data=None if type_.data is None else raw["data"],
        sequence=int(raw["sequence"]),  # 7.0 is an integer in JSON
        version=raw["version"],
        external_id=raw["external_id"],
        event_id=raw["id"],
    )
    return ChangeEvent(
        entity=type_.entity,
        record=RecordRef(system=System.ONEC, type=type_.type, id=raw["ref"].lower()),
        change=type_.change,
        seen_at=seen_at,
        trace=new_trace(),
        onec=state,
    )


def _misfit(raw: Any, errors: Mapping[str, Any], seen_at: datetime) -> Misfit:
    event = raw if isinstance(raw, dict) else {"event": raw}
    id_, name = event.get("id"), event.get("type")
    type_ = EVENT_TYPES.get(name) if isinstance(name, str) else None
    return Misfit(
        system=System.ONEC,
        seen_at=seen_at,
        trace=new_trace(),
        errors=errors,
        raw=event,
        entity=type_.entity if type_ else None,
        event_id=id_ if isinstance(id_, str) else None,
    )


def _is_within(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_within(item, levels - 1) for item in inner)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number
