"""RabbitMQ as the broker, by URL alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.exchange import Exchange, exchange, wait_until
from tests.process.test_survival import add_contacts, agree_on_all
from tests.rabbitmq import SERVER, RabbitServer

pytestmark = pytest.mark.process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Exchange]:
    if not SERVER.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is missing, and with CI=true nothing may be left out")
        pytest.skip("rabbitmq-server is not installed (tests/debian-packages)")
    broker = RabbitServer(tmp_path / "rabbitmq").start()
    try:
        with exchange(tmp_path / "place", rate=60, broker_url=broker.url) as running:
            yield running
    finally:
        broker.stop()


def test_events_travel_over_rabbitmq_and_a_killed_workers_come_back(place: Exchange) -> None:
    ids = add_contacts(place, 60)
    wait_until(lambda: len(place.parties()) >= 15, what="a quarter is done")

    place.worker.kill()
    done_at_the_kill = len(place.parties())
    place.worker.start()

    wait_until(lambda: agree_on_all(place, ids), seconds=120, what="all contacts have their counterparties")
    assert done_at_the_kill < 60, "the worker was killed too late to prove anything"
    assert len(place.parties()) == 60
    assert "no dead letters" in place.command("dead", "list").stdout
