from __future__ import annotations

import logging

import pytest
import redis

from sync_worker.store.sessions import RedisSessions
from sync_worker.store.slots import Slots
from tests.contract.store_worlds import eventually

URL = "https://1c.example.com/trade"


SLOT = "live:one"


def sessions(
    client: redis.Redis, *, url: str = URL, user: str = "Обмен", limit: int = 3, **options: float
) -> RedisSessions:
    return RedisSessions(client, url=url, user=user, slots=Slots(client, name="onec", limit=limit), **options)


@pytest.fixture(autouse=True)
def slot(client: redis.Redis) -> None:
    """The one that all take their sessions in; its holder lives."""
    client.zadd("sync:slots:onec", {SLOT: 9e12})


def test_the_one_used_last_is_taken_first_and_by_one_only(client: redis.Redis) -> None:
    for cookie in ("one", "two", "three"):
        sessions(client).give_back(cookie)

    assert [sessions(client).take(SLOT) for _ in range(4)] == ["three", "two", "one", None]


def test_no_more_are_kept_than_there_are_slots(client: redis.Redis) -> None:
    for cookie in ("one", "two", "three"):
        sessions(client, limit=2).give_back(cookie)

    assert [sessions(client).take(SLOT) for _ in range(3)] == ["three", "two", None]


def test_another_base_and_another_user_have_their_own(client: redis.Redis) -> None:
    sessions(client).give_back("one")

    assert sessions(client, url="https://1c.example.com/other").take(SLOT) is None
    assert sessions(client, user="Другой").take(SLOT) is None
    assert sessions(client, url=f"{URL}/").take(SLOT) == "one"


def test_an_old_one_is_dropped_and_a_younger_one_still_found(client: redis.Redis) -> None:
    sessions(client, life_seconds=60).give_back("young")
    (key,) = client.keys("sync:sessions:*")
    client.lpush(key, "1000 old")

    assert sessions(client, life_seconds=60).take(SLOT) == "young"
    assert sessions(client, life_seconds=60).take(SLOT) is None


def test_one_whose_user_died_is_taken_over(client: redis.Redis) -> None:
    slots, shared = Slots(client, name="onec", limit=3), sessions(client)
    shared.give_back("one")
    with slots.hold(0) as held:
        assert shared.take(held.token) == "one"
        assert shared.take(SLOT) is None

    assert shared.take(SLOT) == "one"  # its slot was let go without giving it back
    assert shared.take("live:two") is None


def test_who_lost_his_slot_gives_back_nothing_that_is_anothers(client: redis.Redis) -> None:
    """He stood still. Kept twice, it would push another one out."""
    shared = sessions(client, limit=2)
    for cookie in ("one", "two"):
        shared.give_back(cookie)
    assert shared.take("live:stopped") == "two"
    assert shared.take(SLOT) == "one"
    assert shared.take(SLOT) == "two"

    shared.give_back("two", slot="live:stopped")
    shared.give_back("two", slot=SLOT)
    shared.give_back("one", slot=SLOT)

    assert [shared.take(SLOT) for _ in range(3)] == ["one", "two", None]


def test_one_that_was_given_back_or_dropped_is_nobodys_to_take_over(client: redis.Redis) -> None:
    shared = sessions(client)
    for cookie in ("one", "two"):
        shared.give_back(cookie)
        shared.take("live:dead")
    shared.drop("one")
    shared.give_back("two")

    assert [shared.take(SLOT), shared.take("live:two")] == ["two", None]


def test_what_nobody_uses_is_forgotten(client: redis.Redis) -> None:
    sessions(client, life_seconds=0.1).give_back("one", was_cut=True)

    assert eventually(lambda: client.keys("sync:sessions:*") == [])


def test_one_whose_call_was_cut_is_taken_once_more_and_last(client: redis.Redis) -> None:
    shared = sessions(client)
    shared.give_back("good")
    shared.give_back("cut", was_cut=True)

    assert [shared.take(SLOT), shared.take(SLOT)] == ["good", "cut"]
    shared.give_back("cut", was_cut=True)
    assert shared.take(SLOT) is None


def test_one_that_answered_again_is_as_good_as_any(client: redis.Redis) -> None:
    shared = sessions(client)
    shared.give_back("one", was_cut=True)
    shared.take(SLOT)
    shared.give_back("one")
    shared.take(SLOT)

    shared.give_back("one", was_cut=True)

    assert shared.take(SLOT) == "one"


def test_a_cookie_is_in_no_name_and_no_log(client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shared = sessions(client)
    shared.give_back("secret-cookie", was_cut=True)

    assert "secret-cookie" not in repr(shared) + "".join(client.keys()) + caplog.text
    assert "Обмен" not in "".join(client.keys())


def test_a_call_that_was_done_does_not_fail_for_want_of_redis(caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis(host="127.0.0.1", port=1, retry=None) as nowhere:
        sessions(nowhere).give_back("secret-cookie")

    assert "could not be kept" in caplog.text
    assert "secret-cookie" not in caplog.text
