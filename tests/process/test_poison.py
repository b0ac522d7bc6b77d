"""Messages that nobody can read and events that kill their worker become dead letters, and the others flow on."""

from __future__ import annotations

import json
import pickle
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from kombu import Connection

from sync_worker.contract import BROKER_KEY_PREFIX, ChangeEvent, EntityKind, event_message
from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from tests.process.deadly import BYSTANDER, KILLER
from tests.process.exchange import APPLICATION_TOKEN, CeleryProcess, Exchange, wait_until
from tests.process.test_survival import agree_on_all
from tests.rabbitmq import running_rabbitmq

pytestmark = pytest.mark.process

SOUND_BODY = b'[[], {"event": {}}, {}]'


def headers_of(task: str, **more: Any) -> dict[str, Any]:
    return {"task": task, "id": str(uuid.uuid4()), **more}


@dataclass(frozen=True, kw_only=True)
class Poison:
    body: bytes
    headers: dict[str, Any] = field(default_factory=lambda: headers_of("sync.contact"))
    content_type: str = "application/json"
    fault: str  # part of what the letter says
    shown: str = ""  # part of the body as the letter has it


POISONS = {
    "broken_json": Poison(body=b'{"half', headers={}, fault="names no task", shown='{"half'),
    "broken_json_of_a_known_task": Poison(body=b'[[], {"ev', fault="body cannot be read", shown='[[], {"ev'),
    "json_that_is_no_task": Poison(body=b'{"hello": 1}', headers={}, fault="names no task", shown="hello"),
    "json_that_is_no_body": Poison(body=b"[1]", fault="not args, kwargs and embed", shown="[1]"),
    "no_id": Poison(body=SOUND_BODY, headers={"task": "sync.contact"}, fault="names no task", shown="event"),
    "pickle": Poison(
        body=pickle.dumps("a text in a pickle", protocol=4),
        content_type="application/x-python-serialize",
        fault="ContentDisallowed",
        shown="a text in a pickle",
    ),
    "yaml": Poison(body=b"- text", content_type="application/x-yaml", fault="ContentDisallowed", shown="- text"),
    "unpacks_to_nothing": Poison(
        body=b"no zlib", headers=headers_of("sync.contact", compression="zlib"), fault="unpacked"
    ),
    "unknown_task": Poison(body=SOUND_BODY, headers=headers_of("sync.nobody"), fault="there is no task sync.nobody"),
    "wrong_arguments": Poison(body=b'[[], {"events": 1}, {}]', fault="arguments do not fit", shown="events"),
    "no_time": Poison(body=SOUND_BODY, headers=headers_of("sync.contact", eta="soon"), fault="invalid ETA"),
    "no_event": Poison(body=SOUND_BODY, fault="Missing data for required field"),
    "no_object": Poison(body=b'[[], {"event": "ring"}, {}]', fault="Invalid input type"),
    "our_own_task": Poison(
        body=b'[[], {"came": 1}, {}]', headers=headers_of("sync.poison"), fault="there is no task sync.poison"
    ),
    "a_secret_in_it": Poison(
        body=json.dumps({"auth": {"application_token": APPLICATION_TOKEN}}).encode(),
        headers={},
        fault="names no task",
        shown="***",
    ),
}


class Place(Exchange):
    """With workers that know of the killer, and with a broker of either kind."""

    included = "tests.process.deadly"

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"BROKER_VISIBILITY_SECONDS": "3"}

    def _celery(self, name: str, arguments: list[str], **more: Any) -> CeleryProcess:
        include = ["--include", self.included] if name == "worker" else []
        return super()._celery(name, [*arguments, *include], **more)

    @property
    def is_on_redis(self) -> bool:
        return self.environment["BROKER_URL"].startswith("redis")

    def put(self, body: Any, *, headers: dict[str, Any], content_type: str = "application/json") -> None:
        """Into the queue of contacts, as it is."""
        options = {"global_keyprefix": BROKER_KEY_PREFIX} if self.is_on_redis else {"confirm_publish": True}
        with Connection(self.environment["BROKER_URL"], transport_options=options) as connection:
            connection.Producer().publish(
                body, routing_key="contact", content_type=content_type, content_encoding="utf-8", headers=headers
            )

    def put_event(self, contact_id: str) -> None:
        event = ChangeEvent(
            entity=EntityKind.CONTACT,
            record=bitrix24_ref(RecordType.CONTACT, contact_id),
            seen_at=datetime.now(UTC),
            trace=uuid.uuid4().hex,
        )
        message = event_message(event)
        self.put(json.dumps(message.body).encode(), headers=message.headers)

    def letters(self) -> list[DeadLetter]:
        with connect(self.redis.url(0)) as store:
            return RedisDeadLetters(store).page()[0]

    def new_letter(self, known: list[DeadLetter]) -> DeadLetter:
        """The one that is filed now; AssertionError where it is not one."""
        ids = {letter.id for letter in known}
        [letter] = wait_until(lambda: [new for new in self.letters() if new.id not in ids], what="a letter is filed")
        return letter


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "redis":
        with Place(folder) as running:
            yield running
        return
    with running_rabbitmq(folder / "rabbitmq") as broker, Place(folder, broker_url=broker.url) as running:
        yield running


def add_contact(place: Place) -> int:
    """Somebody new: two with one e-mail would be one counterparty."""
    return place.portal_form("contacts", last_name="Иванов", email=f"{uuid.uuid4().hex}@example.com")


def assert_a_good_event_is_handled_by(place: Place, pid: int) -> None:
    ids = [add_contact(place)]
    wait_until(lambda: agree_on_all(place, ids), what="a good event is handled")
    assert place.worker.is_running
    assert place.worker.pid == pid


@pytest.mark.parametrize("kind", POISONS)
def test_what_no_task_can_take_becomes_one_letter_and_the_worker_goes_on(place: Place, kind: str) -> None:
    known, pid, poison = place.letters(), place.worker.pid, POISONS[kind]

    place.put(poison.body, headers=poison.headers, content_type=poison.content_type)

    letter = place.new_letter(known)
    assert letter.cause == "bad_event"
    assert poison.fault in json.dumps(letter.details["errors"])
    if poison.shown:
        assert poison.shown in letter.details["raw"]["body"]
        assert letter.details["raw"]["queue"] == "contact"
    assert APPLICATION_TOKEN not in json.dumps(letter.details)
    assert_a_good_event_is_handled_by(place, pid)
    assert len(place.letters()) == len(known) + 1


def test_an_event_that_kills_its_worker_is_a_letter_after_three_and_its_neighbours_flow_on(place: Place) -> None:
    known, deaths, ids = place.letters(), 0, list[int]()

    def is_filed() -> bool:
        nonlocal deaths
        if not place.worker.is_running:  # what the supervisor does
            deaths += 1
            place.worker.kill()
            ids.extend(add_contact(place) for _ in range(3))
            place.worker.launch()  # on RabbitMQ the killer may be there before it says that it is ready
        return len(place.letters()) > len(known)

    place.put_event(KILLER)
    place.put_event(BYSTANDER)
    wait_until(is_filed, seconds=120, what="the killer is a letter")

    letter = place.new_letter(known)
    assert (letter.cause, letter.record) == ("worker_crash", bitrix24_ref(RecordType.CONTACT, KILLER))
    assert ChangeEvent.load(letter.event).record == letter.record
    assert deaths == 3
    wait_until(lambda: agree_on_all(place, ids), what="the others are handled")
    wait_until(lambda: has_come_to_an_end(place, BYSTANDER), what="the bystander is handled")
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert len(place.letters()) == len(known) + 1


def has_come_to_an_end(place: Place, contact_id: str) -> bool:
    return any("event_done" in line and contact_id in line for line in place.worker.log().splitlines())


@pytest.mark.parametrize("place", ["rabbitmq"], indirect=True)  # on Redis the broker is away with it
def test_poison_waits_in_its_queue_while_the_state_is_away(place: Place) -> None:
    known, pid, seen = place.letters(), place.worker.pid, len(place.worker.log())

    place.redis.kill()
    place.put(b"while the state is away", headers={})
    wait_until(lambda: "event_given_back" in place.worker.log()[seen:], what="the message is given back")
    place.redis.start()

    assert place.new_letter(known).cause == "bad_event"
    assert_a_good_event_is_handled_by(place, pid)
    assert len(place.letters()) == len(known) + 1


@pytest.mark.parametrize("value", ["no JSON at all", "[1, 2]", '{"hello": 1}', '{"body": "?", "properties": 1}'])
@pytest.mark.parametrize("place", ["redis"], indirect=True)  # RabbitMQ holds nothing but messages
def test_a_value_that_is_no_message_becomes_a_letter_on_redis(place: Place, value: str) -> None:
    known, pid = place.letters(), place.worker.pid

    with redis.Redis.from_url(place.redis.url(1)) as broker:
        broker.lpush(f"{BROKER_KEY_PREFIX}contact", value)

    letter = place.new_letter(known)
    assert (letter.cause, letter.details["raw"]["queue"]) == ("bad_event", "contact")
    assert_a_good_event_is_handled_by(place, pid)
    assert len(place.letters()) == len(known) + 1


@pytest.mark.parametrize("place", ["redis"], indirect=True)  # on RabbitMQ it takes a kill in the very millisecond
def test_a_message_that_is_given_out_twice_has_one_letter(place: Place) -> None:
    known, pid = place.letters(), place.worker.pid
    delivery = {"delivery_tag": str(uuid.uuid4()), "delivery_info": {"exchange": "", "routing_key": "contact"}}
    message = json.dumps({"body": "?", "headers": {}, "properties": delivery})

    with redis.Redis.from_url(place.redis.url(1)) as broker:
        broker.lpush(f"{BROKER_KEY_PREFIX}contact", message, message)

    assert place.new_letter(known).cause == "bad_event"
    wait_until(lambda: place.waiting() == 0, what="both are done")
    assert_a_good_event_is_handled_by(place, pid)
    assert len(place.letters()) == len(known) + 1
