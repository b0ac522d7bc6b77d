"""Workers are killed and Redis restarts: both sides are right afterwards."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import redis

from sync_worker.settings import broker_visibility_seconds
from tests.process.exchange import Exchange, exchange, wait_until
from tests.services import RedisServer

pytestmark = pytest.mark.process

EVENTS = 200


def add_contacts(place: Exchange, count: int) -> list[int]:
    return [
        place.portal_form("contacts", last_name=f"Фамилия{number}", name="Имя", email=f"person{number}@example.com")
        for number in range(count)
    ]


def agree_on_all(place: Exchange, ids: list[int]) -> bool:
    """Each contact has one counterparty and carries its ref; there is no other counterparty."""
    refs = {party["external_id"]: party["ref"] for party in place.parties()}
    cards = {int(card["ID"]): card.get("UF_CRM_1C_ID") for card in place.portal_state()["contacts"]}
    return all(cards[id_] and cards[id_] == refs.get(f"b24:contact:{id_}") for id_ in ids)


def test_events_wait_in_the_broker_while_the_state_is_away(tmp_path: Path) -> None:
    broker = RedisServer(tmp_path / "broker").start()
    try:
        with exchange(tmp_path / "place", broker_url=broker.url(1)) as place:
            place.portal_form("contacts", last_name="Первая", email="first@example.com")
            wait_until(lambda: len(place.parties()) == 1, what="the worker works")

            place.redis.kill()
            ids = add_contacts(place, 20)
            wait_until(lambda: "store_unavailable" in place.worker.log(), what="the worker noticed")
            place.redis.start()

            wait_until(lambda: agree_on_all(place, ids), seconds=120, what="all contacts have their counterparties")
            assert len(place.parties()) == 21
            assert "no dead letters" in place.command("dead", "list").stdout
    finally:
        broker.kill()


def test_what_a_living_worker_holds_is_given_to_nobody_else(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        second = place.start_worker("second")
        longer_than_patience = 3 * broker_visibility_seconds()
        place.portal.faults.replace(f"hang=1x1@{longer_than_patience}")

        [id_] = add_contacts(place, 1)

        wait_until(lambda: agree_on_all(place, [id_]), what="the contact has its counterparty")
        received = re.findall(r"Task sync\.contact\[([0-9a-f-]+)\] received", place.worker.log() + second.log())
        assert place.portal.faults.faults[0].times == 0, "nobody had to wait, so nothing was proven"
        assert len(received) == len(set(received))


def test_a_message_that_redis_lost_on_its_way_to_a_worker_is_sent_again(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        place.worker.kill()
        ids = add_contacts(place, 1)
        wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="the event is accepted")
        with redis.Redis.from_url(place.redis.url(1)) as broker:
            lost = wait_until(lambda: broker.rpop("sync:contact"), what="what a worker's BRPOP does before Redis dies")

        place.worker.start()

        wait_until(lambda: agree_on_all(place, ids), what="the contact has its counterparty all the same")
        assert b"sync.contact" in lost
        assert "event_found_again" in place.worker.log()
        wait_until(lambda: accepted(place) == [], what="the ledger is empty once everything is handled")


def accepted(place: Exchange) -> list[str]:
    with redis.Redis.from_url(place.redis.url(1), decode_responses=True) as broker:
        return list(broker.hkeys("sync:accepted"))


def test_a_killed_worker_and_a_restarted_redis_lose_nothing_and_make_nothing_twice(tmp_path: Path) -> None:
    with exchange(tmp_path / "place", rate=40) as place:
        ids = add_contacts(place, EVENTS)
        # what comes while the broker is away gets no 202, and the portal never sends it again: so all of it before
        wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="every event is accepted")
        wait_until(lambda: len(place.parties()) >= EVENTS // 4, what="a quarter is done")

        place.worker.kill()
        done_at_the_kill = len(place.parties())
        place.worker.start()
        wait_until(lambda: len(place.parties()) >= EVENTS // 2, what="half is done")
        place.redis.kill()
        done_at_the_restart = len(place.parties())
        place.redis.start()

        wait_until(lambda: agree_on_all(place, ids), seconds=120, what="all contacts have their counterparties")
        wait_until(place.is_quiet, seconds=120, what="nothing waits any more")
        assert done_at_the_kill < EVENTS, "the worker was killed too late to prove anything"
        assert done_at_the_restart < EVENTS, "Redis was restarted too late to prove anything"
        assert place.worker.is_running, "the worker ended when Redis did"
        names = Counter(party["name"] for party in place.parties())
        assert len(names) == EVENTS
        assert max(names.values()) == 1
        assert len(place.portal_state()["contacts"]) == EVENTS
        assert "no dead letters" in place.command("dead", "list").stdout
        assert place.portal_journal()["counters"]["refused_503"] == 0
