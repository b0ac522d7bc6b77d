"""One budget for all who spend it: two workers, one that dies, somebody else's program, and a thousand doorbells."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sandbox.portal import crm
from sandbox.portal.entities import CONTACT
from tests.process.exchange import (
    APPLICATION_TOKEN,
    B24_SECRET,
    PLAN_RULES,
    CeleryProcess,
    Exchange,
    exchange,
    standard_portal,
    wait_until,
)
from tests.process.test_survival import agree_on_all

pytestmark = pytest.mark.process

BURST = 400
SHARED_BURST = 30
DOORBELLS = 1000
OTHER_SECRET, OTHER_USER = "n4x8w2r6t0y5u9p1", 2
OTHER_PAUSE_SECONDS = 0.1  # ten calls a second, of a budget of two


def test_two_workers_share_one_budget_and_one_of_them_dies(tmp_path: Path) -> None:
    with exchange(tmp_path / "place", portal=standard_portal(), rules=PLAN_RULES) as place:
        second = place.start_worker("second")
        ids = add_contacts(place, BURST)
        wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="every event is accepted")
        wait_until(lambda: len(place.parties()) >= BURST // 4, what="a quarter is done")
        second.kill()
        done_at_the_kill = len(place.parties())

        wait_until(lambda: agree_on_all(place, ids), seconds=180, what="each contact has its counterparty")
        wait_until(place.is_quiet, seconds=60, what="nothing waits any more")

        assert done_at_the_kill < BURST, "the worker was killed too late to prove anything"
        assert created(second) > 0, "the second worker had no part in it"
        assert created(place.worker) > 0
        assert_each_once(place, BURST)
        assert place.portal_journal()["counters"]["refused_503"] == 0
        assert place.portal_journal()["counters"]["refused_429"] == 0


def test_a_budget_that_somebody_else_spends_as_well_is_enough_in_the_end(tmp_path: Path) -> None:
    portal = standard_portal(secrets={B24_SECRET: 1, OTHER_SECRET: OTHER_USER})
    with exchange(tmp_path / "place", portal=portal, rules=PLAN_RULES) as place:
        with somebody_else(place):
            wait_until(lambda: refused(place, user=OTHER_USER) > 0, what="the other one has spent it all")
            ids = add_contacts(place, SHARED_BURST)
            wait_until(lambda: refused(place, user=1) >= 2, what="we are refused, and once more after the first pause")

        wait_until(lambda: agree_on_all(place, ids), seconds=180, what="each contact has its counterparty")
        wait_until(place.is_quiet, seconds=60, what="nothing waits any more")

        told = json.loads(place.command("budget", "--json").stdout)
        assert told["lanes"]["live"]["refused_requests"] == refused(place, user=1)
        assert told["requests"]["rate_per_second"] < told["requests"]["plan_rate_per_second"]
        assert 'outcome="failed"' not in place.http.get(f"{place.ingress_url}/metrics", timeout=10).text
        assert_each_once(place, SHARED_BURST)


def test_a_thousand_doorbells_of_one_deal_are_answered_together(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        contact = place.portal_form("contacts", last_name="Звонарёв")
        deal = place.portal_form("deals", title="Колокол", contact_id=contact, opportunity=100)
        place.portal_form(f"deals/{deal}", stage_id="EXECUTING")
        wait_until(place.orders, what="the deal is in 1C")
        wait_until(place.is_quiet, what="nothing waits any more")
        place.worker.kill()
        place.portal.faults.replace("event_loss")
        place.portal_form(f"deals/{deal}", title="Колокол и язык")
        commands_before = place.portal_journal()["counters"]["commands"]

        ring(place, deal, DOORBELLS)
        place.worker.start()

        wait_until(lambda: place.waiting() == 0 and place.is_quiet(), what="all of them are answered")
        assert place.portal_journal()["counters"]["commands"] - commands_before <= 3
        assert [order["external_id"] for order in place.orders()] == [f"b24:deal:{deal}"]
        assert "язык" in json.dumps(place.orders(), ensure_ascii=False), "nobody looked at the deal"


def add_contacts(place: Exchange, count: int) -> list[int]:
    world = place.portal.world
    wishes = (crm.Wish(values={"LAST_NAME": f"Общий{number}"}) for number in range(count))
    with world.lock:
        return [int(crm.create(world, CONTACT, wish, author=1)["ID"]) for wish in wishes]


def ring(place: Exchange, deal: int, times: int) -> None:
    form = {
        "event": "ONCRMDEALUPDATE",
        "data[FIELDS][ID]": str(deal),
        "ts": str(int(time.time())),
        "auth[application_token]": APPLICATION_TOKEN,
    }
    for _ in range(times):
        assert place.http.post(f"{place.ingress_url}/webhooks/bitrix24", data=form, timeout=10).status_code == 202


@contextmanager
def somebody_else(place: Exchange) -> Iterator[None]:
    """Another program with a webhook of its own, that asks nobody and never steps back."""
    stopped = threading.Event()
    url = f"{place.portal_url}/rest/{OTHER_USER}/{OTHER_SECRET}/profile"

    def call_on_and_on() -> None:
        with requests.Session() as http:
            while not stopped.wait(OTHER_PAUSE_SECONDS):
                http.post(url, json={}, timeout=10)

    threads = [threading.Thread(target=call_on_and_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def refused(place: Exchange, *, user: int) -> int:
    calls = list(place.portal.journal)
    return sum(call["user"] == user and call["error"] == "QUERY_LIMIT_EXCEEDED" for call in calls)


def created(worker: CeleryProcess) -> int:
    """How many counterparties this worker made, as its log tells."""
    return sum('"outcome": "created"' in line for line in worker.log().splitlines())


def assert_each_once(place: Exchange, count: int) -> None:
    names = [party["name"] for party in place.parties()]
    assert len(names) == len(set(names)) == len(place.portal_state()["contacts"]) == count
    assert "no dead letters" in place.command("dead", "list").stdout
