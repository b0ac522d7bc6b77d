from __future__ import annotations

from typing import Any

import pytest
import redis

from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.domain.outcome import Outcome
from sync_worker.store.tally import RedisTally
from tests.contract.store_worlds import STORES
from tests.fakes.stores import MemoryTally


@pytest.fixture(params=STORES)
def tally(request: pytest.FixtureRequest) -> Any:
    return MemoryTally() if request.param == "memory" else RedisTally(client=request.getfixturevalue("client"))


def test_nothing_is_counted_yet(tally: Any) -> None:
    assert tally.events() == {}


def test_events_are_counted_by_entity_lane_and_outcome(tally: Any) -> None:
    for _ in range(3):
        tally.count(EntityKind.CONTACT, Lane.LIVE, Outcome.ECHO)
    tally.count(EntityKind.CONTACT, Lane.BULK, Outcome.ECHO)
    tally.count(EntityKind.DEAL, Lane.LIVE, "dead_letter")

    assert tally.events() == {
        (EntityKind.CONTACT, Lane.LIVE, "echo"): 3,
        (EntityKind.CONTACT, Lane.BULK, "echo"): 1,
        (EntityKind.DEAL, Lane.LIVE, "dead_letter"): 1,
    }


def test_tally_is_one_hash_that_never_expires(client: redis.Redis) -> None:
    RedisTally(client=client).count(EntityKind.CONTACT, Lane.LIVE, Outcome.ECHO)

    assert client.hgetall("sync:tally:events") == {"contact live echo": "1"}
    assert client.ttl("sync:tally:events") == -1
