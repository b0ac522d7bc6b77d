"""Who may come in, and who may change something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_worker.sync.office import DeadLetterOffice
from tests.contract.store_worlds import letter
from tests.desk.serving import ANNA, LOGINS, Page, Visitor, desk_process
from tests.services import RedisServer

PAGES = ["/dead-letters", "/dead-letters/story", "/dead-letters/audit", "/dead-letters/replays", "/api/dead-letters"]
FORMS = [
    "/dead-letters/replay",
    "/dead-letters/discard",
    "/dead-letters/letter/1/resolve",
    "/dead-letters/letter/1/replay",
    "/dead-letters/letter/1/discard",
    "/dead-letters/replays/1/cancel",
]


@pytest.fixture(scope="module")
def open_address(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Flower without any login, and with its API opened to all."""
    folder = tmp_path_factory.mktemp("open")
    with desk_process(folder, redis_server, FLOWER_UNAUTHENTICATED_API="true", FLOWER_BASIC_AUTH=":") as found:
        yield found


@pytest.fixture(scope="module")
def read_only_address(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that only shows, under a prefix, and has its metrics open."""
    folder = tmp_path_factory.mktemp("read_only")
    options = ("--read_only=True", "--url_prefix=flower")
    with desk_process(folder, redis_server, *options, FLOWER_BASIC_AUTH=LOGINS, FLOWER_OPEN_PAGES="metrics") as found:
        yield f"{found}/flower"


@pytest.mark.parametrize("login", [None, ("anna", "wrong"), ("", "")])
@pytest.mark.parametrize("path", [*PAGES, "/metrics", "/healthcheck"])
def test_nobody_comes_in_without_the_login(anna: Visitor, path: str, login: tuple[str, str] | None) -> None:
    answer = Visitor(anna.address, login).get(path)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("path", [*PAGES, "/metrics", "/healthcheck", "/workers"])
def test_the_login_opens_them(anna: Visitor, path: str) -> None:
    assert anna.get(path).status_code == 200


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_is_refused(anna: Visitor, path: str) -> None:
    answer = anna.post(path, {"letter": "1"})

    assert answer.status_code == 403
    assert "the form is too old" in Page(answer.text).by_id["problem"]


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}])
def test_a_form_of_another_site_is_refused(anna: Visitor, office: DeadLetterOffice, headers: dict[str, str]) -> None:
    filed = office.letters.add(letter())
    page = anna.page(f"/dead-letters/letter/{filed.id}")

    answer = anna.post(f"/dead-letters/letter/{filed.id}/replay", page.forms["replay-form"], headers=headers)

    assert answer.status_code == 403
    assert office.get(filed.id).sent_at is None


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_the_login_is_refused(anna: Visitor, office: DeadLetterOffice, path: str) -> None:
    filed = office.letters.add(letter())
    token = anna.page(f"/dead-letters/letter/{filed.id}").forms["replay-form"]
    stranger = Visitor(anna.address, None)
    stranger.http.cookies.update(anna.http.cookies)

    assert stranger.post(path, {**token, "letter": filed.id, "reason": "mine"}).status_code == 401
    assert office.get(filed.id) == filed


@pytest.mark.parametrize("path", PAGES)
def test_a_flower_without_login_does_not_show_them(open_address: str, path: str) -> None:
    answer = Visitor(open_address, None).get(path)

    assert answer.status_code == 403
    assert "FLOWER_BASIC_AUTH" in answer.text


@pytest.mark.parametrize("login", [None, ANNA])
def test_a_login_of_nothing_is_none(open_address: str, login: tuple[str, str] | None) -> None:
    """FLOWER_BASIC_AUTH=: would let in whoever gives a blank name and password."""
    assert Visitor(open_address, login).get("/dead-letters").status_code == 403


def test_read_only_shows_and_offers_nothing(read_only_address: str, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter())
    visitor = Visitor(read_only_address)

    pages = [visitor.page("/dead-letters?cause=field_conflict"), visitor.page(f"/dead-letters/letter/{filed.id}")]

    assert pages[0].letters() == [filed.id]
    offered = [named["id"] for page in pages for tag, named in page.tags if tag == "button" and "id" in named]
    assert {"replay-chosen", "discard-chosen", "replay-all", "resolve", "replay", "discard"} & set(offered) == set()


def test_read_only_changes_nothing(read_only_address: str, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter())
    visitor = Visitor(read_only_address)
    token = visitor.page(f"/dead-letters/letter/{filed.id}").forms["decide-form"]

    answer = visitor.post(f"/dead-letters/letter/{filed.id}/discard", {**token, "reason": "mine"})

    assert answer.status_code == 403
    assert "read-only" in Page(answer.text).by_id["problem"]
    assert office.get(filed.id) == filed


def test_pages_are_under_the_prefix(read_only_address: str, office: DeadLetterOffice) -> None:
    visitor = Visitor(read_only_address)

    page = visitor.page("/dead-letters")

    assert page.attributes["nav-dead-letters"]["href"] == "/flower/dead-letters"
    styles = [named["href"] for tag, named in page.tags if tag == "link" and "desk.css" in named["href"]]
    assert [visitor.http.get(visitor.address.removesuffix("/flower") + href).status_code for href in styles] == [200]


def test_metrics_are_open_where_the_settings_say_so(read_only_address: str, office: DeadLetterOffice) -> None:
    stranger = Visitor(read_only_address, None)

    assert stranger.get("/metrics").status_code == 200
    assert stranger.get("/healthcheck").status_code == 401


@pytest.mark.parametrize("path", ["/workers", "/tasks", "/dead-letters"])
def test_the_tab_is_in_flowers_navbar(anna: Visitor, path: str) -> None:
    page = anna.page(path)

    assert page.attributes["nav-dead-letters"]["href"] == "/dead-letters"
    assert ("aria-current" in page.attributes["nav-dead-letters"]) == (path == "/dead-letters")


def test_pages_are_kept_by_nobody_and_framed_by_nobody(anna: Visitor) -> None:
    headers = anna.get("/dead-letters").headers

    assert headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_an_unknown_page_is_not_found(anna: Visitor) -> None:
    assert anna.get("/dead-letters/letters/1").status_code == 404


def test_the_log_has_neither_secret_nor_what_was_sought(redis_server: RedisServer, tmp_path: Path) -> None:
    with desk_process(tmp_path, redis_server, FLOWER_BASIC_AUTH=LOGINS) as address:
        visitor = Visitor(address)
        assert visitor.get("/dead-letters?q=ivan@example.com").status_code == 200
        assert visitor.get("/dead-letters?q=ivan@example.com&after=nonsense&cause=%FF").status_code == 400

    log = (tmp_path / "desk.log").read_text(encoding="utf-8")
    assert "ivan@example.com" not in log
    assert ANNA[1] not in log
    assert "webhook-secret" not in log
