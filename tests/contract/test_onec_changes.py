"""1C's queue of changes over real HTTP: read until it is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sync_worker.domain.identity import RecordType, onec_ref
from sync_worker.gateways.onec.about import OnecCapabilities
from sync_worker.gateways.onec.changes import OnecChanges, read_change
from sync_worker.gateways.onec.client import OnecClient
from tests.contract.onec_world import WallClock, open_client
from tests.contract.store_worlds import UUID
from tests.sandbox import onec_peer

RAW = {
    "id": "e1",
    "type": "counterparty.changed",
    "ref": UUID.upper(),
    "sequence": 7.0,
    "version": "v7",
    "external_id": "b24:company:7",
    "data": {"name": "ООО Ромашка"},
}


@pytest.fixture
def peer() -> Iterator[onec_peer.Peer]:
    with onec_peer.running() as peer:
        yield peer


@pytest.fixture
def exchange(peer: onec_peer.Peer, client: redis.Redis) -> Iterator[OnecClient]:
    opened = open_client(f"{peer.url}/base", client, limit=2)
    yield opened
    opened.close()


@pytest.fixture
def changes(exchange: OnecClient) -> OnecChanges:
    return OnecChanges(client=exchange, capabilities=OnecCapabilities(client=exchange, clock=WallClock()))


def add(peer: onec_peer.Peer, name: str) -> Any:
    return onec_ref(RecordType.COUNTERPARTY, peer.by_hand("counterparties", kind="company", name=name)["ref"])


def test_changes_come_again_until_they_are_confirmed(peer, changes):
    refs = [add(peer, f"АО Вектор {number}") for number in range(3)]

    first = changes.page(limit=2)

    assert [change.ref for change in first.changes] == refs[:2]
    assert (first.has_more, first.is_empty, first.unreadable) == (True, False, ())
    assert changes.page(limit=2).changes == first.changes
    changes.confirm(first.cursor)
    rest = changes.page(limit=2)
    assert ([change.ref for change in rest.changes], rest.has_more) == ([refs[2]], False)
    changes.confirm(rest.cursor)
    changes.confirm(rest.cursor)
    assert changes.page(limit=2).is_empty


def test_change_made_since_the_page_was_read_stays(peer, changes):
    ref = add(peer, "АО Вектор")
    page = changes.page(limit=100)
    peer.by_hand(f"counterparties/{ref.id}", name="АО Вектор 2")

    changes.confirm(page.cursor)

    (change,) = changes.page(limit=100).changes
    assert change.data is not None
    assert (change.ref, change.data["name"]) == (ref, "АО Вектор 2")
    assert change.sequence > page.changes[0].sequence


def test_base_that_offers_no_queue_says_so(client):
    with onec_peer.running(capabilities=("counterparties", "orders")) as peer:
        opened = open_client(f"{peer.url}/base", client, limit=2)
        queue = OnecChanges(client=opened, capabilities=OnecCapabilities(client=opened, clock=WallClock()))
        assert "does not offer changes" in (queue.missing() or "")
        opened.close()


def test_base_that_offers_it_misses_nothing(changes):
    assert changes.missing() is None


def test_head_of_an_event_is_read():
    change = read_change(RAW)

    assert change is not None
    assert change.ref == onec_ref(RecordType.COUNTERPARTY, UUID)
    assert (change.sequence, change.version, change.external_id, change.event_id) == (7, "v7", "b24:company:7", "e1")
    assert change.data == {"name": "ООО Ромашка"}


def test_deletion_carries_no_state():
    change = read_change({**RAW, "type": "invoice.deleted"})

    assert change is not None
    assert (change.ref.type, change.data) == (RecordType.INVOICE, None)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "event",
        {},
        {**RAW, "type": "warehouse.changed"},
        {**RAW, "ref": "42"},
        {**RAW, "ref": None},
        {**RAW, "data": None},
        {**RAW, "sequence": "many"},
        {name: value for name, value in RAW.items() if name != "id"},
    ],
)
def test_what_is_no_event_is_left_to_a_person(raw):
    assert read_change(raw) is None
