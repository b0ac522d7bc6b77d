"""RabbitMQ as the broker, by URL alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.exchange import Exchange, exchange, wait_until
from tests.process.test_survival import add_contacts, agree_on_all
from tests.rabbitmq import RabbitServer
from tests.services import ROOT

pytestmark = pytest.mark.process


PUBLISHING = """
import sys
from sync_worker.app import app
from sync_worker.bootstrap import build_ledger
from sync_worker.errors import StoreUnavailable
from sync_worker.outbox import CeleryOutbox
from tests.contract.store_worlds import doorbell
outbox = CeleryOutbox(app.send_task, build_ledger(app.conf.broker_url))
for line in sys.stdin:
    try:
        outbox.publish(doorbell())
    except StoreUnavailable as error:
        print(error, flush=True)
    else:
        print("confirmed", flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, rabbit: RabbitServer) -> Iterator[Exchange]:
    with exchange(tmp_path / "place", rate=60, broker_url=rabbit.url) as running:
        yield running


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


def test_a_rabbitmq_that_hangs_is_not_waited_for_for_ever(place: Exchange, rabbit: RabbitServer) -> None:
    environment = {**os.environ, **place.environment}
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHING],
        env=environment,
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:

        def publish() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("one more\n")
            process.stdin.flush()
            return process.stdout.readline()

        assert publish() == "confirmed\n"
        with rabbit.hanging():
            assert "does not take messages" in publish()
        assert publish() == "confirmed\n"
        process.kill()
