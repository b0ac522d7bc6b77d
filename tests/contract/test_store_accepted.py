"""The ledger finds what is neither queued nor held, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from sync_worker.contract import Accepted
from sync_worker.store.accepted import SETTLING_SECONDS, NoLedger, RedisLedger

NOW = 1_800_000_000.0
EVENT = Accepted(
    at=NOW - SETTLING_SECONDS, task="sync.contact", queue="contact", kwargs={"event": {"имя": 1}}, shown="contact 1"
)


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    return RedisLedger(client)


def message(task_id: str) -> dict[str, Any]:
    """As kombu lays it into a list."""
    return {"body": "", "headers": {"id": task_id, "task": "sync.contact"}, "properties": {}}


def test_a_message_that_is_nowhere_is_lost(ledger: RedisLedger) -> None:
    ledger.note("t1", EVENT)

    assert ledger.lost(now=NOW) == [("t1", EVENT)]


def test_a_message_that_waits_in_a_queue_is_not_lost(ledger: RedisLedger, client: redis.Redis) -> None:
    ledger.note("t1", EVENT)
    client.lpush("sync:contact.bulk", json.dumps(message("t1")))

    assert ledger.lost(now=NOW) == []


def test_a_message_that_a_worker_holds_is_not_lost(ledger: RedisLedger, client: redis.Redis) -> None:
    ledger.note("t1", EVENT)
    client.hset("sync:unacked", "tag", json.dumps([message("t1"), "", "contact"]))

    assert ledger.lost(now=NOW) == []


def test_a_message_that_has_only_just_been_accepted_may_be_on_its_way(ledger: RedisLedger) -> None:
    ledger.note("t1", EVENT)

    assert ledger.lost(now=NOW - 1) == []


def test_a_message_that_was_struck_is_done(ledger: RedisLedger) -> None:
    ledger.note("t1", EVENT)
    ledger.note("t2", EVENT)

    ledger.strike("t1")
    ledger.strike("t1")

    assert ledger.lost(now=NOW) == [("t2", EVENT)]


def test_rabbitmq_needs_no_ledger() -> None:
    ledger = NoLedger()

    ledger.note("t1", EVENT)
    ledger.strike("t1")

    assert ledger.lost(now=NOW) == []
