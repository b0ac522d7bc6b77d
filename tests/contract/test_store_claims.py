"""Who names whom, as `rebuild` gathers it in Redis, and links that are saved only where there is none."""

from __future__ import annotations

import pytest
import redis

from sync_worker.domain.identity import RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.link import Link
from sync_worker.domain.listed import Listed
from sync_worker.store.claims import KEPT_SECONDS, RedisClaims, RedisNewLinks
from sync_worker.store.links import RedisLinks
from sync_worker.store.progress import RedisProgress
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, OTHER_COUNTERPARTY

OTHER_COMPANY = bitrix24_ref(RecordType.COMPANY, 43)


@pytest.fixture
def claims(client: redis.Redis) -> RedisClaims:
    return RedisClaims(client, RecordType.COUNTERPARTY)


def add(claims: RedisClaims, record: RecordRef, names: RecordRef | None = None, *, is_deleted: bool = False) -> None:
    claims.add(str(record.system), [Listed(record=record, names=names, is_deleted=is_deleted)], place=record.id)


def found(claims: RedisClaims, system: System) -> dict[RecordRef, tuple[RecordRef | None, bool]]:
    """Record -> (whom the one that it names itself names, whether anybody else has to do with the two)."""
    return {
        claim.record: (named.names if named else None, is_contested)
        for claim, named, is_contested in claims.naming(system)
    }


def test_each_that_names_another_comes_with_that_other(claims: RedisClaims) -> None:
    add(claims, COMPANY, COUNTERPARTY)
    add(claims, CONTACT)
    add(claims, COUNTERPARTY, COMPANY)
    assert found(claims, System.BITRIX24) == {COMPANY: (COMPANY, False)}
    assert found(claims, System.ONEC) == {COUNTERPARTY: (COUNTERPARTY, False)}


def test_one_that_is_not_there_is_none(claims: RedisClaims) -> None:
    add(claims, COMPANY, COUNTERPARTY)
    assert [named for _, named, _ in claims.naming(System.BITRIX24)] == [None]


def test_one_that_several_name_is_contested(claims: RedisClaims) -> None:
    add(claims, COUNTERPARTY)
    add(claims, COMPANY, COUNTERPARTY)
    add(claims, OTHER_COMPANY, COUNTERPARTY)
    assert found(claims, System.BITRIX24) == {COMPANY: (None, True), OTHER_COMPANY: (None, True)}


def test_one_that_is_named_by_a_third_is_contested(claims: RedisClaims) -> None:
    add(claims, COUNTERPARTY)
    add(claims, COMPANY, COUNTERPARTY)
    add(claims, OTHER_COUNTERPARTY, COMPANY)
    assert found(claims, System.BITRIX24) == {COMPANY: (None, True)}


def test_marked_for_deletion_names_nobody_and_is_told_as_such(claims: RedisClaims) -> None:
    add(claims, COMPANY, COUNTERPARTY)
    add(claims, COUNTERPARTY, COMPANY, is_deleted=True)
    assert [named.is_deleted for _, named, _ in claims.naming(System.BITRIX24) if named] == [True]
    assert found(claims, System.ONEC) == {}


def test_a_page_that_comes_twice_changes_nothing(claims: RedisClaims) -> None:
    for _ in range(2):
        add(claims, COUNTERPARTY, COMPANY)
        add(claims, COMPANY, COUNTERPARTY)
    assert found(claims, System.BITRIX24) == {COMPANY: (COMPANY, False)}


def test_places_are_kept_with_what_was_gathered_and_go_together(claims: RedisClaims, client: redis.Redis) -> None:
    add(claims, COMPANY, COUNTERPARTY)
    add(claims, OTHER_COMPANY, COUNTERPARTY)
    assert claims.places() == {"bitrix24": "43"}
    keys = list(client.scan_iter("sync:rebuild:*"))
    assert len(keys) == 4
    assert all(KEPT_SECONDS - 60 < client.ttl(key) <= KEPT_SECONDS for key in keys)
    claims.clear()
    assert list(client.scan_iter("*")) == []


def test_a_new_link_is_saved_once(client: redis.Redis) -> None:
    link = Link(bitrix24=COMPANY, onec=COUNTERPARTY)
    assert [RedisNewLinks(client).save(link) for _ in range(2)] == ["saved", "known"]
    assert RedisLinks(client).find(COMPANY) == RedisLinks(client).find(COUNTERPARTY) == link


@pytest.mark.parametrize(
    "there",
    [
        Link(bitrix24=OTHER_COMPANY, onec=COUNTERPARTY),
        Link(bitrix24=COMPANY, onec=OTHER_COUNTERPARTY),
        Link(bitrix24=COMPANY, onec=OTHER_COUNTERPARTY, deleted_in=System.ONEC),
    ],
)
def test_a_link_that_is_there_stays(client: redis.Redis, there: Link) -> None:
    links = RedisLinks(client)
    links.save(there)
    assert RedisNewLinks(client).save(Link(bitrix24=COMPANY, onec=COUNTERPARTY)) == "other"
    assert links.all()[0] == [there]


def test_a_tombstone_of_the_two_stays_one(client: redis.Redis) -> None:
    buried = Link(bitrix24=COMPANY, onec=COUNTERPARTY, deleted_in=System.BITRIX24)
    RedisLinks(client).save(buried)
    assert RedisNewLinks(client).save(Link(bitrix24=COMPANY, onec=COUNTERPARTY)) == "known"
    assert RedisLinks(client).find(COMPANY) == buried


def test_progress_is_kept_for_its_job_alone(client: redis.Redis) -> None:
    one, other = RedisProgress(client, "one"), RedisProgress(client, "other")
    one.note("contact", "50")
    one.note("contact", "100")
    one.note("lead", "done")
    assert (one.read(), other.read()) == ({"contact": "100", "lead": "done"}, {})
    one.clear()
    assert one.read() == {}
