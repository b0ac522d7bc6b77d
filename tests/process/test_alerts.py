"""A chat is told of dead letters: once per cause, by one process, with the next step, and nobody's data."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
import requests

from sync_worker.alert_webhook import AlertWebhook
from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.errors import FieldConflict, RemoteRejected, RemoteUnavailable
from sync_worker.store.alerts import RedisAlarms
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.locks import RedisLocks
from sync_worker.sync.alerts import AlertSender
from tests.contract.store_worlds import NOON, letter
from tests.fakes.stores import FakeClock
from tests.receiver import Receiver, receiver
from tests.services import ROOT, free_port

pytestmark = pytest.mark.process

KEY = "key-of-the-chat-0123456789"
PERSONAL = ("Иванов Иван", "ivan@example.com", "+79123456789", "500100732259")


@pytest.fixture
def chat() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time=NOON)


def make_sender(store: redis.Redis, origin: str, clock: Any) -> AlertSender:
    return AlertSender(
        letters=RedisDeadLetters(store),
        alarms=RedisAlarms(store),
        receiver=AlertWebhook(f"{origin}/hooks/{KEY}", http=requests.Session(), timeout_seconds=1),
        locks=RedisLocks(store),
        clock=clock,
    )


def file_letters(store: redis.Redis, count: int, cause: str = "field_conflict", *, start: int = 1) -> list[DeadLetter]:
    words = " ".join(PERSONAL)
    letters = RedisDeadLetters(store)
    return [
        letters.add(
            letter(
                record=bitrix24_ref(RecordType.CONTACT, number),
                cause=cause,
                message=words,
                details={"fields": {"name": {"baseline": None, "bitrix24": words, "onec": PERSONAL[0]}}},
                words=PERSONAL,
            )
        )
        for number in range(start, start + count)
    ]


# --- rounds ----------------------------------------------------------------------------------------------------------


def test_one_message_per_cause_says_what_to_do_and_names_nobody(
    store: redis.Redis, chat: Receiver, clock: FakeClock
) -> None:
    file_letters(store, 3)
    file_letters(store, 1, "order_locked", start=100)

    sent = make_sender(store, chat.origin, clock).send_due()

    first, second = chat.messages()
    assert (sent, chat.paths) == (2, [f"/hooks/{KEY}"] * 2)
    assert first == {
        "text": f"3 dead letters: field_conflict. Next: {FieldConflict.advice}"
        " See `sync-worker dead list --cause field_conflict` or Flower's Dead letters.",
        "cause": "field_conflict",
        "count": 3,
        "reason": "new",
    }
    assert (second["cause"], second["count"]) == ("order_locked", 1)
    assert [text for text in PERSONAL if text in repr(chat.messages())] == []


def test_what_was_told_is_not_told_again_after_a_restart(store: redis.Redis, chat: Receiver, clock: FakeClock) -> None:
    file_letters(store, 3)
    make_sender(store, chat.origin, clock).send_due()
    file_letters(store, 5, start=50)
    clock.time += timedelta(minutes=5)

    assert make_sender(store, chat.origin, clock).send_due() == 0
    assert len(chat.bodies) == 1


def test_growth_is_told_and_a_day_later_what_is_still_there(
    store: redis.Redis, chat: Receiver, clock: FakeClock
) -> None:
    sender = make_sender(store, chat.origin, clock)
    file_letters(store, 2)
    sender.send_due()

    file_letters(store, 18, start=50)
    sender.send_due()
    clock.time += timedelta(days=1)
    sender.send_due()
    sender.send_due()

    told = [(message["reason"], message["count"]) for message in chat.messages()]
    assert told == [("new", 2), ("grown", 20), ("still_there", 20)]


def test_a_cause_that_comes_back_is_news(store: redis.Redis, chat: Receiver, clock: FakeClock) -> None:
    sender = make_sender(store, chat.origin, clock)
    (filed,) = file_letters(store, 1)
    sender.send_due()
    RedisDeadLetters(store).remove(filed)
    sender.send_due()
    file_letters(store, 1)

    assert sender.send_due() == 1
    assert [message["reason"] for message in chat.messages()] == ["new", "new"]


def test_a_message_that_was_not_taken_is_tried_again_in_the_next_round_and_not_sooner(
    store: redis.Redis, chat: Receiver, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    sender = make_sender(store, chat.origin, clock)
    file_letters(store, 1)
    file_letters(store, 1, "order_locked", start=100)
    chat.answer = lambda _message: 503

    failed = sender.send_due()
    tries = len(chat.bodies)
    chat.answer = lambda _message: 200
    sent = sender.send_due()

    assert (failed, tries, sent) == (0, 1, 2), "a chat that takes nothing now is not asked once more for each cause"
    assert "nobody was told of dead letters of field_conflict: the alert webhook answered 503" in caplog.text
    assert KEY not in caplog.text


def test_a_message_that_is_refused_does_not_stand_in_the_way_of_the_others(
    store: redis.Redis, chat: Receiver, clock: FakeClock
) -> None:
    sender = make_sender(store, chat.origin, clock)
    file_letters(store, 1)
    file_letters(store, 1, "order_locked", start=100)
    chat.answer = lambda message: 400 if message["cause"] == "field_conflict" else 200

    sent = sender.send_due()

    assert sent == 1
    assert set(RedisAlarms(store).told()) == {"order_locked"}


def test_while_one_round_runs_another_sends_nothing(store: redis.Redis, chat: Receiver, clock: FakeClock) -> None:
    file_letters(store, 1)
    asked, may_go = threading.Event(), threading.Event()

    def answer_slowly(_message: dict[str, Any]) -> int:
        asked.set()
        return 200 if may_go.wait(timeout=30) else 500

    chat.answer = answer_slowly
    sent: list[int] = []
    slow = make_sender(store, chat.origin, clock)
    first = threading.Thread(target=lambda: sent.append(slow.send_due()))
    first.start()
    assert asked.wait(timeout=30)
    sent.append(make_sender(store, chat.origin, clock).send_due())
    may_go.set()
    first.join()

    assert (sent, len(chat.bodies)) == ([0, 1], 1)


ROUNDS = """
import sys
from datetime import UTC, datetime
from sync_worker.store.client import connect
from tests.process.test_alerts import Noon, make_sender

sender = make_sender(connect(sys.argv[1]), sys.argv[2], Noon())
print("ready", flush=True)
sys.stdin.readline()
print(sum(sender.send_due() for _ in range(20)))
"""


class Noon:
    def now(self) -> datetime:
        return NOON

    def sleep(self, seconds: float) -> None:
        """Nobody waits here."""


def test_of_many_processes_each_cause_is_told_by_one(store: redis.Redis, redis_url: str, chat: Receiver) -> None:
    causes = ("field_conflict", "order_locked", "link_broken", "deal_closed")
    for number, cause in enumerate(causes):
        file_letters(store, 2, cause, start=number * 10)
    command = [sys.executable, "-c", ROUNDS, redis_url, chat.origin]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        sent = [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=10)

    assert sorted(message["cause"] for message in chat.messages()) == sorted(causes)
    assert sum(sent) == len(causes)


# --- the webhook -----------------------------------------------------------------------------------------------------


def post(url: str) -> None:
    AlertWebhook(url, http=requests.Session(), timeout_seconds=0.2).post({"text": "one"})


def test_a_redirect_is_not_followed(chat: Receiver) -> None:
    chat.answer = lambda _message: 302
    chat.answer_headers = {"Location": f"{chat.origin}/elsewhere"}

    with pytest.raises(RemoteRejected, match="answered 302: see to ALERT_WEBHOOK_URL") as caught:
        post(f"{chat.origin}/hooks/{KEY}")

    assert caught.value.code == "302"
    assert chat.paths == [f"/hooks/{KEY}"]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_every_kind_of_yes_is_one(chat: Receiver, status: int) -> None:
    chat.answer = lambda _message: status

    post(chat.origin)

    assert chat.messages() == [{"text": "one"}]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RemoteRejected),
        (404, RemoteRejected),
        (410, RemoteRejected),
        (429, RemoteUnavailable),
        (500, RemoteUnavailable),
        (503, RemoteUnavailable),
    ],
)
def test_a_no_is_told_apart_from_a_not_now(chat: Receiver, status: int, error: type[Exception]) -> None:
    chat.answer = lambda _message: status

    with pytest.raises(error, match=f"answered {status}"):
        post(chat.origin)


def test_no_answer_in_time_is_an_error_that_does_not_show_the_address(
    chat: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    is_over = threading.Event()
    chat.answer = lambda _message: 200 if is_over.wait(timeout=30) else 500

    with pytest.raises(RemoteUnavailable, match="gave no answer: ReadTimeout") as slow:
        post(f"{chat.origin}/hooks/{KEY}")
    is_over.set()
    with pytest.raises(RemoteUnavailable, match="gave no answer: ConnectionError") as nobody:
        post(f"http://127.0.0.1:{free_port()}/hooks/{KEY}")

    assert [caught.value.__cause__ or caught.value.__context__ for caught in (slow, nobody)] == [None, None]
    assert KEY not in f"{slow.value} {nobody.value} {caplog.text}"
