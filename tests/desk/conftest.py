"""One desk for the whole folder, an empty store for each test, and the office as the desk itself uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync_worker.bootstrap import SystemClock
from sync_worker.contract import ChangeEvent
from sync_worker.store.audit import RedisAudit
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.links import RedisLinks
from sync_worker.store.replays import RedisReplays
from sync_worker.store.stories import RedisStories
from sync_worker.sync.office import DeadLetterOffice
from tests.desk.serving import BORIS, LOGINS, Visitor, desk_process
from tests.services import RedisServer


class Sent:
    """An outbox that keeps what the test itself sends; the desk's own goes to the real queue."""

    def __init__(self) -> None:
        self.events: list[ChangeEvent] = []

    def publish(self, event: ChangeEvent) -> None:
        self.events.append(event)

    def strike(self, task_id: str) -> None: ...

    def send_lost(self) -> list[str]:
        return []


@pytest.fixture(scope="session")
def address(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with desk_process(tmp_path_factory.mktemp("desk"), redis_server, FLOWER_BASIC_AUTH=LOGINS) as found:
        yield found


@pytest.fixture
def office(redis_url: str) -> DeadLetterOffice:
    """Over the empty store that the desk reads."""
    store = connect(redis_url)
    return DeadLetterOffice(
        letters=RedisDeadLetters(store),
        replays=RedisReplays(store),
        audit=RedisAudit(store),
        stories=RedisStories(store),
        links=RedisLinks(store),
        outbox=Sent(),
        clock=SystemClock(),
    )


@pytest.fixture
def anna(address: str, office: DeadLetterOffice) -> Visitor:
    return Visitor(address)


@pytest.fixture
def boris(address: str, office: DeadLetterOffice) -> Visitor:
    return Visitor(address, BORIS)
