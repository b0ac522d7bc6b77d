"""The ingress's own description for machines, made from the very schemas that check what comes in."""

from __future__ import annotations

import json
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from ingress.onec import EVENT_TYPES, MAX_EVENTS
from ingress.onec_schemas import (
    CounterpartySchema,
    EventHeadSchema,
    InvoiceSchema,
    OrderStateSchema,
    OrderStatusSchema,
)

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_DATA_SCHEMAS = {
    "Counterparty": CounterpartySchema,
    "Invoice": InvoiceSchema,
    "OrderStatus": OrderStatusSchema,
    "OrderState": OrderStateSchema,
}
_TEXT = {"type": "string"}
_REFUSALS = {
    "400": "Nothing readable in it",
    "401": "Wrong token or signature",
    "413": "Larger than 1 MiB",
    "415": "Wrong content type",
    "503": "Neither the queue nor the spool can take it; send the same again after Retry-After",
}


def build_openapi() -> dict[str, Any]:
    """The OpenAPI document as plain JSON values."""
    spec = APISpec(
        title="Bitrix24 and 1C exchange: ingress",
        version="1.0",
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin()],
        info={"description": "Takes the webhooks of Bitrix24 and 1C. Every error answer has the shape of Error."},
    )
    _add_schemas(spec)
    spec.path("/webhooks/bitrix24", operations={"post": _bitrix24_operation()})
    spec.path("/webhooks/bitrix24/robot", operations={"get": _robot_operation(), "post": _robot_post_operation()})
    spec.path("/webhooks/1c", operations={"post": _onec_operation()})
    for path, (summary, answers) in _PROBES.items():
        spec.path(path, operations={"get": {"summary": summary, "responses": answers}})
    document: dict[str, Any] = json.loads(json.dumps(spec.to_dict()))
    return document


def _add_schemas(spec: APISpec) -> None:
    spec.components.schema("EventHead", schema=EventHeadSchema)
    for name, schema in _DATA_SCHEMAS.items():
        spec.components.schema(name, schema=schema)
    spec.components.schema("Event", {"allOf": [_ref("EventHead"), {"oneOf": [*map(_event_variant, EVENT_TYPES)]}]})
    spec.components.schema("Error", _object({"error": _TEXT, "message": _TEXT}, required=["error", "message"]))
    spec.components.schema("Accepted", _ACCEPTED)
    spec.components.schema("Readiness", _READINESS)
    spec.components.schema("Bitrix24Event", _BITRIX24_EVENT)
    spec.components.schema("OnecAccepted", _ONEC_ACCEPTED)


def _event_variant(name: str) -> dict[str, Any]:
    kind = {"type": {"const": name}}
    data = EVENT_TYPES[name].data
    if data is None:
        return _object(kind)
    return _object({**kind, "data": _ref(type(data).__name__.removesuffix("Schema"))}, required=["data"])


def _bitrix24_operation() -> dict[str, Any]:
    return {
        "summary": "An event of an outgoing webhook",
        "requestBody": {"required": True, "content": {_FORM: {"schema": _ref("Bitrix24Event")}}},
        "responses": _responses("Accepted"),
    }


def _robot_operation() -> dict[str, Any]:
    return {
        "summary": "A robot or a business process names the record it stands on",
        "parameters": [
            {"name": name, "in": "query", "required": name == "secret", "schema": _TEXT}
            for name in ("secret", "document_id[2]", "deal_id", "lead_id")
        ],
        "responses": _responses("Accepted"),
    }


def _robot_post_operation() -> dict[str, Any]:
    names = ("document_id[0]", "document_id[1]", "document_id[2]", "deal_id", "lead_id", "auth[application_token]")
    body = {"required": False, "content": {_FORM: {"schema": _object(dict.fromkeys(names, _TEXT))}}}
    return {**_robot_operation(), "requestBody": body}


def _onec_operation() -> dict[str, Any]:
    events = {"type": "array", "maxItems": MAX_EVENTS, "items": _ref("Event")}
    return {
        "summary": "Signed events of the 1C base (Standard Webhooks)",
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": _TEXT}
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": _object({"events": events}, required=["events"])}},
        },
        "responses": _responses("OnecAccepted"),
    }


def _responses(accepted: str) -> dict[str, Any]:
    refusals = {status: _answer(text, "Error") for status, text in _REFUSALS.items()}
    return {"202": _answer("All of it is safe", accepted), **refusals}


def _answer(text: str, schema: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": _ref(schema)}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


_ACCEPTED = _object(
    {
        "status": {
            "enum": ["queued", "spooled", "kept", "ignored"],
            "description": "queued and spooled: safe, and on its way; kept: authentic, but fits no schema, so a person "
            "decides; ignored: nobody handles it",
        },
        "trace": _TEXT,
    },
    required=["status"],
)
_READINESS = _object(
    {
        "status": {"enum": ["ready", "degraded"]},
        "spooled": {"type": "integer"},
        "troubles": {"type": "array", "items": _TEXT},
        "oldest_seconds": {"type": "object", "additionalProperties": {"type": "number"}},
        "queued": {"type": "object", "additionalProperties": {"type": "integer"}},
        "parked": {"type": "integer"},
        "dead_letters": {"type": "integer"},
    },
    required=["status"],
)
_BITRIX24_EVENT = _object(
    {
        "event": {"type": "string", "examples": ["ONCRMDEALUPDATE"]},
        "data[FIELDS][ID]": {"type": "string", "examples": ["42"]},
        "data[FIELDS][ENTITY_TYPE_ID]": _TEXT,
        "data[FIELDS][ENTITY_ID]": _TEXT,
        "data[FIELDS][ANCHOR_TYPE_ID]": _TEXT,
        "data[FIELDS][ANCHOR_ID]": _TEXT,
        "ts": _TEXT,
        "auth[application_token]": _TEXT,
    },
    required=["event", "auth[application_token]"],
)
_ONEC_ACCEPTED = _object(
    {
        "accepted": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": _object(
                {"index": {"type": "integer"}, "id": {"type": ["string", "null"]}, "errors": {"type": "object"}},
                required=["index", "errors"],
            ),
        },
    },
    required=["accepted", "rejected"],
)
_PROBES: dict[str, tuple[str, dict[str, Any]]] = {
    "/healthz": ("The process is alive", {"200": {"description": "Alive"}}),
    "/readyz": (
        "Events can be taken",
        {
            "200": _answer("They can: degraded means by the spool, or with something waiting in it", "Readiness"),
            "503": _answer("Neither the broker nor the spool can take any", "Error"),
        },
    ),
    "/metrics": ("Prometheus metrics", {"200": {"description": "Text in Prometheus's format"}}),
    "/openapi.json": ("This document", {"200": {"description": "The document"}}),
}
