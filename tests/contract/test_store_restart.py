"""What a restart of Redis, or its absence, does to the stores. Each test has a server of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref
from sync_worker.domain.letter import Act, Deed, ReplayRun, Selection
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.story import StoryEntry
from sync_worker.errors import RecordBusy, StoreUnavailable
from sync_worker.store.audit import RedisAudit
from sync_worker.store.client import connect, translating
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.links import RedisLinks
from sync_worker.store.locks import RedisLocks
from sync_worker.store.memories import RedisMemories
from sync_worker.store.parked import RedisParked
from sync_worker.store.replays import RedisReplays
from sync_worker.store.slots import Slots
from sync_worker.store.stories import RedisStories
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, at, doorbell, eventually, letter
from tests.fakes.stores import take
from tests.services import RedisServer, free_port


def kill_settled(server: RedisServer, client: redis.Redis) -> None:
    """Kill the server once what it was told is in its file: while a flush to disk runs, Redis holds writes back."""

    def is_settled() -> bool:
        persistence: Any = client.info("persistence")
        return persistence["aof_buffer_length"] == 0

    assert eventually(is_settled)
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path).start()
    yield own
    own.stop()


def test_everything_is_there_after_a_crash_of_the_server(server: RedisServer) -> None:
    link, memory = Link(bitrix24=CONTACT, onec=COUNTERPARTY), Memory(sent="f", sequence=3)
    requisite = bitrix24_ref(RecordType.REQUISITE, 5)
    with connect(server.url()) as client:
        links, memories = RedisLinks(client), RedisMemories(client)
        letters, parked = RedisDeadLetters(client), RedisParked(client)
        links.save(link)
        links.remember_owner(requisite, COMPANY)
        memories.save(EntityKind.CONTACT, CONTACT, memory)
        filed = letters.add(letter(partner=COUNTERPARTY))
        letters.park_behind(filed, doorbell(seconds=5))
        parked.park(doorbell(), ready_at=at(0), reason="the budget is spent")

        kill_settled(server, client)
        server.start()

        assert links.find(COUNTERPARTY) == link
        assert links.find_owner(requisite) == COMPANY
        assert memories.get(EntityKind.CONTACT, CONTACT) == memory
        found = letters.of_record(EntityKind.CONTACT, [COUNTERPARTY])
        assert found is not None
        assert (found.id, found.waiting) == (filed.id, 1)
        assert letters.count_by_cause() == {"field_conflict": 1}
        assert take(letters, filed.id) == found  # the server has forgotten the scripts: they are told again
        assert parked.release(at(1), limit=1) == [doorbell()]


def test_office_goes_on_after_a_crash_of_the_server(server: RedisServer) -> None:
    deed = Deed(at=at(5), by="anna", act=Act.REPLAYED, note="2 letters")
    entry = StoryEntry(at=at(0), what="dead_letter")
    with connect(server.url()) as client:
        letters, audit, stories = RedisDeadLetters(client), RedisAudit(client), RedisStories(client)
        replays = RedisReplays(client, now=lambda: at(60))
        first = letters.add(letter(words=("7707083893",), topic="name"))
        second = letters.add(letter(record=COMPANY, topic="name", first_at=at(1)))
        run = ReplayRun(id="r", by="anna", at=at(5), selection=Selection(cause="field_conflict"), total=0)
        replays.start(run)
        replays.sent("r", first.id, at=at(5))
        audit.note(deed)
        stories.tell(CONTACT, entry)

        kill_settled(server, client)
        server.start()

        assert letters.search("7707083893") == [first]
        assert [group.count for group in letters.groups()] == [2]
        assert replays.unfinished() == [replace(run, total=2, pending=1, under_way=1)]
        assert replays.next("r", limit=9) == [second.id]
        assert audit.page() == ([deed], None)
        assert stories.read(CONTACT) == [entry]


def test_lock_is_still_held_after_a_restart(server: RedisServer) -> None:
    with connect(server.url()) as client:
        locks = RedisLocks(client)
        with locks.hold("a"):
            kill_settled(server, client)
            server.start()

            with pytest.raises(RecordBusy), locks.hold("a"):
                pass

        with locks.hold("a"):
            pass


def test_command_outlives_an_absence_of_the_server(server: RedisServer) -> None:
    with connect(server.url()) as client:
        links = RedisLinks(client)
        links.save(Link(bitrix24=CONTACT, onec=COUNTERPARTY))
        kill_settled(server, client)
        comeback = threading.Timer(1.5, server.start)
        comeback.start()

        found = links.find(CONTACT)

        comeback.join()
        assert found == Link(bitrix24=CONTACT, onec=COUNTERPARTY)


def tries_of(retry: Retry, *, nested: bool) -> int:
    """How often a call that always fails is tried."""
    tries = 0

    def fail_always() -> None:
        nonlocal tries
        tries += 1
        raise redis.TimeoutError

    def connect_and_fail() -> None:
        retry.call_with_retry(fail_always, lambda _: None)

    with pytest.raises(redis.TimeoutError):
        retry.call_with_retry(connect_and_fail if nested else fail_always, lambda _: None)
    return tries


@pytest.mark.parametrize("nested", [False, True])
def test_tries_within_tries_are_not_multiplied(monkeypatch: pytest.MonkeyPatch, *, nested: bool) -> None:
    """redis-py connects, with all its tries, within each try of a command."""
    waits: list[float] = []
    monkeypatch.setattr("redis.retry.sleep", waits.append)
    with connect("redis://127.0.0.1:1/0") as client:
        retry = client.get_retry()
        assert retry is not None

        assert tries_of(retry, nested=nested) == 11

    assert 3.7 < sum(waits) < 7.6


def test_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.retry.sleep", lambda _: None)
    with connect("redis://127.0.0.1:1/0") as client:
        retry = client.get_retry()
        assert retry is not None
        retry.give_up_seconds = 0

        assert tries_of(retry, nested=False) == 1


def test_absent_server_is_said_in_our_own_words_without_its_address() -> None:
    port = free_port()
    client = redis.Redis.from_url(f"redis://:geheim@127.0.0.1:{port}/0", retry=Retry(NoBackoff(), 0))
    calls = {
        "find": lambda: RedisLinks(client).find(CONTACT),
        "save": lambda: RedisLinks(client).save(Link(bitrix24=CONTACT, onec=COUNTERPARTY)),
        "get": lambda: RedisMemories(client).get(EntityKind.CONTACT, CONTACT),
        "add": lambda: RedisDeadLetters(client).add(letter()),
        "remove": lambda: RedisDeadLetters(client).remove(letter(id="x")),
        "change": lambda: RedisDeadLetters(client).change("x", lambda filed: filed),
        "search": lambda: RedisDeadLetters(client).search("x"),
        "forget": lambda: RedisLinks(client).forget(Link(bitrix24=CONTACT, onec=COUNTERPARTY)),
        "next": lambda: RedisReplays(client).next("r", limit=1),
        "cancel": lambda: RedisReplays(client).cancel("r", by="anna", at=at(0)),
        "note": lambda: RedisAudit(client).note(Deed(at=at(0), by="anna", act=Act.REPLAYED)),
        "tell": lambda: RedisStories(client).tell(CONTACT, StoryEntry(at=at(0), what="echo")),
        "count_by_cause": lambda: RedisDeadLetters(client).count_by_cause(),
        "park": lambda: RedisParked(client).park(doorbell(), ready_at=at(0), reason=""),
        "release": lambda: RedisParked(client).release(at(0), limit=1),
        "lock": lambda: RedisLocks(client).hold("a").__enter__(),
        "slot": lambda: Slots(client, name="a", limit=1).hold(0).__enter__(),
    }
    messages = {}
    for name, call in calls.items():
        with pytest.raises(StoreUnavailable) as caught:
            call()
        messages[name] = str(caught.value)
        assert caught.value.retry_after_seconds

    assert not [text for text in messages.values() if "geheim" in text or str(port) in text or "127.0.0.1" in text]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            "MISCONF Errors writing to the AOF file: No space left on device",
            "MISCONF Errors writing to the AOF file: No space left on device",
        ),
        ("Error running script (call to f_1): @user_script:2: -MISCONF Errors writing", "MISCONF Errors writing"),
        ("WRONGTYPE Operation against a key", "ResponseError"),
    ],
)
def test_a_redis_that_refuses_to_write_is_told_in_its_own_words(told: str, reason: str) -> None:
    with pytest.raises(StoreUnavailable, match=f"^Redis does not do its work: {reason}$"), translating():
        raise redis.ResponseError(told)
