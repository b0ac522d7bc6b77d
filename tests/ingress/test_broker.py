"""What happens when the broker is away, hangs, or comes back: never a 202 for what is not safe, never a long wait."""

from __future__ import annotations

import runpy
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from ingress.app import create_app
from ingress.publisher import BrokerUnavailableError, Publisher
from sync_worker.contract import DEAD_QUEUE, EXCHANGE, all_queues
from tests.ingress.conftest import Queued, event_form, make_settings, onec_event, post_events, post_form
from tests.services import ROOT, RedisServer, free_port

PATIENCE_SECONDS = 8  # far more than any answer may take, and far less than kombu's own patience


def _client(broker_url: str) -> FlaskClient:
    return create_app(make_settings(broker_url)).test_client()


def _within_patience(call: Callable[[], Any]) -> Any:
    """The result of `call`, which must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert results, "no answer"
    return results[0]


@pytest.fixture
def hung_port() -> Iterator[int]:
    """A port where somebody listens and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_no_broker_is_a_503(scheme: str) -> None:
    client = _client(f"{scheme}://127.0.0.1:{free_port()}/1")

    _refuses(client)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_hung_broker_is_a_503(scheme: str, hung_port: int) -> None:
    client = _client(f"{scheme}://127.0.0.1:{hung_port}/1")

    _refuses(client)


def _refuses(client: FlaskClient) -> None:
    event = _within_patience(lambda: post_form(client, event_form("ONCRMDEALADD", ID=1)))
    events = _within_patience(lambda: post_events(client, [onec_event("order.deleted")]))
    ready = _within_patience(lambda: client.get("/readyz"))
    for answer in (event, events, ready):
        assert (answer.status_code, answer.json["error"]) == (503, "queue_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/healthz").status_code == 200


def test_a_misfit_is_not_taken_either_without_a_broker() -> None:
    client = _client(f"redis://127.0.0.1:{free_port()}/1")

    assert post_form(client, event_form("ONCRMDEALADD")).status_code == 503


def test_what_nobody_handles_needs_no_broker() -> None:
    client = _client(f"redis://127.0.0.1:{free_port()}/1")

    assert post_form(client, event_form("ONAPPTEST")).status_code == 202


def test_a_broker_that_comes_back_is_used_again_and_kept_what_it_had(own_server: RedisServer) -> None:
    client = _client(own_server.url(1))
    assert post_form(client, event_form("ONCRMDEALADD", ID=1)).status_code == 202

    own_server.kill()
    assert post_form(client, event_form("ONCRMDEALADD", ID=2)).status_code == 503

    own_server.start()
    assert post_form(client, event_form("ONCRMDEALADD", ID=3)).status_code == 202
    with redis.Redis.from_url(own_server.url(1)) as store:
        assert store.llen("sync:deal") == 2


def test_a_restart_between_two_events_is_not_noticed(own_server: RedisServer) -> None:
    client = _client(own_server.url(1))
    assert post_form(client, event_form("ONCRMDEALADD", ID=1)).status_code == 202

    own_server.stop()
    own_server.start()

    assert post_form(client, event_form("ONCRMDEALADD", ID=2)).status_code == 202


def test_a_broker_without_memory_is_a_503(own_server: RedisServer) -> None:
    client = _client(own_server.url(1))
    with redis.Redis.from_url(own_server.url()) as admin:
        admin.config_set("maxmemory", "1")

    assert post_form(client, event_form("ONCRMDEALADD", ID=1)).status_code == 503


def test_a_broker_that_lost_everything_still_takes_messages(
    client: FlaskClient, redis_server: RedisServer, queued: Callable[[], list[Queued]]
) -> None:
    """kombu drops what is sent to an exchange whose bindings are gone, and only warns."""
    post_form(client, event_form("ONCRMDEALADD", ID=1))

    redis_server.flush()

    post_form(client, event_form("ONCRMDEALADD", ID=2))
    assert [message.kwargs["event"]["record"]["id"] for message in queued()] == ["2"]


def test_many_threads_share_one_publisher(broker_url: str, queued: Callable[[], list[Queued]]) -> None:
    client = _client(broker_url)
    statuses: list[int] = []

    def send(worker: int) -> None:
        for number in range(1, 21):
            answer = post_form(client.application.test_client(), event_form("ONCRMDEALADD", ID=worker * 100 + number))
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [202] * 160
    assert len({message.kwargs["event"]["record"]["id"] for message in queued()}) == 160


def test_a_publisher_says_so_when_the_broker_is_away() -> None:
    publisher = Publisher(f"redis://127.0.0.1:{free_port()}/1")

    with pytest.raises(BrokerUnavailableError):
        publisher.check()


def test_on_rabbitmq_the_queues_are_durable_quorum_queues_of_the_topic_exchange() -> None:
    """RabbitMQ's delays ignore direct exchanges, and quorum queues survive a lost node."""
    queues = Publisher("amqp://127.0.0.1//").queues

    assert set(queues) == set(all_queues())
    for name, queue in queues.items():
        assert (queue.exchange.name, queue.exchange.type, queue.routing_key) == (EXCHANGE, "topic", name)
        assert (queue.durable, queue.exchange.durable) == (True, True)
        assert queue.queue_arguments == {
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": "sync.dead",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


def test_the_queues_are_the_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ refuses a queue that is declared in two forms."""
    for url in ("amqp://127.0.0.1//", "redis://127.0.0.1:1/1"):
        monkeypatch.setenv("BROKER_URL", url)
        theirs = runpy.run_path(str(ROOT / "celeryconfig.py"))["task_queues"]

        assert {queue.name: queue.as_dict(recurse=True) for queue in theirs if queue.name != DEAD_QUEUE} == {
            name: queue.as_dict(recurse=True) for name, queue in Publisher(url).queues.items()
        }
