"""What is remembered of the offline queue outlives a process (ports OfflineNotes and TokenKeeper)."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.contract import OFFLINE_TALLY_KEY
from sync_worker.domain.offline import OfflineRow, Readiness, Tokens, Trouble
from sync_worker.errors import StoreUnavailable
from sync_worker.store.client import connect
from sync_worker.store.offline import TOKENS_KEY, RedisOfflineNotes, RedisTokens
from tests.contract.store_worlds import STORES, at
from tests.fakes.offline import MemoryOfflineNotes
from tests.services import free_port

ROW = OfflineRow(
    id="7",
    message_id="ab" * 16,
    code="ONCRMDEALUPDATE",
    fields={"ID": 7},
    raw={"ID": "7", "EVENT_DATA": {"FIELDS": {"ID": 7}}, "EVENT_NAME": "ONCRMDEALUPDATE"},
)
TOKENS = Tokens(access="access-of-now", refresh="refresh-of-now", expires_at=at(3600.5))


@pytest.fixture(params=STORES)
def notes(request: pytest.FixtureRequest) -> Any:
    return MemoryOfflineNotes() if request.param == "memory" else RedisOfflineNotes(request.getfixturevalue("client"))


def test_at_first_nothing_is_known(notes: Any) -> None:
    assert (notes.opened(), notes.readiness(), notes.trouble()) == (None, None, None)


@pytest.mark.parametrize("rows", [(), (ROW, ROW)], ids=["reserved by the portal", "noted"])
def test_what_was_opened_stays_so_until_it_is_closed(notes: Any, rows: tuple[OfflineRow, ...]) -> None:
    notes.open(rows)
    assert notes.opened() == rows

    notes.close()
    assert notes.opened() is None


def test_readiness_is_known_until_it_is_forgotten(notes: Any) -> None:
    ready = Readiness(at=at(0.000001), codes=("ONCRMDEALADD", "ONCRMDEALUPDATE"), can_reserve=False)
    notes.note_readiness(ready)
    assert notes.readiness() == ready

    notes.note_readiness(None)
    assert notes.readiness() is None


def test_trouble_lasts_until_it_is_over(notes: Any) -> None:
    trouble = Trouble(message="no token", again_at=at(60.25), gap_seconds=60.0, needs_person=True)
    notes.note_trouble(trouble)
    assert notes.trouble() == trouble

    notes.note_trouble(None)
    assert notes.trouble() is None


def test_rows_are_counted_by_what_they_came_to(client: redis.Redis) -> None:
    notes = RedisOfflineNotes(client)

    notes.count({"rung": 2, "kept": 1})
    notes.count({"rung": 3})
    notes.count({})

    assert client.hgetall(OFFLINE_TALLY_KEY) == {"rung": "5", "kept": "1"}


def tokens(client: redis.Redis, *, first: str = "first") -> RedisTokens:
    return RedisTokens(client, client_id="local.65a1", first_refresh_token=first)


def test_the_newest_tokens_are_found_by_another_process(client: redis.Redis, redis_url: str) -> None:
    assert tokens(client).read() is None

    tokens(client).save(Tokens(access="a", refresh="b", expires_at=at(0)))
    tokens(client).save(TOKENS)

    with connect(redis_url) as other:
        assert tokens(other).read() == TOKENS


def test_a_new_token_in_the_settings_wins_over_what_is_kept(client: redis.Redis) -> None:
    tokens(client).save(TOKENS)

    assert tokens(client, first="one that a person has put there").read() is None
    assert tokens(client).read() == TOKENS


def test_the_settings_token_itself_is_not_kept(client: redis.Redis) -> None:
    tokens(client, first="s3cret-of-the-settings").save(TOKENS)

    assert "s3cret-of-the-settings" not in str(client.get(TOKENS_KEY))


def test_without_redis_all_say_so() -> None:
    nowhere = redis.Redis(port=free_port(), decode_responses=True, retry=Retry(NoBackoff(), 0))
    with nowhere:
        for use in (RedisOfflineNotes(nowhere).opened, RedisOfflineNotes(nowhere).close, tokens(nowhere).read):
            with pytest.raises(StoreUnavailable):
                use()
