"""A backlog in the bulk lane: a manager's edit goes before it, and it comes to its end all the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from ingress.publisher import Publisher
from sync_worker.contract import (
    ChangeEvent,
    EntityKind,
    Lane,
    RecordType,
    event_message,
    lane_queues,
    new_trace,
    queue_name,
)
from sync_worker.domain.identity import bitrix24_ref
from tests.process.exchange import PLAN_RULES, Exchange, exchange, standard_portal, wait_until
from tests.process.test_survival import agree_on_all
from tests.process.trials import add_contacts

pytestmark = pytest.mark.process

BACKLOG = 300
EDITS = 5
LETTERS = 25


def test_live_edits_arrive_before_a_backlog_that_drains(tmp_path: Path) -> None:
    with exchange(tmp_path / "place", portal=standard_portal(), rules=PLAN_RULES) as place:
        live = [place.portal_form("contacts", last_name=f"Живой{number}") for number in range(EDITS)]
        wait_until(lambda: agree_on_all(place, live), what="the live ones are linked")
        wait_until(place.is_quiet, what="nothing waits")
        bulk = add_contacts(place, [f"Оптовый{number}" for number in range(BACKLOG)], silent=True)  # as before our time
        publish_bulk(place, bulk)
        wait_until(lambda: arrived(place, "Оптовый") > 0, what="the backlog drains")

        left_behind_each = [BACKLOG - arrived_before(place, id_, number) for number, id_ in enumerate(live)]

        assert min(left_behind_each) > 0, "the backlog was through before a live edit"
        wait_until(lambda: agree_on_all(place, bulk), seconds=120, what="the backlog comes to its end")
        wait_until(place.is_quiet, what="nothing waits any more")
        assert arrived(place, "") == BACKLOG + EDITS
        lanes = json.loads(place.command("budget", "--json").stdout)["lanes"]
        assert lanes["bulk"]["events"] == BACKLOG
        assert lanes["live"]["events"] >= 2 * EDITS
        counters = place.portal_journal()["counters"]
        assert (counters["refused_503"], counters["refused_429"]) == (0, 0)
        assert "no dead letters" in place.command("dead", "list").stdout


def test_replayed_letters_go_to_the_bulk_queues(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        deals = [place.portal_form("deals", title=f"Ничья {number}", opportunity=100) for number in range(LETTERS)]
        for id_ in deals:
            place.portal_form(f"deals/{id_}", stage_id="EXECUTING")
        wait_until(lambda: len(letters(place)) == LETTERS, what="a letter for each deal that names nobody")
        contact = place.portal_form("contacts", last_name="Нашёлся")
        wait_until(lambda: agree_on_all(place, [contact]), what="there is somebody to name")
        wait_until(place.is_quiet, what="nothing waits any more")
        place.portal.faults.replace("event_loss")
        for id_ in deals:
            place.portal_form(f"deals/{id_}", contact_id=contact)
        place.worker.kill()
        place.start_worker("live", queues=lane_queues(Lane.LIVE))  # upkeep goes on, bulk work waits

        wanted = place.command("dead", "replay", "--cause", "no_counterparty", "--no-wait", "--json")

        assert json.loads(wanted.stdout)["run"]["total"] == LETTERS
        wait_until(lambda: queued(place, Lane.BULK) == LETTERS, what="all are sent, in the bulk lane")
        assert queued(place, Lane.LIVE) == 0
        place.portal.faults.replace("")
        place.worker.start()
        wait_until(lambda: len(place.orders()) == LETTERS, what="an order for each deal")
        wait_until(lambda: letters(place) == [], what="the letters go")
        handled = json.loads(place.command("budget", "--json").stdout)["lanes"]["bulk"]
        assert handled["events"] == LETTERS
        assert handled["commands"] >= LETTERS


def publish_bulk(place: Exchange, contacts: list[int]) -> None:
    publisher = Publisher(place.environment["BROKER_URL"])
    publisher.publish([event_message(bulk_event(id_)) for id_ in contacts])
    publisher.close()


def bulk_event(contact: int) -> ChangeEvent:
    return ChangeEvent(
        entity=EntityKind.CONTACT,
        record=bitrix24_ref(RecordType.CONTACT, contact),
        seen_at=datetime.now(UTC),
        trace=new_trace(),
        lane=Lane.BULK,
    )


def arrived_before(place: Exchange, contact: int, number: int) -> int:
    """Save a live contact; how much of the backlog had arrived when 1C had the edit?"""
    name = f"Правка{number}"
    place.portal_form(f"contacts/{contact}", last_name=name)
    wait_until(lambda: arrived(place, name), what="the live edit is in 1C")
    return arrived(place, "Оптовый")


def arrived(place: Exchange, start: str) -> int:
    return sum(party["name"].startswith(start) for party in place.parties())


def letters(place: Exchange) -> list[dict[str, Any]]:
    return list(json.loads(place.command("dead", "list", "--json").stdout)["letters"])


def queued(place: Exchange, lane: Lane) -> int:
    with redis.Redis.from_url(place.redis.url(1)) as broker:
        return sum(int(broker.llen(f"sync:{queue_name(kind, lane)}")) for kind in EntityKind)
