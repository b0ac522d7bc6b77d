from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Message

from sync_worker.contract import DEAD_EXCHANGE, ChangeEvent, EntityKind, event_message
from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.tasks.poison import LONGEST_READ, UNDELIVERED_TASK
from sync_worker.tasks.undelivered import (
    TOO_OFTEN,
    find_event,
    has_run_out,
    in_place_of_undelivered,
    is_undelivered,
    newest_death,
)

EVENT = ChangeEvent(
    entity=EntityKind.CONTACT,
    record=bitrix24_ref(RecordType.CONTACT, 42),
    seen_at=datetime(2026, 11, 21, tzinfo=UTC),
    trace="abc",
)


def deaths(*reasons: str) -> dict[str, Any]:
    """Headers as RabbitMQ writes them: the newest first."""
    return {"x-death": [{"reason": reason, "queue": "contact", "count": 1} for reason in reasons]}


def message(body: bytes = b"{}", *, exchange: str = DEAD_EXCHANGE, **headers: Any) -> Message:
    place = {"exchange": exchange, "routing_key": "0.0.1.contact"}
    return Message(body=body, headers={"id": "t1", "task": "sync.contact", **headers}, delivery_info=place)


def test_what_comes_over_the_dead_exchange_was_given_up_whatever_its_headers_say() -> None:
    assert is_undelivered(message())
    assert not is_undelivered(message(exchange="sync", **deaths("delivery_limit")))
    assert not is_undelivered(Message(body=b""))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"expires": "2026-11-21T00:00:00+00:00", **deaths("expired")}, True),
        ({"expires": None, **deaths("expired")}, False),
        (deaths("expired"), False),
        ({"expires": "2026-11-21T00:00:00+00:00", **deaths("delivery_limit", "expired")}, False),
        ({"expires": "2026-11-21T00:00:00+00:00"}, False),
    ],
)
def test_only_what_was_sent_to_expire_and_did_is_let_go(headers: dict[str, Any], expected: bool) -> None:
    assert has_run_out(headers) is expected


@pytest.mark.parametrize("strange", [None, [], "delivery_limit", ["delivery_limit"], [[]]])
def test_strange_notes_of_a_death_are_none(strange: Any) -> None:
    assert newest_death({"x-death": strange}) == {}


def test_it_is_taken_in_by_its_headers_alone() -> None:
    instead = in_place_of_undelivered(message(b"\x80 no JSON", **deaths("delivery_limit", "expired")))

    came = json.loads(instead.body)[1]["came"]
    assert instead.headers["task"] == UNDELIVERED_TASK
    assert (came["fault"], came["queue"], came["body"]) == (TOO_OFTEN, "contact", r"\x80 no JSON")


def test_another_reason_is_told() -> None:
    came = json.loads(in_place_of_undelivered(message(**deaths("rejected"))).body)[1]["came"]

    assert "rejected" in came["fault"]


def test_a_monstrous_body_is_not_taken_in_whole() -> None:
    came = json.loads(in_place_of_undelivered(message(b"x" * (LONGEST_READ + 1))).body)[1]["came"]

    assert len(came["body"]) == LONGEST_READ


def test_the_event_is_found_in_a_tasks_body() -> None:
    assert find_event(json.dumps(event_message(EVENT).body)) == EVENT


@pytest.mark.parametrize("body", ["", "{", "5", "[]", "[[], {}, {}]", '[[], {"event": {}}, {}]', "[" * 100_000])
def test_other_bodies_hold_no_event(body: str) -> None:
    assert find_event(body) is None
