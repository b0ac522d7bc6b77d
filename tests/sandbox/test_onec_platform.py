"""What the platform and the web server do around the service: passwords, sessions, licences, failures."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.sandbox.onec_peer import SERVICE, USER, Peer, running


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


def start_session(peer: Peer) -> requests.Response:
    peer.http.cookies.clear()
    return requests.get(f"{peer.url}{SERVICE}/about", auth=USER, headers={"IBSession": "start"}, timeout=20)


def call_with(peer: Peer, cookie: str, **headers: str) -> requests.Response:
    return requests.get(f"{peer.url}{SERVICE}/about", headers={"Cookie": f"ibsession={cookie}", **headers}, timeout=20)


def test_user_and_password_are_utf_8(peer):
    assert peer.call("GET", "/about").status_code == 200
    cp1251 = b64encode("Обмен:sandbox-password".encode("cp1251")).decode()

    refused = requests.get(f"{peer.url}{SERVICE}/about", headers={"Authorization": f"Basic {cp1251}"}, timeout=20)

    assert refused.status_code == 401


@pytest.mark.parametrize("auth", [None, (b"nobody", b"sandbox-password"), ("Обмен".encode(), b"wrong")])
def test_wrong_user_gets_a_401_page(peer, auth):
    response = requests.get(f"{peer.url}{SERVICE}/about", auth=auth, timeout=20)

    assert response.status_code == 401
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("path", ["/other/hs/crm-exchange/v1/about", "/base/hs/other/v1/about", "/base/odata/x"])
def test_what_is_not_published_is_a_404_page_of_the_web_server(peer, path):
    response = peer.http.get(f"{peer.url}{path}", auth=USER, timeout=20)

    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_locale_may_stand_before_the_service(peer):
    url = f"{peer.url}/base/ru_RU/hs/crm-exchange/v1/about"

    assert peer.http.get(url, auth=USER, timeout=20).json()["contract_version"] == "1.0"


def test_unknown_template_is_404_and_a_wrong_verb_405(peer):
    unknown = peer.http.get(f"{peer.url}{SERVICE}/nothing", auth=USER, timeout=20)
    wrong = peer.http.delete(f"{peer.url}{SERVICE}/orders", auth=USER, timeout=20)

    assert unknown.status_code == 404
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, POST")


def test_session_cookie_serves_many_requests_without_a_password(peer):
    first = start_session(peer)
    cookie = first.cookies["ibsession"]

    assert first.headers["IBSession"] == "start"
    assert [call_with(peer, cookie).status_code for _ in range(3)] == [200, 200, 200]
    assert peer.sandbox("journal")["counters"]["sessions_started"] == 1


def test_finished_session_is_unknown_afterwards(peer):
    cookie = start_session(peer).cookies["ibsession"]

    assert call_with(peer, cookie, IBSession="finish").status_code == 200
    assert call_with(peer, cookie).status_code in (400, 404)


def test_idle_session_expires_with_406():
    now = [1_000.0]
    with running(clock=lambda: now[0], session_idle_seconds=20) as peer:
        cookie = start_session(peer).cookies["ibsession"]
        now[0] += 19
        assert call_with(peer, cookie).status_code == 200
        now[0] += 21
        expired = call_with(peer, cookie)

    assert expired.status_code == 406
    assert 'reason="406"' in expired.text
    assert "Истекло время ожидания сеанса" in expired.text


def test_change_of_the_configuration_ends_sessions(peer):
    cookie = start_session(peer).cookies["ibsession"]
    peer.http.post(f"{peer.url}/_sandbox/sessions/expire", timeout=20)

    assert call_with(peer, cookie).status_code == 406


def test_more_sessions_than_licences_are_406():
    with running(max_sessions=2) as peer:
        cookies = [start_session(peer).cookies["ibsession"] for _ in range(2)]
        assert start_session(peer).status_code == 406

        call_with(peer, cookies[0], IBSession="finish")
        assert start_session(peer).status_code == 200
        assert peer.sandbox("journal")["counters"]["max_concurrent_sessions"] == 2


def test_publication_without_reuse_says_nothing_of_sessions():
    with running(reuse_sessions=False) as peer:
        response = start_session(peer)

    assert response.status_code == 200
    assert not response.cookies
    assert "IBSession" not in response.headers


def test_request_without_a_session_opens_one_for_its_own_time():
    with running(max_sessions=1) as peer:
        assert [peer.call("GET", "/about").status_code for _ in range(3)] == [200, 200, 200]
        assert peer.sandbox("journal")["counters"]["sessions_started"] == 3


def test_more_requests_at_once_than_licences_are_a_500_that_says_so():
    with running(max_sessions=1) as peer:
        with peer.base.sessions.passing():
            refused = peer.http.get(f"{peer.url}{SERVICE}/orders", auth=USER, timeout=20)
        assert peer.call("GET", "/orders").status_code == 200
        assert peer.sandbox("journal")["counters"]["licence_refusals"] == 1

    assert refused.status_code == 500
    assert "Не обнаружено свободной лицензии" in refused.json()["exception"]["inner"]["descr"]


def test_one_session_serves_one_request_at_a_time():
    with running(latency_seconds=0.02, max_sessions=2) as peer:
        cookie = start_session(peer).cookies["ibsession"]
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda _: call_with(peer, cookie).status_code, range(4)))
        counters = peer.sandbox("journal")["counters"]

    assert statuses == [200] * 4
    assert counters["max_concurrent_sessions"] == 1


def test_first_call_after_idle_starts_the_base():
    now, slept = [1_000.0], []
    with running(clock=lambda: now[0], sleep=slept.append, first_call_seconds=30.0, session_idle_seconds=20) as peer:
        peer.call("GET", "/about")
        peer.call("GET", "/about")
        now[0] += 21
        peer.call("GET", "/about")

    assert [seconds for seconds in slept if seconds] == [30.0, 30.0]


@pytest.mark.parametrize(("kind", "statuses"), [("http500", {500}), ("http502", {502}), ("http503", {503})])
def test_failure_before_the_work_changes_nothing(kind, statuses):
    with running(faults=f"{kind}:/leads=1x6") as peer:
        item = {"external_id": "b24:lead:1", "title": "Звонок"}
        answers = [
            peer.http.post(f"{peer.url}{SERVICE}/leads", json={"items": [item]}, auth=USER, timeout=20)
            for _ in range(6)
        ]
        assert {answer.status_code for answer in answers} == statuses
        assert peer.find("leads") == []


def test_http500_comes_as_an_exception_in_json_or_as_a_page():
    with running(faults="http500:/about=1x20") as peer:
        answers = [peer.http.get(f"{peer.url}{SERVICE}/about", auth=USER, timeout=20) for _ in range(20)]

    pages = [answer.text for answer in answers if "html" in answer.headers["Content-Type"]]
    exceptions = [answer.json() for answer in answers if "json" in answer.headers["Content-Type"]]
    assert all("1C:Enterprise 8 application error" in page and "by reason:" in page for page in pages)
    assert all(one["exception"]["inner"]["creationStack"] for one in exceptions)
    assert pages
    assert exceptions


def test_closed_base_is_a_403_with_a_nested_exception():
    with running(faults="maintenance:/orders=1x1") as peer:
        response = peer.http.get(f"{peer.url}{SERVICE}/orders", auth=USER, timeout=20)
        assert peer.call("GET", "/orders").status_code == 200

    assert response.status_code == 403
    content = response.json()
    assert content["#exception"].endswith("}Exception")
    assert content["exception"]["reason"] == 403
    assert content["exception"]["inner"]["descr"].startswith("Начало сеанса с информационной базой запрещено.")


def test_reset_before_loses_the_request():
    with running(faults="reset_before:/leads=1x1") as peer:
        with pytest.raises(requests.ConnectionError):
            peer.put("leads", external_id="b24:lead:1", title="Звонок")
        assert peer.find("leads") == []
        assert peer.sandbox("journal")["calls"][0]["status"] is None


def test_reset_after_loses_only_the_answer():
    with running(faults="reset_after:/leads=1x1") as peer:
        with pytest.raises(requests.ConnectionError):
            peer.put("leads", external_id="b24:lead:1", title="Звонок")
        assert len(peer.find("leads")) == 1
        assert peer.put("leads", external_id="b24:lead:1", title="Звонок")["outcome"] == "unchanged"


def test_html_replaces_the_answer_of_work_that_was_done():
    with running(faults="html:/leads=1x1") as peer:
        item = {"external_id": "b24:lead:1", "title": "Звонок"}
        response = peer.http.post(f"{peer.url}{SERVICE}/leads", json={"items": [item]}, auth=USER, timeout=20)
        assert len(peer.find("leads")) == 1

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


def test_hang_says_nothing_for_its_time_and_then_goes_on():
    slept = []
    with running(sleep=slept.append, faults="hang:/about=1x1@5") as peer:
        assert peer.call("GET", "/about").status_code == 200

    assert 5.0 in slept


def test_upserts_from_many_threads_make_one_object_each():
    with running(max_sessions=16) as peer:
        barrier = threading.Barrier(8)

        def upsert(_: int) -> list[str]:
            barrier.wait(timeout=20)
            items = [{"external_id": f"b24:lead:{number}", "title": "Звонок"} for number in range(1, 21)]
            answer = requests.post(f"{peer.url}{SERVICE}/leads", json={"items": items}, auth=USER, timeout=20)
            return [result["outcome"] for result in answer.json()["results"]]

        with ThreadPoolExecutor(8) as pool:
            outcomes = [outcome for batch in pool.map(upsert, range(8)) for outcome in batch]

        assert outcomes.count("created") == 20
        assert outcomes.count("unchanged") == 140
        assert len(peer.find("leads")) == 20
