from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from kombu import Message

from sync_worker.tasks.poison import POISON_TASK, as_text, find_fault, in_its_place, trace_of


class Task:
    """As Celery's: `__header__` takes what the task takes."""

    @staticmethod
    def __header__(event: Any) -> None: ...


TASKS: Any = {"sync.contact": Task}
HEADERS = {"task": "sync.contact", "id": "t1"}


def message(body: Any = b'[[], {"event": {}}, {}]', **changed: Any) -> Message:
    values = {"content_type": "application/json", "content_encoding": "utf-8", "headers": HEADERS}
    return Message(body=body, accept={"application/json"}, **values | changed)


def test_a_sound_message_has_no_fault() -> None:
    assert find_fault(message(), TASKS) is None


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "names no task"),
        ({"task": "sync.contact"}, "names no task"),
        ({"task": ["sync.contact"], "id": "t1"}, "names no task"),
        ({"task": "sync.nobody", "id": "t1"}, "no task sync.nobody"),
        (HEADERS | {"retries": "many"}, "retries"),
        (HEADERS | {"timelimit": [1]}, "timelimit"),
        (HEADERS | {"timelimit": 5}, "timelimit"),
    ],
)
def test_headers_that_celery_would_trip_over(headers: dict[str, Any], said: str) -> None:
    assert said in str(find_fault(message(headers=headers), TASKS))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"5", b"null", b"[]", b"[1]", b'{"args": []}', b"[[], [], {}]", b"[[], {}, 5]"]
)
def test_bodies_that_celery_would_trip_over(body: bytes) -> None:
    assert "body" in str(find_fault(message(body), TASKS))


def test_a_pickle_is_not_opened() -> None:
    fault = find_fault(message(pickle.dumps(1), content_type="application/x-python-serialize"), TASKS)

    assert "ContentDisallowed" in str(fault)


@pytest.mark.parametrize("body", [b"[[], {}, {}]", b'[[], {"events": 1}, {}]', b"[[1, 2], {}, null]"])
def test_arguments_that_do_not_fit(body: bytes) -> None:
    assert "arguments do not fit" in str(find_fault(message(body), TASKS))


def test_a_message_in_anothers_place_is_sound_and_shares_its_delivery() -> None:
    bad = message(b"\x80", delivery_tag="tag", delivery_info={"routing_key": "deal"}, channel=object())

    instead = in_its_place(bad, "why")

    [_, kwargs, _] = instead.decode()
    assert kwargs["came"]["fault"] == "why"
    assert kwargs["came"]["queue"] == "deal"
    assert kwargs["came"]["body"] == r"\x80"
    assert json.loads(kwargs["came"]["headers"]) == HEADERS
    assert instead.headers["task"] == POISON_TASK
    assert instead.headers["id"] == "t1", "the ledger knows it by that"
    assert (instead.delivery_tag, instead.channel) == (bad.delivery_tag, bad.channel)


def test_a_body_is_shown_whatever_it_is() -> None:
    assert as_text(memoryview("имя".encode())) == "имя"
    assert as_text(b"a\xffb") == r"a\xffb"
    assert as_text(None) == "null"
    assert as_text({"при": object}) == f'{{"при": "{object!r}"}}'


def test_a_message_has_one_trace_however_often_it_is_given_out() -> None:
    on_redis = [trace_of(message(delivery_tag=tag)) for tag in ("a", "a", "b")]
    on_rabbitmq = [trace_of(message(delivery_tag=tag, headers=HEADERS | {"x-delivery-count": tag})) for tag in (1, 2)]

    assert on_redis[0] == on_redis[1] != on_redis[2]
    assert on_rabbitmq[0] == on_rabbitmq[1] != trace_of(message(b"another", delivery_tag=3))
