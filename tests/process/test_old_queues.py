"""Queues on RabbitMQ from before they had a limit: all say what is wrong and what to do, and no event is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu import Exchange as QueueExchange

from sync_worker.contract import EXCHANGE, all_queues
from tests.process.exchange import CeleryProcess, Exchange, wait_until
from tests.process.test_survival import agree_on_all
from tests.rabbitmq import RabbitServer

pytestmark = pytest.mark.process

REFUSED = "RabbitMQ has the queue contact"


class OldPlace(Exchange):
    """Its worker starts to find that it cannot."""

    def _celery(self, name: str, arguments: list[str], *, ready: str, **more: Any) -> CeleryProcess:
        return super()._celery(name, arguments, ready="queue_refused" if name == "worker" else ready, **more)

    def readiness(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.ingress_url}/readyz", timeout=10).json())


def declare_as_of_old(broker: RabbitServer) -> None:
    topic = QueueExchange(EXCHANGE, type="topic", durable=True)
    with Connection(broker.url) as connection:
        for name in all_queues():
            Queue(name, topic, routing_key=name, queue_arguments={"x-queue-type": "quorum"})(connection).declare()


def delete_all(broker: RabbitServer) -> None:
    """As `rabbitmqctl delete_queue`."""
    with Connection(broker.url) as connection:
        for name in all_queues():
            connection.default_channel.queue_delete(name)


def test_old_queues_are_named_and_what_comes_meanwhile_is_spooled(rabbit: RabbitServer, tmp_path: Path) -> None:
    declare_as_of_old(rabbit)
    with OldPlace(tmp_path / "place", broker_url=rabbit.url) as place:
        [refusal] = [line for line in place.worker.log().splitlines() if "queue_refused" in line]
        assert REFUSED in refusal
        assert "delete the queues" in refusal
        wait_until(lambda: not place.worker.is_running, what="the worker ends")
        assert "Traceback" not in place.worker.log()

        ids = [place.portal_form("contacts", last_name="Иванов", email="ivanov@example.com")]
        wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="the ingress takes the event")
        assert REFUSED in place.ingress.log()
        assert any("refuses a queue" in trouble for trouble in place.readiness()["troubles"])

        done = place.command("backfill")
        assert done.returncode != 0
        assert REFUSED in done.stderr
        assert "Traceback" not in done.stderr
        assert "start Redis" not in done.stderr, "that advice is for a broker that is away"

        delete_all(rabbit)
        place.worker.kill()
        place.worker.launch()
        wait_until(lambda: agree_on_all(place, ids), what="the event went from the spool to both sides")
        wait_until(lambda: place.readiness()["status"] == "ready", what="the ingress has no trouble any more")
        assert "no dead letters" in place.command("dead", "list").stdout
