"""What is not where it was in Flower is noticed at the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flower import urls
from tornado.web import create_signed_value

from sync_worker.desk.graft import PATCHES, FlowerMoved, patched, pattern_of, replace
from sync_worker.sync.office import DeadLetterOffice
from tests.contract.store_worlds import letter
from tests.desk.serving import Visitor, desk_process
from tests.services import RedisServer

COOKIE_SECRET = "a-secret-of-the-tests"


@pytest.mark.parametrize("name", PATCHES)
def test_flowers_templates_are_as_we_know_them(name: str) -> None:
    text = (Path(urls.settings["template_path"]) / name).read_text(encoding="utf-8")

    for found, put, _ in PATCHES[name]:
        assert found in text
        assert put in patched(name, text)


@pytest.mark.parametrize("text", ["<ul></ul>", "{{ reverse_url('broker') }}", ""])
def test_a_navbar_that_was_moved_is_noticed(text: str) -> None:
    with pytest.raises(FlowerMoved, match=r"navbar\.html.*use flower==2\.2\.0"):
        patched("navbar.html", text)


def test_a_page_that_was_moved_is_noticed() -> None:
    with pytest.raises(FlowerMoved, match="page /moved"):
        replace("/moved", object)


def test_flower_has_its_pages_where_ours_go_before() -> None:
    patterns = [pattern_of(entry) for entry in urls.handlers]

    assert patterns.count("/metrics") == patterns.count("/healthcheck") == 1
    assert patterns[-1] == ".*"


@pytest.fixture(scope="module")
def oauth_address(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = ("--auth=.*@example.com", f"--cookie_secret={COOKIE_SECRET}")
    with desk_process(tmp_path_factory.mktemp("oauth"), redis_server, *options) as found:
        yield found


def logged_in(address: str, user: str) -> Visitor:
    visitor = Visitor(address, None)
    visitor.http.cookies.set("user", create_signed_value(COOKIE_SECRET, "user", user).decode())
    return visitor


def test_a_login_by_oauth_is_the_one_who_did_it(oauth_address: str, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter())

    answer = logged_in(oauth_address, "anna@example.com").send(
        f"/dead-letters/letter/{filed.id}", "discard-form", reason="made by hand"
    )

    assert answer.status_code == 303
    assert [deed.by for deed in office.audit.page()[0]] == ["anna@example.com"]


@pytest.mark.parametrize("user", ["", "eve@elsewhere.example"])
def test_who_is_not_let_in_by_oauth_is_sent_to_its_login(
    oauth_address: str, office: DeadLetterOffice, user: str
) -> None:
    answer = logged_in(oauth_address, user).get("/dead-letters", allow_redirects=False)

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login?next=%2Fdead-letters"


def test_machines_are_not_sent_to_a_login_page(oauth_address: str, office: DeadLetterOffice) -> None:
    assert Visitor(oauth_address, None).get("/healthcheck", allow_redirects=False).status_code == 401
