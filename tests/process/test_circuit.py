"""A portal that is down or has shut us out: one alarm, nothing burns its tries, and all goes on by itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sync_worker.store.client import connect
from sync_worker.store.governor import Governor
from tests.process.exchange import Exchange, exchange, wait_until
from tests.process.test_survival import agree_on_all

pytestmark = pytest.mark.process

WORDS = {  # the portal's own, which an operator has to see
    "expired": "The access token provided has expired",
    "blocked": "REST API is blocked due to overload",
    "licence": "REST API is available only on commercial plans",
}
FAILURES_THAT_OPEN = 5
ALARM = "Bitrix24 is shut to us"


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all outages: each test leaves it as it found it, with a few contacts more."""
    with exchange(tmp_path_factory.mktemp("circuit")) as place:
        add_contacts(place, "Разогрев", 1)
        wait_until(lambda: len(place.parties()) == 1, what="the exchange works")
        yield place


@pytest.fixture
def place(shared_place: Exchange) -> Iterator[Exchange]:
    wait_until(shared_place.is_quiet, what="nothing waits")
    yield shared_place
    strike(shared_place, "")


def test_a_portal_that_is_down_is_found_up_again_by_the_probe(place: Exchange) -> None:
    """The first one here: stock is taken every ten seconds, and tells of an outage for as long after its end."""
    before = Figures(place)
    assert not metric(place, "sync_bitrix24_circuit_open")
    strike(place, "reset_before")
    ids = add_contacts(place, "Лежит", 12)
    wait_until(lambda: metric(place, "sync_parked_events") == len(ids), what="all of them wait")
    assert budget(place)["circuit"]["cause"] == "remote_unavailable"
    wait_until(lambda: metric(place, "sync_bitrix24_circuit_open"), what="/metrics tells it")
    strike(place, "")
    requests_without_answer = before.new_requests()

    wait_until(lambda: agree_on_all(place, ids), seconds=120, what="the probe comes by itself, and everything after it")

    assert FAILURES_THAT_OPEN <= requests_without_answer <= 2 * len(ids), "those that open it, and what was under way"
    assert [line["event"][: len(ALARM)] for line in before.new_errors()] == [ALARM]
    assert budget(place)["circuit"] is None
    assert_each_once(place)


@pytest.mark.parametrize("kind", WORDS)
def test_a_portal_that_shuts_us_out_costs_nothing_but_time(place: Exchange, kind: str) -> None:
    before = Figures(place)
    strike(place, kind)
    ids = add_contacts(place, kind, 1)
    wait_until(before.new_errors, what="the alarm")
    ids += add_contacts(place, f"{kind} позже", 10)
    wait_until(lambda: place.is_accepted("ONCRMCONTACTADD", ids), what="events are accepted as ever")
    wait_until(lambda: metric(place, "sync_parked_events") == len(ids), what="all of them wait")
    requests_before_doctor = before.new_requests()

    told, examined = budget(place), findings(place)

    assert told["circuit"]["cause"] == "shut_out"
    assert WORDS[kind] in told["circuit"]["message"]
    assert told["backlog"]["parked"] == len(ids)
    assert not examined["Bitrix24 answers"]["ok"]
    assert WORDS[kind] in examined["Bitrix24 answers"]["found"]
    assert "probe" not in examined["Bitrix24 answers"]["found"], "doctor did not ask the portal itself"
    assert requests_before_doctor <= 2, "the call that found it out, and the first probe if this machine is slow"
    assert requests_before_doctor < before.new_requests() <= requests_before_doctor + 2

    strike(place, "")
    assert "Bitrix24 answers" not in findings(place)
    assert budget(place)["circuit"] is None
    bring_forward(place)
    wait_until(lambda: agree_on_all(place, ids), what="everything arrives")
    assert [line["event"][: len(ALARM)] for line in before.new_errors()] == [ALARM]
    assert WORDS[kind] in before.new_errors()[0]["event"]
    assert before.new_failed_tries() == 0
    assert_each_once(place)


def test_a_probe_that_fails_is_no_try_of_the_event_that_made_it(place: Exchange) -> None:
    before = Figures(place)
    strike(place, "reset_before")
    ids = add_contacts(place, "Проба", FAILURES_THAT_OPEN + 3)
    wait_until(lambda: metric(place, "sync_parked_events") == len(ids), what="all of them wait")
    tries, requests = before.new_failed_tries(), before.new_requests()
    governor = governor_of(place)

    for number in range(1, 4):
        governor.probe_now()
        bring_forward(place)
        wait_until(lambda wanted=requests + number: before.new_requests() >= wanted, what="a probe")
        wait_until(lambda: metric(place, "sync_parked_events") == len(ids), what="all of them wait again")

    assert before.new_requests() == requests + 3, "one call for each probe, however many wait"
    assert before.new_failed_tries() == tries
    strike(place, "")
    governor.probe_now()
    bring_forward(place)
    wait_until(lambda: budget(place)["circuit"] is None, what="a probe came through")
    bring_forward(place)
    wait_until(lambda: agree_on_all(place, ids), what="everything arrives")
    assert len(before.new_errors()) == 1
    assert_each_once(place)


class Figures:
    """What is new since it was made."""

    def __init__(self, place: Exchange) -> None:
        self._place = place
        self._errors, self._requests = len(errors(place)), len(place.portal.journal)
        self._failed_tries = failed_tries(place)

    def new_errors(self) -> list[dict[str, Any]]:
        return errors(self._place)[self._errors :]

    def new_requests(self) -> int:
        return len(self._place.portal.journal) - self._requests

    def new_failed_tries(self) -> int:
        return failed_tries(self._place) - self._failed_tries


def strike(place: Exchange, spec: str) -> None:
    """Put faults of the portal in force; blank ends them."""
    place.http.post(f"{place.portal_url}/_sandbox/faults", json={"spec": spec}, timeout=5).raise_for_status()


def add_contacts(place: Exchange, name: str, count: int) -> list[int]:
    return [place.portal_form("contacts", last_name=f"{name} {number}") for number in range(count)]


def errors(place: Exchange) -> list[dict[str, Any]]:
    """The lines at level error, or worse, in the worker's log."""
    lines = (json.loads(line) for line in place.worker.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line["level"] in {"error", "critical"}]


def metric(place: Exchange, name: str, labels: str = "") -> float | None:
    text = place.http.get(f"{place.ingress_url}/metrics", timeout=10).text
    found = re.search(rf"^{re.escape(name + labels)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def failed_tries(place: Exchange) -> int:
    return int(metric(place, "sync_events_total", '{entity="contact",lane="live",outcome="failed"}') or 0)


def budget(place: Exchange) -> dict[str, Any]:
    return dict(json.loads(place.command("budget", "--json").stdout))


def findings(place: Exchange) -> dict[str, Any]:
    return {one["check"]: one for one in json.loads(place.command("doctor", "--json").stdout)["findings"]}


def governor_of(place: Exchange) -> Governor:
    limits = {"rate_per_second": 500, "burst": 2000, "live_share": 0.3, "operating_limit_seconds": 480}
    return Governor(connect(place.redis.url(0)), name="bitrix24", **limits)


def bring_forward(place: Exchange) -> None:
    """The time of all that is parked has come: a test need not wait as long as the exchange would."""
    with redis.Redis.from_url(place.redis.url(0)) as store:
        if parked := store.zrange("sync:parked:ready", 0, -1):
            store.zadd("sync:parked:ready", dict.fromkeys(parked, int(time.time() * 1000)), xx=True)


def assert_each_once(place: Exchange) -> None:
    names = [party["name"] for party in place.parties()]
    assert len(names) == len(set(names)) == len(place.portal_state()["contacts"])
    assert "no dead letters" in place.command("dead", "list").stdout
