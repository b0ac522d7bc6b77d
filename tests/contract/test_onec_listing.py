"""All records of a base: every one once, over pages, and on from a cursor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.rules import Kind
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.listing import OnecListing
from tests.contract.onec_world import Served, open_client, party, serving

PARTIES = RecordType.COUNTERPARTY


@pytest.fixture
def base() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def onec(base: Served, client: redis.Redis) -> Iterator[OnecClient]:
    opened = open_client(base.url, client, limit=4)
    opened.allow_items(100)
    yield opened
    opened.close()


def send(onec: OnecClient, count: int) -> None:
    for start in range(0, count, 100):
        items = [party(number) for number in range(start + 1, min(start + 100, count) + 1)]
        onec.post("/counterparties", {"items": items})


def test_every_counterparty_once_over_pages(onec: OnecClient) -> None:
    send(onec, 1100)
    pages = list(OnecListing(client=onec).pages(PARTIES, with_deleted=True))
    found = [row.names for page in pages for row in page.rows]
    assert found == [bitrix24_ref(RecordType.COMPANY, number) for number in range(1, 1101)]
    assert [len(page.rows) for page in pages] == [500, 500, 100]
    assert pages[-1].after is None


def test_a_walk_goes_on_after_a_page(onec: OnecClient) -> None:
    send(onec, 600)
    listing = OnecListing(client=onec)
    first = next(listing.pages(PARTIES, with_deleted=True))
    (rest,) = listing.pages(PARTIES, after=first.after, with_deleted=True)
    assert len(rest.rows) == 100
    assert not {row.record for row in first.rows} & {row.record for row in rest.rows}


def test_a_cursor_that_the_base_does_not_know_means_the_beginning(onec: OnecClient) -> None:
    send(onec, 3)
    (page,) = OnecListing(client=onec).pages(PARTIES, after="f-of-another-life", with_deleted=True)
    assert len(page.rows) == 3


def test_an_empty_base(onec: OnecClient) -> None:
    for type_ in (PARTIES, RecordType.LEAD, RecordType.ORDER, RecordType.INVOICE):
        (page,) = OnecListing(client=onec).pages(type_, with_deleted=True)
        assert (page.rows, page.after) == ((), None)


def test_what_a_counterparty_says(base: Served, onec: OnecClient) -> None:
    send(onec, 1)
    store = base.base.store
    person = store.create("counterparties", {**store.all("counterparties")[0].fields, "kind": "person"})
    marked = store.write(person, deleted=True)
    listing = OnecListing(client=onec)
    (alive,) = listing.pages(PARTIES, with_deleted=False)
    (everybody,) = listing.pages(PARTIES, with_deleted=True)
    assert [(row.kind, row.is_deleted) for row in alive.rows] == [(Kind.COMPANY, False)]
    last = everybody.rows[-1]
    assert (last.kind, last.is_deleted, last.names) == (Kind.PERSON, True, None)
    assert (last.record.id, last.sequence) == (marked.ref, marked.sequence)


def test_a_name_that_the_type_is_never_linked_to_is_none(base: Served, onec: OnecClient) -> None:
    send(onec, 1)
    base.base.store.write(base.base.store.all("counterparties")[0], external_id="b24:deal:5")
    (page,) = OnecListing(client=onec).pages(PARTIES, with_deleted=True)
    assert [row.names for row in page.rows] == [None]
