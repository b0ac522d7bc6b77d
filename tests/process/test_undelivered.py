"""What RabbitMQ gives up becomes a dead letter, and nothing else does: not what merely waited for the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.native_delayed_delivery import calculate_routing_key, level_name

from sync_worker.contract import DEAD_QUEUE, DELIVERY_LIMIT, ChangeEvent, EntityKind, event_message
from sync_worker.domain.identity import RecordType, bitrix24_ref
from tests.process.exchange import wait_until
from tests.process.hasty import EARLY, UNTOUCHABLE
from tests.process.test_poison import Place, add_contact, assert_a_good_event_is_handled_by, has_come_to_an_end
from tests.process.test_survival import agree_on_all
from tests.rabbitmq import running_rabbitmq

pytestmark = pytest.mark.process


class HastyPlace(Place):
    included = "tests.process.hasty"

    def deaths_until_a_letter_is_filed(self) -> int:
        """Start the worker again whenever it died, as its supervisor does."""
        known, deaths = len(self.letters()), -1

        def is_filed() -> bool:
            nonlocal deaths
            if not self.worker.is_running:
                deaths += 1
                self.worker.kill()
                self.worker.launch()
            return len(self.letters()) > known

        wait_until(is_filed, what="a letter is filed")
        return deaths

    def kill_worker(self) -> None:
        """And let go of what it held or had not taken yet: echoes of an earlier test's contacts."""
        wait_until(lambda: self.in_queue("contact") == 0, what="the worker has taken what there is")
        self.worker.kill()
        with Connection(self.environment["BROKER_URL"]) as connection:
            purge = connection.default_channel.queue_purge
            wait_until(lambda: purge("contact") == 0 and self.consumers("contact") == 0, what="the queue is empty")

    def take_and_vanish(self, times: int) -> None:
        """As `times` workers would that died before they could do anything with the first contact's event."""
        for _ in range(times):
            with Connection(self.environment["BROKER_URL"]) as connection:
                channel = connection.default_channel
                wait_until(lambda channel=channel: channel.basic_get("contact"), what="the event is in its queue")

    def in_queue(self, name: str) -> int:
        return int(self._ask(name).message_count)

    def consumers(self, name: str) -> int:
        return int(self._ask(name).consumer_count)

    def _ask(self, name: str) -> Any:
        with Connection(self.environment["BROKER_URL"]) as connection:
            return connection.default_channel.queue_declare(name, passive=True)

    def in_dead_queue(self) -> int:
        return self.in_queue(DEAD_QUEUE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HastyPlace]:
    folder = tmp_path_factory.mktemp("undelivered")
    with running_rabbitmq(folder / "rabbitmq") as broker, HastyPlace(folder, broker_url=broker.url) as running:
        yield running


def test_an_event_that_ends_its_worker_before_that_is_counted_becomes_a_letter(place: HastyPlace) -> None:
    known = place.letters()
    place.kill_worker()
    place.put_event(EARLY)
    place.take_and_vanish(DELIVERY_LIMIT - 2)

    deaths = place.deaths_until_a_letter_is_filed()

    letter = place.new_letter(known)
    assert deaths == 3, "RabbitMQ gives it out once and then as often as the limit says"
    assert (letter.cause, letter.record) == ("worker_crash", bitrix24_ref(RecordType.CONTACT, EARLY))
    assert ChangeEvent.load(letter.event).record == letter.record, "it can be replayed"
    assert f"{DELIVERY_LIMIT + 1} times" in letter.message
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert len(place.letters()) == len(known) + 1


def test_who_files_a_killer_is_killed_twice_and_then_files_it_without_its_content(place: HastyPlace) -> None:
    known = place.letters()
    place.kill_worker()
    place.put_event(UNTOUCHABLE)
    place.take_and_vanish(DELIVERY_LIMIT + 1)

    deaths = place.deaths_until_a_letter_is_filed()

    letter = place.new_letter(known)
    assert (deaths, letter.cause) == (2, "bad_event")
    assert "content is not here" in json.dumps(letter.details["errors"])
    assert letter.details["raw"]["queue"] == "contact"
    assert UNTOUCHABLE not in json.dumps(letter.details)
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert len(place.letters()) == len(known) + 1


def test_what_is_no_event_is_kept_as_it_came(place: HastyPlace) -> None:
    known, pid = place.letters(), place.worker.pid
    place.kill_worker()
    place.put(b"no event at all", headers={"id": "42"})
    place.take_and_vanish(DELIVERY_LIMIT + 1)
    wait_until(lambda: place.in_dead_queue() == 1, what="RabbitMQ gives it up")

    place.worker.start()

    letter = place.new_letter(known)
    assert place.worker.pid != pid
    assert letter.cause == "bad_event"
    assert f"{DELIVERY_LIMIT + 1} times" in json.dumps(letter.details["errors"])
    assert (letter.details["raw"]["queue"], letter.details["raw"]["body"]) == ("contact", "no event at all")
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert len(place.letters()) == len(known) + 1


def test_beats_tasks_that_waited_too_long_are_no_letters(place: HastyPlace) -> None:
    known = place.letters()
    place.kill_worker()
    wait_until(lambda: place.in_dead_queue() >= 3, what="some have expired")

    place.worker.start()

    wait_until(lambda: place.in_dead_queue() == 0, what="they are let go")
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert place.letters() == known


def test_a_delayed_event_comes_once_and_not_to_the_dead_queue_too(place: HastyPlace) -> None:
    event = ChangeEvent(
        entity=EntityKind.CONTACT,
        record=bitrix24_ref(RecordType.CONTACT, "333333"),
        seen_at=datetime.now(UTC),
        trace="delayed",
    )
    message = event_message(event)
    with Connection(place.environment["BROKER_URL"], transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish(
            message.body,
            exchange=level_name(27),
            routing_key=calculate_routing_key(1, message.queue),
            headers=message.headers,
            mandatory=True,
        )

    wait_until(lambda: has_come_to_an_end(place, event.record.id), what="it is handled")
    assert_a_good_event_is_handled_by(place, place.worker.pid)
    assert place.worker.log().count(f"sync.contact[{message.correlation_id}] received") == 1


def test_an_event_waits_for_the_store_for_longer_than_the_limit(place: HastyPlace) -> None:
    known, ids = place.letters(), list[int]()
    place.kill_worker()
    ids.append(add_contact(place))
    place.take_and_vanish(DELIVERY_LIMIT - 2)
    place.redis.kill()
    seen = len(place.worker.log())
    place.worker.start()

    wait_until(
        lambda: place.worker.log()[seen:].count("event_given_back") >= 5, what="it is given back again and again"
    )
    place.redis.start()

    wait_until(lambda: agree_on_all(place, ids), what="the event is handled")
    assert place.letters() == known
    assert_a_good_event_is_handled_by(place, place.worker.pid)
