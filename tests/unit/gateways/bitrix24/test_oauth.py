"""A local application's tokens: when they are renewed, what is kept, and what an error says and does not say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses

from sync_worker.domain.offline import Tokens
from sync_worker.errors import Misconfigured, RecordBusy, RemoteUnavailable, StoreUnavailable, SyncError
from sync_worker.gateways.bitrix24.oauth import OAuthSession
from sync_worker.gateways.bitrix24.transport import TokenTransport
from tests.contract.portal_world import everything_said
from tests.fakes.offline import MemoryTokens
from tests.fakes.stores import FakeClock, MemoryLocks

SERVER = "https://oauth.example"
KEY, FIRST = "key-of-the-application", "first-refresh-token"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
# Source: settings/oauth/auto-renewal.md, read 2026-11
DOCUMENTED: dict[str, Any] = {
    "access_token": "ydtj8pho532wydb5ixk78ol7uqlb7sch",
    "client_endpoint": "https://portal.bitrix24.com/rest/",
    "domain": "oauth.bitrix24.tech",
    "expires": 1780319382,
    "expires_in": 3600,
    "member_id": "a223c6b3710f85df22e9377d6c4f7553",
    "refresh_token": "3s6lr4kr3cv2od4v853gvrchb875bwxb",
    "scope": "app",
    "server_endpoint": "https://oauth.bitrix24.tech/rest/",
    "status": "T",
    "user_id": 67,
}
KEPT = Tokens(access="a-kept", refresh="r-kept", expires_at=NOW + timedelta(minutes=30))


class World:
    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock
        self.keeper, self.locks, self.clock = MemoryTokens(), MemoryLocks(), FakeClock(time=NOW)
        self.http = requests.Session()

    def session(self) -> OAuthSession:
        """Another process's."""
        return OAuthSession(
            transport=TokenTransport(server=f"{SERVER}/", http=self.http),
            client_id="local.65a1",
            client_secret=KEY,
            first_refresh_token=FIRST,
            keeper=self.keeper,
            alone=lambda: self.locks.hold("oauth"),
            clock=self.clock,
        )

    def answer(self, envelope: Any = None, *, status: int = 200, **how: Any) -> None:
        content = {} if "body" in how else {"json": envelope}
        self.mock.add(responses.GET, f"{SERVER}/oauth/token/", status=status, **content, **how)

    def sent(self) -> list[str]:
        """The refresh tokens that were used, in order."""
        queries = [dict(parse_qsl(urlsplit(str(call.request.url)).query)) for call in self.mock.calls]
        assert all(query["grant_type"] == "refresh_token" for query in queries)
        assert all((query["client_id"], query["client_secret"]) == ("local.65a1", KEY) for query in queries)
        return [query["refresh_token"] for query in queries]


@pytest.fixture
def world() -> Iterator[World]:
    with responses.RequestsMock() as mock:
        world = World(mock)
        yield world
        world.http.close()


def failure(session: OAuthSession) -> SyncError:
    with pytest.raises(SyncError) as caught:
        session.access_token()
    said = everything_said(caught.value)
    assert [secret for secret in (KEY, FIRST, KEPT.refresh, KEPT.access) if secret in said] == []
    return caught.value


def test_the_first_token_comes_from_the_settings_and_the_next_one_is_kept(world: World) -> None:
    world.answer(DOCUMENTED)

    assert world.session().access_token() == DOCUMENTED["access_token"]

    assert world.sent() == [FIRST]
    (saved,) = world.keeper.saved
    assert (saved.refresh, saved.expires_at) == (DOCUMENTED["refresh_token"], NOW + timedelta(hours=1))
    assert DOCUMENTED["refresh_token"] not in repr(saved)


def test_a_token_is_used_while_it_lasts_by_every_process(world: World) -> None:
    world.keeper.tokens = KEPT

    assert [world.session().access_token() for _ in range(3)] == ["a-kept"] * 3
    assert world.sent() == []


def test_a_token_that_is_nearly_over_is_renewed_with_the_newest_refresh_token(world: World) -> None:
    world.keeper.tokens = KEPT
    world.clock.sleep(30 * 60 - 20)
    world.answer(DOCUMENTED)

    assert world.session().access_token() == DOCUMENTED["access_token"]
    assert world.sent() == ["r-kept"]


def test_who_comes_second_takes_what_the_first_one_got(world: World) -> None:
    world.keeper.tokens = KEPT

    assert world.session().renew("one-that-was-before") == "a-kept"
    assert world.sent() == []


def test_while_another_process_renews_it_is_not_done_twice(world: World) -> None:
    with world.locks.hold("oauth"), pytest.raises(RecordBusy):
        world.session().access_token()
    assert world.sent() == []


def test_where_the_newest_is_not_valid_the_one_of_the_settings_is_tried(world: World) -> None:
    world.keeper.tokens = KEPT
    world.answer({"error": "invalid_grant"}, status=400)
    world.answer(DOCUMENTED)

    assert world.session().renew("a-kept") == DOCUMENTED["access_token"]
    assert world.sent() == ["r-kept", FIRST]


def test_no_valid_token_at_all_says_what_to_do(world: World) -> None:
    world.answer({"error": "invalid_grant", "error_description": "Invalid"}, status=400)

    error = failure(world.session())

    assert isinstance(error, Misconfigured)
    assert "B24_OAUTH_REFRESH_TOKEN" in str(error)
    assert world.sent() == [FIRST], "one and the same token is not tried twice"


@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ({"error": "invalid_client"}, 401, Misconfigured, "B24_OAUTH_CLIENT_ID"),
        ({"error": "PAYMENT_REQUIRED", "error_description": "Payment required"}, 402, Misconfigured, "subscription"),
        ({"error": "insufficient_scope"}, 400, Misconfigured, "insufficient_scope"),
        ({"error": "internal"}, 500, RemoteUnavailable, "internal"),
        ({"error": "too_many"}, 429, RemoteUnavailable, "too_many"),
        ({}, 302, RemoteUnavailable, "302"),
        ({}, 200, RemoteUnavailable, "no tokens"),
        ({"access_token": "a", "refresh_token": ""}, 200, RemoteUnavailable, "no tokens"),
        ([], 200, RemoteUnavailable, "no tokens"),
    ],
)
def test_what_is_no_renewal(world: World, body: Any, status: int, kind: type[SyncError], words: str) -> None:
    world.answer(body, status=status)

    error = failure(world.session())

    assert isinstance(error, kind)
    assert words in str(error)
    assert world.keeper.saved == []


@pytest.mark.parametrize(
    "body", [requests.ConnectionError("GET /oauth/token/?refresh_token=r"), requests.ReadTimeout(), "<html>"]
)
def test_no_answer_names_no_address(world: World, body: Any) -> None:
    world.answer(body=body)

    error = failure(world.session())

    assert isinstance(error, RemoteUnavailable)
    assert "refresh_token=" not in everything_said(error)


@pytest.mark.parametrize("told", [None, "soon", 1e400])
def test_without_a_lifetime_it_is_taken_for_an_hour(world: World, told: object) -> None:
    text = '{"access_token": "a", "refresh_token": "r", "expires_in": %s}'
    shown = {"None": "null", "soon": '"soon"', "inf": "Infinity"}[str(told)]
    world.answer(body=text % shown)

    world.session().access_token()

    assert world.keeper.saved[0].expires_at == NOW + timedelta(hours=1)


def test_a_token_that_could_not_be_kept_is_kept_before_anything_else(world: World) -> None:
    world.keeper.failing = [StoreUnavailable("Redis does not do its work")]
    world.answer(DOCUMENTED)
    session = world.session()

    with contextlib.suppress(StoreUnavailable):
        session.access_token()
        pytest.fail("it was used though it was not kept")

    assert session.access_token() == DOCUMENTED["access_token"]
    assert world.sent() == [FIRST], "the old one is used up: it was not asked with again"
    assert len(world.keeper.saved) == 1
