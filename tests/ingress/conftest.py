"""The ingress as the tests see it: an application over a real Redis, and a reader of what it queued."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from kombu import Connection, Exchange, Queue
from standardwebhooks import Webhook

from ingress.app import Ingress, create_app
from ingress.publisher import Publisher
from ingress.settings import Settings, next_database
from sync_worker.contract import BROKER_KEY_PREFIX, EXCHANGE, all_queues

TOKENS = ("first-application-token", "application_token_placeholder")
SECRETS = ("whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0", "whsec_" + "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4")
NOWHERE = "redis://127.0.0.1:1/0"  # a port that refuses
NOW = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """A task that lay in a queue."""

    queue: str
    task: str
    kwargs: dict[str, Any]
    headers: dict[str, Any]
    properties: dict[str, Any]
    text: str  # all of the message as text


def make_settings(broker_url: str, redis_url: str = NOWHERE, **more: Any) -> Settings:
    """Without a spool, unless `more` says so."""
    given = {"ingress_spool_max_mb": 0, **more}
    return Settings(
        broker_url=broker_url, redis_url=redis_url, b24_application_tokens=TOKENS, onec_webhook_secrets=SECRETS, **given
    )


@pytest.fixture
def broker_url(redis_url: str) -> str:
    return next_database(redis_url)


@pytest.fixture
def app(redis_url: str, broker_url: str) -> Ingress:
    publisher = Publisher(broker_url, connections=2)
    return create_app(make_settings(broker_url, redis_url), publisher=publisher, clock=lambda: NOW)


@pytest.fixture
def client(app: Ingress) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def queued(broker_url: str) -> Callable[[], list[Queued]]:
    """Takes all messages out of all queues, as a worker's consumer would."""

    return lambda: take_all(broker_url)


def take_all(broker_url: str, names: Iterable[str] = all_queues()) -> list[Queued]:
    options = {"global_keyprefix": BROKER_KEY_PREFIX} if broker_url.startswith("redis") else {}
    with Connection(broker_url, transport_options=options) as connection:
        channel = connection.channel()
        return [message for name in names for message in _take(name, channel)]


def _take(name: str, channel: Any) -> list[Queued]:
    queue = Queue(name, Exchange(EXCHANGE, type="topic"), routing_key=name)(channel)
    found = []
    while (message := queue.get(no_ack=True, accept=["json"])) is not None:
        _args, kwargs, _embed = message.decode()
        found.append(
            Queued(
                queue=name,
                task=message.headers["task"],
                kwargs=kwargs,
                headers=message.headers,
                properties=message.properties,
                text=f"{message.headers} {message.properties} {message.body}",
            )
        )
    return found


def post_form(client: FlaskClient, body: str | bytes, **kwargs: Any) -> Any:
    return client.post("/webhooks/bitrix24", data=body, content_type="application/x-www-form-urlencoded", **kwargs)


def event_form(code: str, *, token: str = TOKENS[1], **fields: object) -> str:
    pairs = {"event": code, "auth[application_token]": token, "ts": "1735374081"}
    pairs |= {f"data[FIELDS][{name}]": str(value) for name, value in fields.items()}
    return "&".join(f"{name}={value}" for name, value in pairs.items())


def sign(body: bytes, *, secret: str = SECRETS[0], at: datetime | None = None, id_: str = "msg-1") -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, moment, body.decode("utf-8", "surrogateescape"))
        if _is_utf8(body)
        else "v1,AAAA",
    }


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def post_events(client: FlaskClient, events: object, **signing: Any) -> Any:
    body = json.dumps({"events": events}).encode()
    return client.post("/webhooks/1c", data=body, content_type="application/json", headers=sign(body, **signing))


def onec_event(type_: str = "counterparty.changed", data: object = None, **changes: object) -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": "e-1",
        "type": type_,
        "occurred_at": "2026-03-31T12:00:00+03:00",
        "ref": "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
        "version": "AAAAAQ==",
        "sequence": 7,
        "external_id": "b24:company:5",
    }
    if data is not None:
        event["data"] = data
    return {**event, **changes}
