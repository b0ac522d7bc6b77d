"""What the base posts to the ingress: when, signed how, and how often."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from sandbox.onec import BaseSettings
from tests.sandbox.onec_peer import check_schema, receiving, running

BODY_SCHEMA = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "maxItems": 500, "items": {"$ref": "#/components/schemas/Event"}}},
}
ROWS = [{"name": "Стол", "quantity": "2", "price": "100.50"}]


def wait_until_settled(peer, count=1):
    """The events, once `count` of them are delivered; the receiver's answer is noted a moment after it was given."""
    for _ in range(10_000):
        events = peer.sandbox("events")["events"]
        if sum(event["state"] == "delivered" for event in events) >= count:
            return events
    raise AssertionError(events)


def test_change_by_hand_is_posted_and_an_upsert_is_not():
    with receiving() as (receiver, url), running(webhook_url=url) as peer:
        ref = peer.company()["ref"]
        peer.by_hand(f"counterparties/{ref}", comment="позвонить")

        (event,) = receiver.events(1)

        assert (event["type"], event["ref"], event["external_id"]) == ("counterparty.changed", ref, "b24:company:1")
        assert event["data"]["comment"] == "позвонить"


def test_every_kind_of_event_fits_the_contract():
    with receiving() as (receiver, url), running(webhook_url=url) as peer:
        counterparty = peer.company()["ref"]
        order = peer.order(rows=ROWS)["ref"]
        invoice = peer.by_hand("invoices", order_ref=order)["ref"]
        peer.by_hand(f"orders/{order}", status="КОтгрузке")
        peer.by_hand(f"orders/{order}", posted="true", locked="true")
        peer.by_hand(f"counterparties/{counterparty}", inn="7707083893")
        for type, ref in (("invoices", invoice), ("orders", order), ("counterparties", counterparty)):
            peer.by_hand(f"{type}/{ref}/delete")

        requests = receiver.wait_for(7)

    bodies = [json.loads(body.decode("utf-8")) for _, body in requests]
    for body in bodies:
        check_schema(BODY_SCHEMA, body)
    assert [event["type"] for body in bodies for event in body["events"]] == [
        "invoice.changed",
        "order.status_changed",
        "order.changed",
        "counterparty.changed",
        "invoice.deleted",
        "order.deleted",
        "counterparty.deleted",
    ]


def test_message_is_signed_after_standard_webhooks():
    secret = "whsec_" + b64encode(b"another secret of enough bytes").decode()
    with receiving() as (receiver, url), running(webhook_url=url, signing_secret=secret) as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")
        ((headers, body),) = receiver.wait_for(1)

    assert Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(BaseSettings().signing_secret).verify(body, headers)
    assert not body.startswith(b"\xef\xbb\xbf")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 204, 302, 401, 413, 500, 503])
def test_anything_but_202_is_sent_again_the_same_bytes_under_the_same_id(status):
    with receiving(status, status) as (receiver, url), running(webhook_url=url, retry_seconds=0.01) as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")

        requests = receiver.wait_for(3)
        (event,) = wait_until_settled(peer)

    assert len({headers["webhook-id"] for headers, _ in requests}) == 1
    assert len({body for _, body in requests}) == 1
    assert [delivery["status"] for delivery in event["deliveries"]] == [status, status, 202]


def test_sending_stops_at_202():
    with receiving() as (receiver, url), running(webhook_url=url, retry_seconds=0.0) as peer:
        peer.by_hand("counterparties", kind="person", name="Первый")
        receiver.wait_for(1)
        peer.by_hand("counterparties", kind="person", name="Второй")

        names = [event["data"]["name"] for event in receiver.events(2)]
        wait_until_settled(peer, 2)

    assert names == ["Первый", "Второй"]
    assert len(receiver.requests) == 2


def test_newer_state_goes_under_a_new_id_with_a_higher_sequence():
    with receiving() as (receiver, url), running(webhook_url=url) as peer:
        ref = peer.by_hand("counterparties", kind="person", name="Иванов")["ref"]
        peer.by_hand(f"counterparties/{ref}", name="Петров")
        first, second = receiver.events(2)
        ids = {headers["webhook-id"] for headers, _ in receiver.wait_for(2)}

    assert len(ids) == 2
    assert first["id"] != second["id"]
    assert first["sequence"] < second["sequence"]


def test_posted_event_has_the_same_id_in_changes_and_stays_there_until_confirmed():
    with receiving() as (receiver, url), running(webhook_url=url) as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")
        (posted,) = receiver.events(1)
        wait_until_settled(peer)

        assert peer.changes()["events"] == [posted]
        peer.confirm(peer.changes()["cursor"])
        assert peer.changes()["events"] == []


def test_events_wait_until_there_is_an_address():
    with receiving() as (receiver, url), running() as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")
        assert peer.sandbox("events")["events"][0]["state"] == "waiting"

        peer.sandbox("webhook", url=url)

        assert receiver.events(1)[0]["data"]["name"] == "Иванов"


def test_unreachable_ingress_gets_the_event_when_it_is_back():
    with receiving() as (receiver, url), running(webhook_url="http://127.0.0.1:9/", retry_seconds=0.01) as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")
        while not peer.sandbox("events")["events"][0]["deliveries"]:
            pass
        peer.sandbox("webhook", url=url)
        receiver.wait_for(1)
        (event,) = wait_until_settled(peer)

    assert event["deliveries"][0]["error"] == "ConnectionError"
    assert event["deliveries"][-1]["status"] == 202


def test_event_over_one_mebibyte_is_left_to_changes():
    with receiving() as (receiver, url), running(webhook_url=url) as peer:
        ref = peer.company(comment="щ" * 600_000)["ref"]
        peer.by_hand(f"counterparties/{ref}", name="Велик")
        peer.by_hand("counterparties", kind="person", name="Мал")

        assert receiver.events(1)[0]["data"]["name"] == "Мал"
        states = [event["state"] for event in wait_until_settled(peer)]
        assert len(peer.changes()["events"]) == 2

    assert states == ["left_to_changes", "delivered"]


def test_lost_event_is_in_changes_all_the_same():
    faults = "event_loss:counterparty.changed=1x1"
    with receiving() as (receiver, url), running(webhook_url=url, faults=faults) as peer:
        for name in ("Первый", "Второй"):
            peer.by_hand("counterparties", kind="person", name=name)

        assert receiver.events(1)[0]["data"]["name"] == "Второй"
        assert [event["data"]["name"] for event in peer.changes()["events"]] == ["Первый", "Второй"]


def test_repeated_event_comes_twice_with_the_same_id():
    with receiving() as (receiver, url), running(webhook_url=url, faults="event_repeat:*=1x1") as peer:
        peer.by_hand("counterparties", kind="person", name="Иванов")
        (first, body), (second, again) = receiver.wait_for(2)

    assert body == again
    assert first["webhook-id"] == second["webhook-id"]


def test_shuffled_event_comes_after_later_ones():
    with receiving() as (receiver, url), running(webhook_url=url, faults="event_shuffle:*=1x1@2") as peer:
        for name in ("Первый", "Второй"):
            peer.by_hand("counterparties", kind="person", name=name)

        assert [event["data"]["name"] for event in receiver.events(2)] == ["Второй", "Первый"]
