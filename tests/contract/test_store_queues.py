"""What waits in the broker's Redis, as kombu itself put it there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from kombu import Connection, Queue
from kombu.transport.redis import Channel

from sync_worker.contract import BROKER_KEY_PREFIX, all_queues
from sync_worker.store.client import connect
from sync_worker.store.queues import RedisQueues


@pytest.fixture
def channel(redis_url: str) -> Iterator[Channel]:
    with Connection(redis_url, transport_options={"global_keyprefix": BROKER_KEY_PREFIX}) as connection:
        yield connection.default_channel


@pytest.fixture
def put(channel: Channel) -> Callable[[str], None]:
    """Put a message into a queue, as ingress and workers do."""
    producer = channel.connection.client.Producer(channel)

    def publish(queue: str) -> None:
        headers = {"id": str(uuid.uuid4())}
        producer.publish({}, exchange="", routing_key=queue, headers=headers, declare=[Queue(queue)])

    return publish


def _waiting(redis_url: str) -> dict[str, int]:
    return {name: number for name, number in RedisQueues(connect(redis_url)).waiting().items() if number}


def test_every_queue_is_named(redis_url: str) -> None:
    assert RedisQueues(connect(redis_url)).waiting() == dict.fromkeys(all_queues(), 0)


def test_messages_are_counted_by_queue(redis_url: str, put: Callable[[str], None]) -> None:
    put("deal")
    put("deal")
    put("contact.bulk")

    assert _waiting(redis_url) == {"deal": 2, "contact.bulk": 1}


def test_what_a_worker_holds_is_counted_until_it_is_done(
    redis_url: str, put: Callable[[str], None], channel: Channel
) -> None:
    put("deal")
    put("deal")
    held = Queue("deal")(channel).get()

    while_held = _waiting(redis_url)
    held.ack()

    assert while_held == {"deal": 2}
    assert _waiting(redis_url) == {"deal": 1}


def test_whose_turn_it_is_changes_when_one_is_taken(
    redis_url: str, put: Callable[[str], None], channel: Channel
) -> None:
    put("deal")
    put("deal")
    put("contact.bulk")
    queues = RedisQueues(connect(redis_url))
    before = queues.next_ids()
    put("deal")
    after_one_more = queues.next_ids()
    Queue("deal")(channel).get().ack()

    assert sorted(before) == ["contact.bulk", "deal"]
    assert after_one_more == before
    assert queues.next_ids()["contact.bulk"] == before["contact.bulk"]
    assert queues.next_ids()["deal"] != before["deal"]
