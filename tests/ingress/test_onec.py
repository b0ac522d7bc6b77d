from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from sync_worker.contract import ChangeEvent, Misfit
from tests.ingress.conftest import NOW, SECRETS, Queued, onec_event, post_events, sign

COUNTERPARTY = {
    "kind": "company",
    "name": "Ромашка",
    "full_name": "ООО Ромашка",
    "inn": "7707083893",
    "kpp": "773601001",
    "ogrn": None,
    "emails": [{"value": "office@example.com", "kind": "work"}],
    "phones": [{"value": "+74951234567"}],
    "addresses": [{"kind": "legal", "text": "Москва"}],
    "responsible": None,
    "comment": "",
    "a_field_of_tomorrow": {"x": [1]},
}
ROW = {"name": "Стул", "quantity": "2.000", "price": "100.00", "vat_rate": "20", "vat_included": True}
INVOICE = {
    "number": "УТ-1",
    "date": "2026-03-31",
    "pay_before": None,
    "amount": "200.00",
    "currency": "RUB",
    "status": "issued",
    "order_ref": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    "order_external_id": "b24:deal:5",
    "rows": [ROW],
}
STATUS = {"status": "shipped", "order_number": None}
ORDER = {"posted": True, "locked": False, "status": None, "amount": "0.00", "currency": "RUB", "rows": []}


@pytest.mark.parametrize(
    ("type_", "data", "meaning"),
    [
        ("counterparty.changed", COUNTERPARTY, ("contact", "counterparty", "changed")),
        ("counterparty.deleted", None, ("contact", "counterparty", "deleted")),
        ("invoice.changed", INVOICE, ("invoice", "invoice", "changed")),
        ("invoice.deleted", INVOICE, ("invoice", "invoice", "deleted")),
        ("order.status_changed", STATUS, ("status", "order", "changed")),
        ("order.changed", ORDER, ("status", "order", "changed")),
        ("order.deleted", None, ("status", "order", "deleted")),
    ],
)
def test_each_type_is_queued_with_its_state(
    type_: str,
    data: dict[str, Any] | None,
    meaning: tuple[str, str, str],
    client: FlaskClient,
    queued: Callable[[], list[Queued]],
) -> None:
    entity, record, change = meaning

    answer = post_events(client, [onec_event(type_, data)])

    assert (answer.status_code, answer.json) == (202, {"accepted": 1, "rejected": []})
    [message] = queued()
    event = ChangeEvent.load(message.kwargs["event"])
    assert (message.queue, event.entity, event.change, event.seen_at) == (entity, entity, change, NOW)
    assert str(event.record) == f"onec:{record}:6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    assert event.onec is not None
    assert event.onec.data == (None if change == "deleted" else data)
    assert (event.onec.sequence, event.onec.version, event.onec.event_id) == (7, "AAAAAQ==", "e-1")
    assert event.onec.external_id == "b24:company:5"


def test_what_flower_shows_of_a_message_names_nobody(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    post_events(client, [onec_event("counterparty.changed", COUNTERPARTY)])

    [message] = queued()
    assert "office@example.com" not in str(message.headers)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"inn": "123"}, "inn"),
        ({"inn": "77070838930"}, "inn"),
        ({"inn": "7707083893\n"}, "inn"),
        ({"inn": 7707083893}, "inn"),
        ({"inn": "٧٧٠٧٠٨٣٨٩٣"}, "inn"),
        ({"kpp": "77360100a"}, "kpp"),
        ({"ogrn": "10277001322"}, "ogrn"),
        ({"name": None}, "name"),
        ({"name": "x" * 151}, "name"),
        ({"kind": "firm"}, "kind"),
        ({"kind": None}, "kind"),
        ({"emails": None}, "emails"),
        ({"emails": [{"value": "nobody"}]}, "emails"),
        ({"emails": ["a@example.com"]}, "emails"),
        ({"phones": [{"kind": "work"}]}, "phones"),
        ({"addresses": [{"kind": "registered"}]}, "addresses"),
        ({"responsible": "Иванов"}, "responsible"),
    ],
)
def test_a_counterparty_that_breaks_the_contract_is_kept(
    data: dict[str, Any], field: str, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    event = onec_event("counterparty.changed", data)

    answer = post_events(client, [event])

    assert answer.status_code == 202
    [rejected] = answer.json["rejected"]
    assert answer.json["accepted"] == 0
    assert (rejected["index"], rejected["id"], list(rejected["errors"]["data"])) == (0, "e-1", [field])
    [message] = queued()
    misfit = Misfit.load(message.kwargs["misfit"])
    assert (misfit.system, misfit.entity, misfit.event_id, misfit.raw) == ("onec", "contact", "e-1", event)


@pytest.mark.parametrize(
    ("type_", "good", "change", "field"),
    [
        ("invoice.changed", INVOICE, {"amount": 200}, "amount"),
        ("invoice.changed", INVOICE, {"amount": "1 200,50"}, "amount"),
        ("invoice.changed", INVOICE, {"amount": "1e3"}, "amount"),
        ("invoice.changed", INVOICE, {"date": "2026-02-30"}, "date"),
        ("invoice.changed", INVOICE, {"date": "20260331"}, "date"),
        ("invoice.changed", INVOICE, {"date": "2026-03-31T00:00:00"}, "date"),
        ("invoice.changed", INVOICE, {"currency": "rub"}, "currency"),
        ("invoice.changed", INVOICE, {"status": "new"}, "status"),
        ("invoice.changed", INVOICE, {"order_ref": "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}"}, "order_ref"),
        ("invoice.changed", INVOICE, {"order_external_id": "b24:deal:0"}, "order_external_id"),
        ("invoice.changed", INVOICE, {"rows": [{**ROW, "quantity": 2}]}, "rows"),
        ("invoice.changed", INVOICE, {"rows": [{**ROW, "vat_included": "yes"}]}, "rows"),
        ("order.status_changed", STATUS, {"status": None}, "status"),
        ("order.changed", ORDER, {"posted": 1}, "posted"),
        ("order.changed", ORDER, {"locked": None}, "locked"),
    ],
)
def test_a_document_that_breaks_the_contract_is_kept(
    type_: str, good: dict[str, Any], change: dict[str, Any], field: str, client: FlaskClient
) -> None:
    answer = post_events(client, [onec_event(type_, {**good, **change})])

    [rejected] = answer.json["rejected"]
    assert list(rejected["errors"]["data"]) == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"id": 5}, "id"),
        ({"type": "order.archived"}, "type"),
        ({"type": ["order.deleted"]}, "type"),
        ({"occurred_at": "2026-03-31T12:00:00"}, "occurred_at"),
        ({"occurred_at": "2026-03-31T25:00:00Z"}, "occurred_at"),
        ({"occurred_at": "31.03.2026"}, "occurred_at"),
        ({"ref": "6F9619FF8B86D011B42D00CF4FC964FF"}, "ref"),
        ({"version": None}, "version"),
        ({"sequence": 0}, "sequence"),
        ({"sequence": "7"}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"sequence": 7.5}, "sequence"),
        ({"sequence": 2**63}, "sequence"),
        ({"external_id": "deal:5"}, "external_id"),
    ],
)
def test_a_head_that_breaks_the_contract_is_kept(change: dict[str, Any], field: str, client: FlaskClient) -> None:
    answer = post_events(client, [onec_event("order.deleted", **change)])

    [rejected] = answer.json["rejected"]
    assert list(rejected["errors"]) == [field]


def test_an_external_id_may_be_null_but_not_missing(client: FlaskClient) -> None:
    missing = onec_event("order.deleted")
    del missing["external_id"]

    answer = post_events(client, [onec_event("order.deleted", external_id=None), missing])

    assert answer.json["accepted"] == 1
    assert [item["index"] for item in answer.json["rejected"]] == [1]


def test_a_sequence_written_as_7_0_is_the_integer_7(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    assert post_events(client, [onec_event("order.deleted", sequence=7.0)]).json["accepted"] == 1

    [message] = queued()
    assert repr(message.kwargs["event"]["onec"]["sequence"]) == "7"


def test_bad_events_do_not_spoil_good_ones(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    events = [5, onec_event("order.deleted"), None, "x", [], {}, onec_event("order.deleted", id="e-2")]

    answer = post_events(client, events)

    assert answer.json["accepted"] == 2
    assert [(item["index"], item["id"]) for item in answer.json["rejected"]] == [
        (index, None) for index in (0, 2, 3, 4, 5)
    ]
    assert sorted(message.queue for message in queued()) == ["status"] * 2 + ["upkeep"] * 5


def test_a_state_is_missing(client: FlaskClient) -> None:
    answer = post_events(client, [onec_event("invoice.changed"), onec_event("invoice.changed", [])])

    assert [item["errors"] for item in answer.json["rejected"]] == [{"data": ["Missing, or not an object."]}] * 2


def test_five_hundred_events_are_taken_and_one_more_is_not(
    client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    events = [onec_event("order.deleted", id=f"e-{number}") for number in range(501)]

    assert post_events(client, events).status_code == 400
    assert queued() == []
    assert post_events(client, events[:500]).json["accepted"] == 500
    assert len(queued()) == 500


def test_no_events_are_nothing_to_do(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    assert post_events(client, []).json == {"accepted": 0, "rejected": []}
    assert queued() == []


@pytest.mark.parametrize("secret", SECRETS)
def test_every_configured_secret_opens(secret: str, client: FlaskClient) -> None:
    assert post_events(client, [], secret=secret).status_code == 202


def test_a_foreign_secret_is_refused(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    answer = post_events(client, [onec_event("order.deleted")], secret="whsec_" + "Zm9yZWlnbi1zZWNyZXQtZm9yLXRlc3Rz")

    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")
    assert queued() == []


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_stale_or_early_signature_is_refused(minutes: int, client: FlaskClient) -> None:
    answer = post_events(client, [], at=datetime.now(UTC) + timedelta(minutes=minutes))

    assert answer.status_code == 401


def test_a_changed_body_is_refused(client: FlaskClient) -> None:
    body = json.dumps({"events": []}).encode()

    answer = client.post("/webhooks/1c", data=body + b" ", content_type="application/json", headers=sign(body))

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": None},
        {"webhook-timestamp": None},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": None},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,???"},
        {"webhook-signature": "v1,\xff"},
        {"webhook-signature": "a,b,c d,e,f"},
    ],
)
def test_broken_signature_headers_are_refused(change: dict[str, str | None], client: FlaskClient) -> None:
    body = b'{"events": []}'
    headers = {name: value for name, value in {**sign(body), **change}.items() if value is not None}

    answer = client.post("/webhooks/1c", data=body, content_type="application/json", headers=headers)

    assert answer.status_code == 401


def test_a_body_that_is_no_utf8_is_refused(client: FlaskClient) -> None:
    answer = client.post("/webhooks/1c", data=b"\xff\xfe", content_type="application/json", headers=sign(b""))

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"{",
        b'{"events": {}}',
        b'{"events": null}',
        b'{"events": [NaN]}',
        b'{"events": [1e999]}',
        b'{"events": [' + b"9" * 5000 + b"]}",
        b'{"events": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"events": ' + b"[" * 100_000,
    ],
)
def test_what_holds_no_events_is_unreadable(
    body: bytes, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    answer = client.post("/webhooks/1c", data=body, content_type="application/json", headers=sign(body))

    assert (answer.status_code, answer.json["error"]) == (400, "unreadable")
    assert queued() == []


def test_a_lone_surrogate_survives_the_queue(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    post_events(client, [onec_event("order.status_changed", {"status": "\ud800"})])

    [message] = queued()
    event = ChangeEvent.load(message.kwargs["event"])
    assert event.onec is not None
    assert event.onec.data == {"status": "\ud800"}
