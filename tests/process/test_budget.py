"""`sync-worker budget` and /metrics beside a running exchange, and beside a broker that is no Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingress.publisher import Publisher
from sync_worker.contract import event_message
from tests.contract.store_worlds import doorbell
from tests.flow.test_budget_command import ENVIRONMENT
from tests.process.exchange import exchange, wait_until
from tests.rabbitmq import RabbitServer
from tests.services import ROOT, free_port

pytestmark = pytest.mark.process


def _budget(folder: Path, *, redis_url: str, broker_url: str) -> subprocess.CompletedProcess[str]:
    (folder / "sync.toml").write_text('[invoices]\nkind = "smart"\n', encoding="utf-8")
    environment = {**os.environ, **ENVIRONMENT, "REDIS_URL": redis_url, "BROKER_URL": broker_url}
    return subprocess.run(
        [sys.executable, "-c", "from sync_worker.cli import main; main()", "budget", "--json"],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_what_an_exchange_spends_is_seen_by_its_operators(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        place.portal_form("companies", title="ООО Ромашка", inn="7707083893")
        wait_until(place.parties, what="the company is in 1C")
        wait_until(place.is_quiet, what="nothing waits any more")

        found = json.loads(place.command("budget", "--json").stdout)
        metrics = place.http.get(f"{place.ingress_url}/metrics", timeout=10).text

    live, bulk = found["lanes"]["live"], found["lanes"]["bulk"]
    assert live["events"] > 0
    assert live["commands"] >= live["requests"] > 0
    assert live["commands_per_event"] > 0
    assert (bulk["commands"], bulk["events"]) == (0, 0)
    assert sum(use["used_seconds"] for use in found["methods"].values()) > 0
    assert found["estimate"] is None
    assert "sync_state_up 1.0" in metrics
    assert f'sync_bitrix24_commands_total{{lane="live"}} {live["commands"]:.1f}' in metrics
    assert 'sync_events_total{entity="contact",lane="live",outcome="created"} 1.0' in metrics
    assert 'sync_queue_messages{queue="contact"} 0.0' in metrics


def test_rabbitmq_tells_its_queues_too(rabbit: RabbitServer, redis_url: str, tmp_path: Path) -> None:
    publisher = Publisher(rabbit.url)
    publisher.publish([event_message(doorbell())] * 3)
    publisher.close()

    done = _budget(tmp_path, redis_url=redis_url, broker_url=rabbit.url)

    assert done.returncode == 0, done.stderr
    queues = json.loads(done.stdout)["backlog"]["queues"]
    assert {name: number for name, number in queues.items() if number} == {"contact": 3}
    assert "contact.bulk" in queues, "a queue that no worker has declared yet is an empty one"


def test_a_broker_that_is_away_is_named(redis_url: str, tmp_path: Path) -> None:
    done = _budget(tmp_path, redis_url=redis_url, broker_url=f"amqp://user:broker-secret@127.0.0.1:{free_port()}/sync")

    assert done.returncode == 1
    assert "the broker does not tell its queues" in done.stderr
    assert "BROKER_URL" in done.stderr
    assert "broker-secret" not in done.stderr
