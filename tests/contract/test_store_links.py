from __future__ import annotations

from typing import Any

import pytest
import redis

from sync_worker.domain.identity import RecordRef, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link
from sync_worker.store.links import RedisLinks
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, OTHER_COUNTERPARTY, STORES, UUID
from tests.fakes.stores import MemoryLinks


@pytest.fixture(params=STORES)
def links(request: pytest.FixtureRequest) -> Any:
    return MemoryLinks() if request.param == "memory" else RedisLinks(client=request.getfixturevalue("client"))


def test_link_is_found_from_both_sides(links: Any) -> None:
    link = Link(bitrix24=CONTACT, onec=COUNTERPARTY)

    links.save(link)

    assert links.find(CONTACT) == links.find(COUNTERPARTY) == link
    assert links.find(COMPANY) is None


def test_ids_are_unique_only_within_a_type(links: Any) -> None:
    pairs = [(kind, onec) for kind, onec in ((RecordType.DEAL, RecordType.ORDER), (RecordType.INVOICE,) * 2)]
    saved = [Link(bitrix24=bitrix24_ref(left, 7), onec=onec_ref(right, UUID)) for left, right in pairs]

    for link in saved:
        links.save(link)

    assert [links.find(link.bitrix24) for link in saved] == saved
    assert [links.find(link.onec) for link in saved] == saved


def test_older_link_of_either_record_is_forgotten_in_both_directions(links: Any) -> None:
    links.save(Link(bitrix24=CONTACT, onec=COUNTERPARTY))
    links.save(Link(bitrix24=COMPANY, onec=OTHER_COUNTERPARTY))

    newest = Link(bitrix24=CONTACT, onec=OTHER_COUNTERPARTY)
    links.save(newest)

    assert links.find(CONTACT) == links.find(OTHER_COUNTERPARTY) == newest
    assert links.find(COUNTERPARTY) is None
    assert links.find(COMPANY) is None
    assert links.count() == 1


@pytest.mark.parametrize("system", System)
def test_tombstone_is_found_and_can_come_back_to_life(links: Any, system: System) -> None:
    link = Link(bitrix24=CONTACT, onec=COUNTERPARTY)

    links.save(link.bury(system))
    buried = links.find(CONTACT), links.find(COUNTERPARTY)
    links.save(link)

    assert buried == (link.bury(system), link.bury(system))
    assert links.find(CONTACT) == links.find(COUNTERPARTY) == link


def test_tombstone_gives_way_to_a_new_link(links: Any) -> None:
    links.save(Link(bitrix24=CONTACT, onec=COUNTERPARTY).bury(System.ONEC))

    links.save(Link(bitrix24=CONTACT, onec=OTHER_COUNTERPARTY))

    assert links.find(COUNTERPARTY) is None
    assert links.find(CONTACT).deleted_in is None


@pytest.mark.parametrize("buried_in", [None, *System])
def test_forgotten_records_are_strangers(links: Any, buried_in: System | None) -> None:
    link = Link(bitrix24=CONTACT, onec=COUNTERPARTY)
    links.save(link.bury(buried_in) if buried_in else link)
    links.save(Link(bitrix24=COMPANY, onec=OTHER_COUNTERPARTY))

    links.forget(link)
    links.forget(link)

    assert links.find(CONTACT) is links.find(COUNTERPARTY) is None
    assert links.count() == 1


@pytest.mark.parametrize("kept", [(CONTACT, OTHER_COUNTERPARTY), (COMPANY, COUNTERPARTY)])
def test_records_that_have_new_partners_are_not_forgotten(links: Any, kept: tuple[RecordRef, RecordRef]) -> None:
    link = Link(bitrix24=CONTACT, onec=COUNTERPARTY)
    links.save(link)
    newer = Link(bitrix24=kept[0], onec=kept[1])
    links.save(newer)

    links.forget(link)

    assert links.find(kept[0]) == links.find(kept[1]) == newer


@pytest.mark.parametrize(
    ("half", "key", "other"),
    [("bitrix24", CONTACT.key, OTHER_COUNTERPARTY.key), ("onec", COUNTERPARTY.key, COMPANY.key)],
)
def test_link_of_which_one_half_is_another_is_not_forgotten(
    client: redis.Redis, half: str, key: str, other: str
) -> None:
    links = RedisLinks(client=client)
    link = Link(bitrix24=CONTACT, onec=COUNTERPARTY)
    links.save(link)
    client.hset(f"sync:link:{half}", key, other)

    links.forget(link)

    assert client.hlen("sync:link:bitrix24") == client.hlen("sync:link:onec") == 1


def test_owner_of_a_part_is_remembered(links: Any) -> None:
    requisite = bitrix24_ref(RecordType.REQUISITE, 5)

    links.remember_owner(requisite, CONTACT)
    links.remember_owner(requisite, COMPANY)

    assert links.find_owner(requisite) == COMPANY
    assert links.find_owner(bitrix24_ref(RecordType.REQUISITE, 6)) is None


def test_portal_rings_for_parts_once_an_owner_was_remembered(links: Any) -> None:
    before = links.rings_for_parts()

    links.remember_owner(bitrix24_ref(RecordType.REQUISITE, 5), CONTACT)

    assert (before, links.rings_for_parts()) == (False, True)


def test_portal_that_rang_once_is_not_asked_about_again(client: redis.Redis) -> None:
    links = RedisLinks(client=client)
    links.remember_owner(bitrix24_ref(RecordType.REQUISITE, 5), CONTACT)
    links.rings_for_parts()
    client.flushdb()

    assert links.rings_for_parts()


def test_owner_on_the_other_side_is_refused(links: Any) -> None:
    with pytest.raises(ValueError, match="cannot belong to"):
        links.remember_owner(bitrix24_ref(RecordType.REQUISITE, 5), COUNTERPARTY)


def test_walk_sees_every_link(links: Any) -> None:
    saved = {
        Link(
            bitrix24=bitrix24_ref(RecordType.CONTACT, number), onec=onec_ref(RecordType.COUNTERPARTY, f"{number:032x}")
        )
        for number in range(2000)
    }
    for link in saved:
        links.save(link)

    seen: list[Link] = []
    page, cursor = links.all(limit=300)
    pages = 1
    while cursor is not None:
        seen += page
        page, cursor = links.all(cursor, limit=300)
        pages += 1
    seen += page

    assert set(seen) == saved
    assert pages > 1
    assert links.count() == 2000


def test_links_are_kept_in_two_hashes_that_a_person_can_read(client: redis.Redis) -> None:
    RedisLinks(client=client).save(Link(bitrix24=CONTACT, onec=COUNTERPARTY).bury(System.ONEC))

    assert client.hgetall("sync:link:bitrix24") == {"contact:42": f"counterparty:{UUID} deleted_in=onec"}
    assert client.hgetall("sync:link:onec") == {f"counterparty:{UUID}": "contact:42 deleted_in=onec"}
    assert client.ttl("sync:link:onec") == -1
