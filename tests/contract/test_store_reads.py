from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis

from sync_worker.domain.identity import EntityKind
from sync_worker.store.reads import LIFE_SECONDS, RedisReads
from tests.contract.store_worlds import COMPANY, CONTACT, STORES, at
from tests.fakes.stores import MemoryReads

KIND = EntityKind.CONTACT
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(params=STORES)
def reads(request: pytest.FixtureRequest) -> Any:
    return MemoryReads() if request.param == "memory" else RedisReads(client=request.getfixturevalue("client"))


def both(reads: Any, *, entity: EntityKind = KIND) -> tuple[Any, Any]:
    return reads.began(entity, CONTACT, whole=False), reads.began(entity, CONTACT, whole=True)


def test_nothing_is_known_of_a_record_that_was_not_read(reads: Any) -> None:
    assert both(reads) == (None, None)


def test_whole_read_is_a_read_as_well(reads: Any) -> None:
    reads.note(KIND, CONTACT, at(5), whole=True)

    assert both(reads) == (at(5), at(5))


def test_read_of_the_card_is_no_whole_one(reads: Any) -> None:
    reads.note(KIND, CONTACT, at(5), whole=False)

    assert both(reads) == (at(5), None)


def test_each_moment_goes_forward_on_its_own(reads: Any) -> None:
    reads.note(KIND, CONTACT, at(5), whole=True)
    reads.note(KIND, CONTACT, at(7), whole=False)
    reads.note(KIND, CONTACT, at(6), whole=True)

    assert both(reads) == (at(7), at(6))


def test_moment_never_goes_back(reads: Any) -> None:
    reads.note(KIND, CONTACT, at(5), whole=True)
    reads.note(KIND, CONTACT, at(5) - MICROSECOND, whole=True)

    assert both(reads) == (at(5), at(5))


def test_moment_is_kept_to_the_microsecond(reads: Any) -> None:
    moment = at(5) + 123_457 * MICROSECOND

    reads.note(KIND, CONTACT, moment, whole=False)

    assert reads.began(KIND, CONTACT, whole=False) == moment


def test_each_kind_of_work_and_each_record_has_its_own(reads: Any) -> None:
    reads.note(KIND, CONTACT, at(5), whole=True)

    assert both(reads, entity=EntityKind.STATUS) == (None, None)
    assert reads.began(KIND, COMPANY, whole=False) is None


def test_latest_of_rivals_is_kept(client: redis.Redis) -> None:
    reads = RedisReads(client=client)
    moments = [at(number) for number in range(100)]
    random.Random(5).shuffle(moments)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda moment: reads.note(KIND, CONTACT, moment, whole=True), moments))

    assert both(reads) == (at(99), at(99))


def test_entry_is_one_plain_key_that_lives_a_day(client: redis.Redis) -> None:
    RedisReads(client=client).note(KIND, CONTACT, at(5), whole=False)

    (key,) = client.keys("*")
    assert key == "sync:read:contact bitrix24:contact:42"
    assert client.get(key) == f"{int(at(5).timestamp())}000000 0"
    assert LIFE_SECONDS - 60 < client.ttl(key) <= LIFE_SECONDS
