"""What crosses the queue."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.contract import (
    MISFIT_TASK,
    UPKEEP_QUEUE,
    Change,
    ChangeEvent,
    EntityKind,
    Ignored,
    Lane,
    Misfit,
    OnecState,
    RecordRef,
    RecordType,
    System,
    ValidationError,
    all_queues,
    event_message,
    explain_refusal,
    misfit_message,
    new_trace,
    queue_name,
    read_bitrix24,
    task_name,
)

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
RECORD = RecordRef(system=System.ONEC, type=RecordType.COUNTERPARTY, id="6f9619ff-8b86-d011-b42d-00c04fc964ff")
STATE = OnecState(
    data={"name": "Иванов Иван", "inn": None}, sequence=7, version="AAAA", external_id="b24:contact:42", event_id="e-1"
)
EVENT = ChangeEvent(entity=EntityKind.CONTACT, record=RECORD, seen_at=NOON, trace="abc", onec=STATE)
MISFIT = Misfit(
    system=System.ONEC,
    seen_at=NOON,
    trace="abc",
    errors={"data": {"name": ["Missing"]}},
    raw={"type": "counterparty.changed", "data": {"phone": "+79161234567", "inn": None}},
    entity=EntityKind.CONTACT,
    event_id="e-1",
)

texts = st.text(max_size=10)
states = st.builds(
    OnecState,
    data=st.none() | st.dictionaries(texts, st.none() | texts | st.integers() | st.lists(texts, max_size=2)),
    sequence=st.integers(1),
    version=texts,
    external_id=st.none() | texts,
    event_id=texts,
)
events = st.builds(
    ChangeEvent,
    entity=st.sampled_from(EntityKind),
    record=st.builds(RecordRef, system=st.sampled_from(System), type=st.sampled_from(RecordType), id=texts),
    change=st.sampled_from(Change),
    seen_at=st.datetimes(timezones=st.just(UTC)),
    trace=texts,
    onec=st.none() | states,
    attempts=st.integers(0),
    letter=st.none() | texts,
    lane=st.sampled_from(Lane),
    whole=st.booleans(),
)


@given(events)
def test_an_event_is_the_same_after_the_queue(event: ChangeEvent) -> None:
    assert ChangeEvent.load(json.loads(json.dumps(event.dump()))) == event


def test_a_misfit_is_the_same_after_the_queue() -> None:
    assert Misfit.load(json.loads(json.dumps(MISFIT.dump()))) == MISFIT


def test_an_event_says_no_more_than_it_has_to() -> None:
    doorbell = ChangeEvent(entity=EntityKind.CONTACT, record=RECORD, seen_at=NOON, trace="abc")

    assert doorbell.dump() == {
        "entity": "contact",
        "record": {"system": "onec", "type": "counterparty", "id": RECORD.id},
        "change": "changed",
        "seen_at": "2026-11-21T12:00:00.123456+00:00",
        "trace": "abc",
        "attempts": 0,
        "lane": "live",
        "whole": False,
    }


def test_an_event_of_an_older_ingress_is_live_and_about_the_card() -> None:
    older = {key: value for key, value in EVENT.dump().items() if key not in ("lane", "whole")}

    assert ChangeEvent.load(older) == EVENT


@pytest.mark.parametrize(
    ("event", "is_doorbell"),
    [(EVENT, False), (replace(EVENT, onec=None), True), (replace(EVENT, onec=None, change=Change.DELETED), False)],
)
def test_a_doorbell_says_no_more_than_look(event: ChangeEvent, is_doorbell: bool) -> None:
    assert event.is_doorbell is is_doorbell


def test_what_a_newer_ingress_sends_besides_is_let_go() -> None:
    newer = EVENT.dump() | {"colour": "red"}

    assert ChangeEvent.load(newer) == EVENT


@pytest.mark.parametrize("name", ["entity", "record", "seen_at", "trace"])
def test_a_missing_field_is_named(name: str) -> None:
    message = {key: value for key, value in EVENT.dump().items() if key != name}

    with pytest.raises(ValidationError) as caught:
        ChangeEvent.load(message)

    assert list(caught.value.normalized_messages()) == [name]


@pytest.mark.parametrize(
    "changes",
    [{"entity": "payment"}, {"record": {"system": "amo", "type": "deal", "id": "1"}}, {"seen_at": "now"}, {"onec": {}}],
)
def test_a_wrong_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChangeEvent.load(EVENT.dump() | changes)


@pytest.mark.parametrize("message", [None, "event", [], 7])
def test_what_is_no_event_at_all_is_refused_as_one(message: Any) -> None:
    with pytest.raises(ValidationError):
        ChangeEvent.load(message)


# --- messages --------------------------------------------------------------------------------------------------------


def test_a_message_is_a_task_of_celerys_protocol_two() -> None:
    message = event_message(replace(EVENT, lane=Lane.BULK))

    args, kwargs, embed = message.body
    assert (message.queue, message.headers["task"]) == ("contact.bulk", "sync.contact")
    assert (args, kwargs) == ([], {"event": {**EVENT.dump(), "lane": "bulk"}})
    assert set(embed) == {"callbacks", "errbacks", "chain", "chord"}
    assert message.headers["id"] == message.headers["root_id"] == message.correlation_id
    assert json.loads(json.dumps([message.body, message.headers]))


def test_two_messages_are_two_tasks() -> None:
    assert event_message(EVENT).correlation_id != event_message(EVENT).correlation_id
    assert new_trace() != new_trace()


@pytest.mark.parametrize("message", [event_message(EVENT), misfit_message(MISFIT)], ids=["event", "misfit"])
def test_flower_sees_ids_and_no_personal_data(message: Any) -> None:
    shown = json.dumps(message.headers, ensure_ascii=False)

    assert "Иванов" not in shown
    assert "+7916" not in shown
    assert "abc" in message.headers["kwargsrepr"]


def test_a_misfit_goes_to_the_upkeep_queue() -> None:
    message = misfit_message(MISFIT)

    assert (message.queue, message.headers["task"]) == (UPKEEP_QUEUE, MISFIT_TASK)


def test_every_kind_of_work_has_a_queue_and_its_bulk_twin() -> None:
    names = [queue_name(kind, lane) for kind in EntityKind for lane in Lane]

    assert sorted([*names, UPKEEP_QUEUE]) == sorted(all_queues())
    assert len(set(names)) == 2 * len(EntityKind)


def test_names_that_the_outside_relies_on() -> None:
    assert [task_name(kind) for kind in EntityKind] == [
        "sync.contact",
        "sync.lead",
        "sync.deal",
        "sync.invoice",
        "sync.status",
    ]
    assert [queue_name(kind) for kind in EntityKind] == ["contact", "lead", "deal", "invoice", "status"]
    assert queue_name(EntityKind.DEAL, Lane.BULK) == "deal.bulk"


def test_an_event_of_the_portal_becomes_a_doorbell_whichever_way_it_came() -> None:
    event = read_bitrix24("ONCRMDEALDELETE", {"ID": 7}, {}, seen_at=NOON)

    assert isinstance(event, ChangeEvent)
    assert (event.entity, event.record.key, event.change, event.seen_at) == (EntityKind.DEAL, "deal:7", "deleted", NOON)


def test_one_without_its_id_is_kept_and_says_where_it_was_missed() -> None:
    raw = {"EVENT_NAME": "ONCRMDEALADD"}

    misfit = read_bitrix24("ONCRMDEALADD", {}, raw, seen_at=NOON, fields_at="EVENT_DATA[FIELDS]")

    assert isinstance(misfit, Misfit)
    assert (misfit.entity, list(misfit.errors), misfit.raw) == (EntityKind.DEAL, ["EVENT_DATA[FIELDS][ID]"], raw)


def test_one_without_a_code_is_kept_and_one_of_nobodys_is_let_go() -> None:
    nameless = read_bitrix24("", {}, {"ts": "1"}, seen_at=NOON)

    assert isinstance(nameless, Misfit)
    assert list(nameless.errors) == ["event"]
    assert read_bitrix24("ONTASKADD", {"ID": 1}, {}, seen_at=NOON) == Ignored(code="ONTASKADD")


def test_a_refused_queue_is_named_with_what_to_do() -> None:
    reply = "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'deal.bulk' in vhost '/': received ..."

    said = explain_refusal(reply)

    assert "the queue deal.bulk" in said
    assert "docs/operations.md" in said
    assert said.endswith(reply)


def test_a_refusal_in_other_words_is_told_as_well() -> None:
    assert "RabbitMQ has a queue in a form" in explain_refusal("something else")
