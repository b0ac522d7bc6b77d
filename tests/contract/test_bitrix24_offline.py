"""The offline queue over real HTTP: tokens, budget, refusals, rows, what `doctor` says, and answers that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import requests
import responses

from sandbox.portal.settings import ApplicationSettings
from sync_worker.domain.doorbell import codes_to_hear
from sync_worker.errors import CircuitOpen, Misconfigured, RateLimited, RemoteRejected, RemoteUnavailable
from sync_worker.gateways.bitrix24.application import LONGEST_WAIT_SECONDS, ApplicationClient
from sync_worker.gateways.bitrix24.examine_offline import NoOfflineExaminer, OfflineExaminer
from sync_worker.gateways.bitrix24.oauth import OAuthSession
from sync_worker.gateways.bitrix24.offline import Bitrix24Offline
from sync_worker.gateways.bitrix24.transport import TokenTransport, Transport
from tests.contract.portal_world import everything_said
from tests.fakes.offline import MemoryTokens
from tests.fakes.stores import FakeClock, MemoryLocks
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import Peer, running

CODES = codes_to_hear(smart_invoices=True)
APPLICATION = ApplicationSettings()


class World:
    """A portal, and its local application as we run it."""

    def __init__(self, url: str, http: requests.Session, peer: Peer | None = None) -> None:
        self.url = url
        self._peer = peer
        self.governor, self.tokens, self.slept = StandInGovernor(), MemoryTokens(), list[float]()
        self.clock = FakeClock()
        session = OAuthSession(
            transport=TokenTransport(server=url, http=http),
            client_id=APPLICATION.client_id,
            client_secret=APPLICATION.client_secret,
            first_refresh_token=APPLICATION.refresh_token,
            keeper=self.tokens,
            alone=lambda: MemoryLocks().hold("oauth"),
            clock=self.clock,
        )
        self.client = ApplicationClient(
            transport=Transport(webhook_url=f"{url}/rest", http=http),
            session=session,
            governor=self.governor,
            sleep=self.slept.append,
        )
        self.queue = Bitrix24Offline(client=self.client)

    @property
    def peer(self) -> Peer:
        assert self._peer is not None
        return self._peer

    def contact(self, *names: str) -> None:
        for name in names:
            self.peer.call("crm.contact.add", fields={"LAST_NAME": name})


@contextmanager
def world_of(**settings: Any) -> Iterator[World]:
    with running(**settings) as peer, requests.Session() as http:
        yield World(peer.url, http, peer)


@pytest.fixture
def world() -> Iterator[World]:
    with world_of() as world:
        yield world


# --- the client ------------------------------------------------------------------------------------------------------


def test_a_call_asks_for_the_budget_and_tells_what_it_took(world: World) -> None:
    assert world.client.call("feature.get", CODE="rest_offline_extended") == {"value": "Y"}

    (take,) = world.governor.takes
    assert (take.lane, take.wanted, take.is_batch) == ("live", {"feature.get": 1}, False)
    (settled,) = world.governor.settled
    assert settled.spent["feature.get"].commands == 1
    assert not settled.is_failed


def test_a_token_that_ends_is_renewed_and_the_call_is_made_again(world: World) -> None:
    world.client.call("server.time")
    world.peer.portal.oauth.expire()

    world.client.call("server.time")

    assert len(world.tokens.saved) == 2
    assert len(world.governor.takes) == 3
    assert world.governor.failures == []


def test_an_application_that_is_shut_out_never_opens_the_circuit(world: World) -> None:
    world.client.call("server.time")
    world.peer.portal.oauth.revoke()

    with pytest.raises(Misconfigured) as caught:
        world.client.call("server.time")

    assert "B24_OAUTH_REFRESH_TOKEN" in str(caught.value)
    said = everything_said(caught.value)
    assert [one.refresh for one in world.tokens.saved if one.refresh in said or one.access in said] == []
    assert APPLICATION.client_secret not in said
    assert world.governor.failures == []


@pytest.mark.parametrize("faults", ["licence:profile", "blocked:profile"])
def test_whatever_shuts_a_call_out_is_the_applications_own(faults: str) -> None:
    with world_of(faults=faults) as world:
        with pytest.raises(Misconfigured, match="local application"):
            world.client.call("profile")
        assert world.governor.failures == []


@pytest.mark.parametrize("faults", ["reset_after:profile", "html:profile", "http500:profile", "http502:profile"])
def test_a_lost_answer_may_be_asked_for_again(faults: str) -> None:
    with world_of(faults=f"{faults}=1x1") as world:
        with pytest.raises(RemoteUnavailable):
            world.client.call("profile")
        assert world.governor.settled[-1].is_failed
        assert world.client.call("profile")["ID"] == "1"


def test_a_portal_that_refuses_for_the_rate_makes_everybody_step_back() -> None:
    with world_of(rate_per_second=0.001, burst=1) as world:
        world.client.call("server.time")
        with pytest.raises(RateLimited):
            world.client.call("server.time")
        assert world.governor.refusals == ["live"]


def test_a_method_that_may_not_run_is_waited_for(world: World) -> None:
    world.governor.blocked = {"profile": 60.0}
    with pytest.raises(RateLimited) as caught:
        world.client.call("profile")
    assert caught.value.retry_after_seconds == 60.0


def test_a_token_of_the_budget_is_waited_for_within_reason(world: World) -> None:
    world.governor.wait_seconds = 2.0

    world.client.call("server.time")

    assert world.slept == [2.0]
    assert [take.is_paid for take in world.governor.takes] == [False, True]


class Spent(StandInGovernor):
    """There is never a token."""

    def take(self, *asked: Any, **how: Any) -> Any:
        return replace(super().take(*asked, **how), wait_seconds=20.0, is_reserved=False)


def test_one_who_never_gets_a_token_comes_back_later(world: World) -> None:
    world.client._governor = Spent()

    with pytest.raises(RateLimited):
        world.client.call("server.time")

    assert LONGEST_WAIT_SECONDS < sum(world.slept) < 2 * LONGEST_WAIT_SECONDS


def test_it_is_no_probe_for_a_portal_that_is_shut(world: World) -> None:
    world.governor.is_probing = True
    with pytest.raises(CircuitOpen):
        world.client.call("server.time")
    assert world.governor.settled[-1].is_failed, "the circuit stays open"
    assert "server.time" not in {call["method"] for call in world.peer.portal.journal}


# --- the queue -------------------------------------------------------------------------------------------------------


def test_all_our_events_are_there_to_be_bound(world: World) -> None:
    for kind in (True, False):
        for code in codes_to_hear(smart_invoices=kind):
            if code not in world.queue.bound():
                assert world.queue.bind(code)
    assert set(world.queue.bound()) == {*CODES, *codes_to_hear(smart_invoices=False)}
    assert not world.queue.bind("ONNOTHING")
    with pytest.raises(RemoteRejected):
        world.queue.bind(CODES[0])  # twice


def test_rows_are_reserved_found_again_and_cleared(world: World) -> None:
    world.queue.bind("ONCRMCONTACTADD")
    world.contact("Первая", "Вторая", "Третья")

    taken = world.queue.reserve()

    assert [row.code for row in taken.rows] == ["ONCRMCONTACTADD"] * 3
    assert [row.fields for row in taken.rows] == [{"ID": "1"}, {"ID": "2"}, {"ID": "3"}]
    (found,) = world.queue.reserved()
    assert (found.process_id, [row.id for row in found.rows]) == (taken.process_id, [row.id for row in taken.rows])
    world.queue.clear(taken.process_id, taken.rows[:1])
    world.queue.mark_failed(taken.process_id, taken.rows[1:2])
    (left,) = world.queue.reserved()
    assert [row.id for row in left.rows] == [taken.rows[2].id]
    assert world.queue.failed() == 1
    assert world.queue.reserve().rows == ()


def test_rows_are_looked_at_and_then_taken_where_the_plan_has_no_reservation() -> None:
    with world_of(reserves_offline_rows=False) as world:
        world.queue.bind("ONCRMCONTACTADD")
        world.contact("Первая", "Вторая")
        assert not world.queue.can_reserve()

        seen = world.queue.look()
        world.contact("Третья")
        world.queue.remove(seen)

        assert len(seen) == 2
        assert [row.fields["ID"] for row in world.queue.look()] == ["3"], "what came meanwhile stays"


@pytest.mark.parametrize(("value", "has_it"), [("Y", True), ("N", False), ("en_selfhosted", True)])
def test_a_self_hosted_portal_has_reservation(value: str, has_it: bool) -> None:
    with canned() as (world, mock):
        mock.add(responses.POST, f"{world.url}/rest/feature.get", json={"result": {"value": value}})
        assert world.queue.can_reserve() is has_it


# --- answers that are none -------------------------------------------------------------------------------------------


@contextmanager
def canned() -> Iterator[tuple[World, responses.RequestsMock]]:
    with responses.RequestsMock() as mock, requests.Session() as http:
        tokens = {"access_token": "a", "refresh_token": "r", "expires_in": 3600}
        mock.add(responses.GET, "https://portal.example/oauth/token/", json=tokens)
        yield World("https://portal.example", http), mock


@pytest.mark.parametrize(
    "result",
    [
        True,
        {"process_id": "p"},
        {"process_id": "p", "events": {"0": {}}},
        {"process_id": "p", "events": [{"EVENT_NAME": "X"}]},
        {"process_id": "p", "events": ["row"]},
        {"process_id": None, "events": [{"ID": "1"}]},
    ],
)
def test_an_answer_that_is_no_list_of_rows_is_not_taken_for_an_empty_one(result: Any) -> None:
    with canned() as (world, mock):
        mock.add(responses.POST, f"{world.url}/rest/event.offline.get", json={"result": result})
        with pytest.raises(RemoteUnavailable):
            world.queue.reserve()


def test_a_row_may_lack_all_but_its_id() -> None:
    rows = [{"ID": 5, "EVENT_DATA": False}, {"ID": "6", "EVENT_NAME": "onCrmDealAdd", "EVENT_DATA": {"FIELDS": []}}]
    with canned() as (world, mock):
        answer = {"result": {"process_id": "p", "events": rows}}
        mock.add(responses.POST, f"{world.url}/rest/event.offline.get", json=answer)

        bare, half = world.queue.reserve().rows

    assert (bare.id, bare.code, bare.fields, bare.raw) == ("5", "", {}, {"ID": 5, "EVENT_DATA": False})
    assert (half.id, half.code, half.fields) == ("6", "ONCRMDEALADD", {})


def test_bindings_that_are_no_list_are_not_taken_for_none() -> None:
    with canned() as (world, mock):
        mock.add(responses.POST, f"{world.url}/rest/event.get", json={"result": {}})
        with pytest.raises(RemoteUnavailable):
            world.queue.bound()


def test_online_handlers_are_no_offline_ones() -> None:
    rows = [{"event": "ONCRMDEALADD", "offline": 0}, {"event": "onCrmLeadAdd", "offline": "1"}]
    with canned() as (world, mock):
        mock.add(responses.POST, f"{world.url}/rest/event.get", json={"result": rows})
        assert world.queue.bound() == {"ONCRMLEADADD"}


# --- doctor ----------------------------------------------------------------------------------------------------------


def findings(world: World) -> dict[str, Any]:
    return {one.check: one for one in OfflineExaminer(client=world.client, codes=CODES).examine()}


def test_a_queue_that_works_has_nothing_wrong(world: World) -> None:
    for code in CODES:
        world.queue.bind(code)

    told = findings(world)

    assert [one.check for one in told.values() if not one.ok] == []
    assert told["Bitrix24 offline queue"].found.startswith("on: ")
    assert told["Bitrix24 offline events"].found == f"{len(CODES)} of {len(CODES)} are bound"


def test_what_is_not_bound_yet_is_no_fault(world: World) -> None:
    told = findings(world)["Bitrix24 offline events"]
    assert told.ok
    assert "ONCRMDEALADD" in told.found


def test_a_plan_without_reservation_is_told_plainly() -> None:
    with world_of(reserves_offline_rows=False) as world:
        told = findings(world)["Bitrix24 offline queue"]
        assert told.ok
        assert "without reservation" in told.found


def test_somebody_who_is_no_administrator_is_a_fault() -> None:
    with world_of(application=replace(APPLICATION, user_id=2)) as world:
        told = findings(world)
        assert not told["Bitrix24 user of the application"].ok
        assert not told["Bitrix24 application answers"].ok
        assert "administrator" in told["Bitrix24 application answers"].found


def test_rows_that_failed_are_a_fault(world: World) -> None:
    world.queue.bind("ONCRMCONTACTADD")
    world.contact("Первая")
    taken = world.queue.reserve()
    world.queue.mark_failed(taken.process_id, taken.rows)

    told = findings(world)["Bitrix24 rows marked as failed"]

    assert (told.ok, told.found) == (False, "1")


def test_a_token_that_is_not_valid_says_what_to_do(world: World) -> None:
    world.peer.portal.oauth.revoke()

    (told,) = findings(world).values()

    assert not told.ok
    assert "B24_OAUTH_REFRESH_TOKEN" in told.found


def test_without_an_application_it_is_off_and_that_is_no_fault() -> None:
    (told,) = NoOfflineExaminer().examine()
    assert told.ok
    assert told.found.startswith("off")
