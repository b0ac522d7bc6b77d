from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import redis

from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref
from sync_worker.domain.intent import Intent
from sync_worker.domain.link import Link
from sync_worker.store.intents import RedisIntents
from sync_worker.store.links import RedisLinks
from tests.contract.store_worlds import CONTACT, COUNTERPARTY, OTHER_COUNTERPARTY, STORES, at
from tests.fakes.stores import MemoryLinks


@dataclass
class Stores:
    intents: Any
    links: Any


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        links = MemoryLinks()
        return Stores(intents=links.intents, links=links)
    client: redis.Redis = request.getfixturevalue("client")
    return Stores(intents=RedisIntents(client), links=RedisLinks(client))


SENT = {"name": "Осипова Анна", "phones": ["+79161234567"], "comment": None}


def intent(source: Any = CONTACT, *, seconds: float = 0, entity: EntityKind = EntityKind.CONTACT) -> Intent:
    return Intent(entity=entity, source=source, at=at(seconds), sent=SENT)


def test_what_is_written_down_is_read_back_the_oldest_first(stores: Stores) -> None:
    deal = intent(bitrix24_ref(RecordType.DEAL, 5), seconds=0.25, entity=EntityKind.DEAL)

    assert stores.intents.open(intent(seconds=9), settled_before=at(9))
    assert stores.intents.open(deal, settled_before=at(0))

    assert stores.intents.all() == [deal, intent(seconds=9)]
    assert stores.intents.get(deal.source) == deal
    assert stores.intents.get(COUNTERPARTY) is None


def test_one_that_is_too_young_stands(stores: Stores) -> None:
    stores.intents.open(intent(seconds=10), settled_before=at(10))

    assert not stores.intents.open(intent(seconds=12), settled_before=at(9))

    assert stores.intents.all() == [intent(seconds=10)]


def test_one_that_is_settled_gives_way(stores: Stores) -> None:
    stores.intents.open(intent(seconds=10), settled_before=at(10))

    assert stores.intents.open(intent(seconds=13), settled_before=at(10))

    assert stores.intents.all() == [intent(seconds=13)]


def test_a_stamp_moves_its_time(stores: Stores) -> None:
    stores.intents.open(intent(), settled_before=at(0))

    stores.intents.stamp(intent(seconds=30))

    assert stores.intents.all() == [intent(seconds=30)]


@pytest.mark.parametrize("source", [CONTACT, COUNTERPARTY])
def test_it_goes_with_the_link_of_its_record_and_no_other_does(stores: Stores, source: Any) -> None:
    stores.intents.open(intent(source), settled_before=at(0))
    stores.intents.open(intent(OTHER_COUNTERPARTY), settled_before=at(0))

    stores.links.save(Link(bitrix24=CONTACT, onec=COUNTERPARTY))

    assert stores.intents.all() == [intent(OTHER_COUNTERPARTY)]


def test_closing_is_safe_to_repeat(stores: Stores) -> None:
    stores.intents.open(intent(), settled_before=at(0))

    for _ in range(2):
        stores.intents.close(CONTACT)

    assert stores.intents.all() == []
