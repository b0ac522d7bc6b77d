"""The client against canned answers: one case for each row of its error tables, and what it sends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError

from sync_worker.domain.identity import Lane, RecordType
from sync_worker.entities.results import Finding
from sync_worker.errors import (
    AmbiguousMatch,
    LinkBroken,
    Misconfigured,
    OrderLocked,
    OutcomeUnknown,
    RateLimited,
    RemoteRejected,
    RemoteUnavailable,
    SyncError,
    VersionMoved,
)
from sync_worker.gateways.onec.about import OnecExaminer
from sync_worker.gateways.onec.client import OnecClient, Timeouts
from sync_worker.gateways.onec.upserts import item_error, upsert_one
from sync_worker.store.sessions import RedisSessions
from sync_worker.store.slots import Slots

ROOT = "https://1c.example.com/trade/hs/crm-exchange/v1"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SECRET = "пароль-секрет"
PRIVATE = "ivan@example.com"

CLOSED = "Начало сеанса с информационной базой запрещено.\nОбновление до 20:00"
NO_LICENCE = "Не обнаружено свободной лицензии! Превышено максимальное количество пользователей"
LOST_PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"


class FixedClock:
    def now(self) -> datetime:
        return NOW


class OneSlot:
    """It is held, whatever happens."""

    token = "live:one"

    def lengthen(self, seconds: float) -> None: ...


class OpenSlots:
    """As many as one likes; notes what was held, and when a call left."""

    def __init__(self) -> None:
        self.held = 0
        self.waits: list[float] = []
        self.lanes: list[Lane] = []

    @contextmanager
    def hold(self, max_wait_seconds: float, lane: Lane) -> Iterator[OneSlot]:
        self.waits.append(max_wait_seconds)
        self.lanes.append(lane)
        self.held += 1
        yield OneSlot()
        self.held -= 1


class FullSlots:
    @contextmanager
    def hold(self, max_wait_seconds: float, lane: Lane) -> Iterator[OneSlot]:
        raise RateLimited("all 1C sessions are in use", retry_after_seconds=1)
        yield OneSlot()


def make_client(**options: Any) -> OnecClient:
    defaults: dict[str, Any] = {
        "url": "https://1c.example.com/trade/",
        "user": "Обмен",
        "password": SECRET,
        "slots": OpenSlots(),
        "clock": FixedClock(),
    }
    return OnecClient(**{**defaults, **options})


@pytest.fixture
def onec() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def exception_json(status: int, reason: str) -> str:
    inner = {"descr": reason, "creationStack": "core83.dll:0x01", "data": "77u/"}
    outer = {"reason": status, "descr": "HTTP: Forbidden\nОшибка при выполнении запроса", "inner": inner}
    return json.dumps(
        {"#exception": "{http://v8.1c.ru/8.2/virtual-resource-system}Exception", "exception": outer},
        ensure_ascii=False,
    )


def exception_xml(status: int, reason: str) -> str:
    return f'<?xml version="1.0"?><exception reason="{status}"><descr>{reason}</descr></exception>'


def problem(code: str, message: str = "so it is") -> str:
    return json.dumps({"code": code, "message": message})


def refused(onec: responses.RequestsMock, status: int, body: str, *, write: bool = False, **answer: Any) -> SyncError:
    """The error that this answer becomes."""
    onec.add("POST" if write else "GET", f"{ROOT}/orders", body=body.encode(), status=status, **answer)
    with pytest.raises(SyncError) as caught:
        make_client().post("/orders", {"items": [{"email": PRIVATE}]}) if write else make_client().get("/orders")
    assert SECRET not in str(caught.value)
    assert PRIVATE not in str(caught.value)
    return caught.value


# Whatever was asked: nothing was done, and the answer says so.
SURE = [
    pytest.param(401, "<html><title>401</title></html>", Misconfigured, "ONEC_PASSWORD", id="wrong password"),
    pytest.param(403, exception_json(403, CLOSED), RemoteUnavailable, "Обновление до 20:00", id="closed base"),
    pytest.param(
        403,
        exception_json(403, "Нарушение прав доступа!"),
        Misconfigured,
        "exchange role",
        id="no right to the service",
    ),
    pytest.param(403, problem("forbidden"), Misconfigured, "exchange role", id="no right, says the service"),
    pytest.param(401, problem("unauthorized"), Misconfigured, "ONEC_USER", id="no login, says the service"),
    pytest.param(404, problem("not_found"), Misconfigured, "/orders", id="resource not offered"),
    pytest.param(404, LOST_PAGE, Misconfigured, "publishExtensionsByDefault", id="service not published"),
    pytest.param(404, exception_json(404, "Не найден шаблон"), Misconfigured, "extension", id="unknown template"),
    pytest.param(405, "", Misconfigured, "extension", id="wrong verb"),
    pytest.param(406, exception_xml(406, "Истекло время"), RemoteUnavailable, "session", id="session timed out"),
    pytest.param(
        400, exception_json(400, "Сеанс отсутствует или удалён"), RemoteUnavailable, "session", id="no session"
    ),
    pytest.param(400, problem("malformed", "items: empty"), RemoteRejected, "items: empty", id="malformed"),
    pytest.param(413, problem("too_many"), RemoteRejected, "too large", id="too many items"),
    pytest.param(413, "<html><title>Too Large</title></html>", RemoteRejected, "too large", id="too large a body"),
    pytest.param(503, problem("maintenance"), RemoteUnavailable, "maintenance", id="maintenance, says the service"),
    pytest.param(503, LOST_PAGE, RemoteUnavailable, "asks to wait", id="web server busy"),
    pytest.param(429, "", RemoteUnavailable, "asks to wait", id="too many requests"),
    pytest.param(500, exception_json(500, NO_LICENCE), RemoteUnavailable, "licence", id="no licence in an exception"),
    pytest.param(406, exception_xml(406, NO_LICENCE), RemoteUnavailable, "licence", id="no licence for a session"),
    pytest.param(503, problem("no_licence"), RemoteUnavailable, "licence", id="no licence, says the service"),
    pytest.param(
        500, exception_json(500, "Не найдена лицензия. Не обнаружен ключ"), RemoteUnavailable, "licence", id="no key"
    ),
    pytest.param(302, "", Misconfigured, "ONEC_URL", id="redirect"),
]
# The answer does not tell: a read may be repeated, a write has to be looked for.
UNSURE = [
    pytest.param(500, exception_json(500, "Конфликт блокировок"), "Конфликт блокировок", id="exception in 1C"),
    pytest.param(500, problem("internal", "деление на 0"), "деление на 0", id="internal, says the service"),
    pytest.param(500, "<html>by reason: <pre>Диск полон</pre></html>", "Диск полон", id="crash page"),
    pytest.param(502, LOST_PAGE, "502 Bad Gateway", id="bad gateway"),
    pytest.param(504, "", "HTTP 504", id="gateway timeout"),
    pytest.param(200, "<html><body>OK</body></html>", "no JSON", id="a page with 200"),
    pytest.param(200, "[]", "no JSON object", id="a list with 200"),
    pytest.param(200, '{"results": [', "no JSON", id="half an answer"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), SURE)
def test_a_refusal_that_says_nothing_was_done(
    onec: responses.RequestsMock, status: int, body: str, kind: type[SyncError], said: str
) -> None:
    errors = [refused(onec, status, body), refused(onec, status, body, write=True)]

    assert [type(error) for error in errors] == [kind, kind]
    assert all(said in str(error) for error in errors)


@pytest.mark.parametrize(("status", "body", "said"), UNSURE)
def test_a_read_that_failed_may_be_repeated(onec: responses.RequestsMock, status: int, body: str, said: str) -> None:
    error = refused(onec, status, body)

    assert type(error) is RemoteUnavailable
    assert said in str(error)


@pytest.mark.parametrize(("status", "body", "said"), UNSURE)
def test_a_write_whose_answer_is_lost_is_unknown(
    onec: responses.RequestsMock, status: int, body: str, said: str
) -> None:
    error = refused(onec, status, body, write=True)

    assert type(error) is OutcomeUnknown
    assert said in str(error)


@pytest.mark.parametrize(
    ("status", "body", "header", "seconds"),
    [
        pytest.param(503, "", "120", 120, id="seconds"),
        pytest.param(503, "", "Sat, 21 Nov 2026 09:00:45 GMT", 45, id="a date"),
        pytest.param(503, "", "Sat, 21 Nov 2026 08:00:00 GMT", 0, id="a date that has passed"),
        pytest.param(503, "", "soon", 5, id="nonsense"),
        pytest.param(503, "", None, 5, id="none"),
        pytest.param(503, "", "999999", 3600, id="never longer than an hour"),
        pytest.param(429, "", "7", 7, id="too many requests"),
        pytest.param(403, exception_json(403, CLOSED), None, 60, id="maintenance"),
        pytest.param(500, exception_json(500, NO_LICENCE), None, 60, id="licence"),
    ],
)
def test_how_long_to_wait(
    onec: responses.RequestsMock, status: int, body: str, header: str | None, seconds: float
) -> None:
    error = refused(onec, status, body, headers={"Retry-After": header} if header else {})

    assert isinstance(error, RemoteUnavailable)
    assert error.retry_after_seconds == seconds


def test_the_code_of_a_rejection_is_kept(onec: responses.RequestsMock) -> None:
    error = refused(onec, 400, problem("malformed"))

    assert isinstance(error, RemoteRejected)
    assert error.code == "malformed"


def test_stacks_are_left_out(onec: responses.RequestsMock) -> None:
    assert "core83" not in str(refused(onec, 403, exception_json(403, CLOSED)))


NEVER_SENT = MaxRetryError(None, "/x", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
NETWORK = [
    pytest.param(requests.ConnectTimeout("no answer"), RemoteUnavailable, RemoteUnavailable, id="connect timeout"),
    pytest.param(requests.ConnectionError(NEVER_SENT), RemoteUnavailable, RemoteUnavailable, id="connection refused"),
    pytest.param(requests.ReadTimeout("slow"), RemoteUnavailable, OutcomeUnknown, id="read timeout"),
    pytest.param(requests.ConnectionError("aborted"), RemoteUnavailable, OutcomeUnknown, id="reset after sending"),
    pytest.param(
        requests.exceptions.ChunkedEncodingError("cut"), RemoteUnavailable, OutcomeUnknown, id="cut in the answer"
    ),
    pytest.param(
        requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
        Misconfigured,
        Misconfigured,
        id="untrusted certificate",
    ),
    pytest.param(requests.exceptions.SSLError("EOF"), RemoteUnavailable, OutcomeUnknown, id="broken TLS"),
]


@pytest.mark.parametrize(("error", "on_read", "on_write"), NETWORK)
def test_a_call_without_an_answer(
    onec: responses.RequestsMock, error: Exception, on_read: type[SyncError], on_write: type[SyncError]
) -> None:
    onec.add("GET", f"{ROOT}/orders", body=error)
    onec.add("POST", f"{ROOT}/orders", body=error)

    with pytest.raises(SyncError) as read:
        make_client().get("/orders", {"email": PRIVATE})
    with pytest.raises(SyncError) as write:
        make_client().post("/orders", {"email": PRIVATE})

    assert (type(read.value), type(write.value)) == (on_read, on_write)
    assert PRIVATE not in str(read.value)
    assert read.value.__cause__ is None


def test_a_login_in_cyrillic_is_sent_as_utf8(onec: responses.RequestsMock) -> None:
    call = onec.add("GET", f"{ROOT}/about", json={})

    make_client().get("/about")

    sent = call.calls[0].request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == f"Обмен:{SECRET}"


def test_a_space_in_a_query_is_never_a_plus(onec: responses.RequestsMock) -> None:
    call = onec.add("GET", f"{ROOT}/orders", json={})

    make_client().get("/orders", {"email": "a+b@example.com", "since": "2026-11-21 10:00"})

    assert call.calls[0].request.url == f"{ROOT}/orders?email=a%2Bb%40example.com&since=2026-11-21%2010%3A00"


def test_an_answer_may_begin_with_a_byte_order_mark(onec: responses.RequestsMock) -> None:
    onec.add("GET", f"{ROOT}/about", body=b"\xef\xbb\xbf" + b'{"configuration": "x"}', content_type="text/html")

    assert make_client().get("/about") == {"configuration": "x"}


def test_a_body_is_utf8_json(onec: responses.RequestsMock) -> None:
    call = onec.add("POST", f"{ROOT}/orders", json={"results": []})

    make_client().post("/orders", {"title": "Стол"})

    request = call.calls[0].request
    assert request.body == '{"title": "Стол"}'.encode()
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"


def test_an_answer_without_a_body_is_an_empty_object(onec: responses.RequestsMock) -> None:
    onec.add("POST", f"{ROOT}/changes/confirm", status=204)

    assert make_client().post("/changes/confirm", {"cursor": "1"}) == {}


def test_the_trace_goes_along_where_there_is_one(onec: responses.RequestsMock) -> None:
    traced = onec.add("GET", f"{ROOT}/about", json={})

    make_client(trace=lambda: "abc").get("/about")
    make_client().get("/about")

    first, second = (call.request.headers for call in traced.calls)
    assert first["X-Trace-Id"] == "abc"
    assert "X-Trace-Id" not in second
    assert first["User-Agent"] == "bitrix24-onec-sync"


def test_a_redirect_is_not_followed(onec: responses.RequestsMock) -> None:
    onec.add("GET", f"{ROOT}/about", status=302, headers={"Location": "https://elsewhere.example.com/"})

    with pytest.raises(Misconfigured, match="ONEC_URL"):
        make_client().get("/about")

    assert len(onec.calls) == 1


def test_every_call_holds_a_slot_while_it_runs(onec: responses.RequestsMock) -> None:
    slots = OpenSlots()
    seen: list[int] = []

    def answer(_request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        seen.append(slots.held)
        return 200, {}, "{}"

    onec.add_callback("GET", f"{ROOT}/about", callback=answer)

    client = make_client(slots=slots, timeouts=Timeouts(slot_seconds=3), lane=lambda: Lane.BULK)
    client.get("/about")

    assert (seen, slots.held, slots.waits, slots.lanes) == ([1], 0, [3], [Lane.BULK])


def test_nothing_is_sent_without_a_slot(onec: responses.RequestsMock) -> None:
    with pytest.raises(RateLimited):
        make_client(slots=FullSlots()).get("/about")

    assert len(onec.calls) == 0


def test_pages_are_followed_and_an_item_that_came_twice_is_there_once(onec: responses.RequestsMock) -> None:
    first = {"items": [{"ref": "a", "v": 1}, {"ref": "b", "v": 1}], "next": "c 2"}
    onec.add("GET", f"{ROOT}/orders?deleted=true&limit=500", json=first)
    second = {"items": [{"ref": "a", "v": 2}], "next": None}
    onec.add("GET", f"{ROOT}/orders?deleted=true&limit=500&after=c%202", json=second)

    found = make_client().list_all("/orders", {"deleted": "true"})

    assert found == [{"ref": "a", "v": 2}, {"ref": "b", "v": 1}]


def test_a_list_without_items_is_no_list(onec: responses.RequestsMock) -> None:
    onec.add("GET", f"{ROOT}/orders", json={})

    with pytest.raises(RemoteUnavailable, match="items"):
        make_client().list_all("/orders", {})


# --- results of items, and what an /about may lack -------------------------------------------------------------------

REF = "11111111-2222-3333-4444-555555555555"


def upsert(onec: responses.RequestsMock, answer: Any) -> Any:
    onec.add("POST", f"{ROOT}/orders", json=answer)
    return upsert_one(make_client(), RecordType.ORDER, {"external_id": "b24:deal:5"})


def rejected(code: str, **error: Any) -> dict[str, Any]:
    result = {"index": 0, "outcome": "rejected", "ref": None, "error": {"code": code, "message": PRIVATE, **error}}
    return {"results": [result]}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(rejected("validation", field="title"), RemoteRejected, id="validation"),
        pytest.param(rejected("version_conflict"), VersionMoved, id="version_conflict"),
        pytest.param(rejected("duplicate", candidates=[REF]), AmbiguousMatch, id="duplicate"),
        pytest.param(rejected("locked"), OrderLocked, id="locked"),
        pytest.param(rejected("deleted"), LinkBroken, id="deleted"),
        pytest.param(rejected("not_found", field="ref"), LinkBroken, id="not_found"),
        pytest.param(rejected("not_found", field="counterparty_ref"), RemoteRejected, id="not_found of a reference"),
        pytest.param(rejected("unsupported"), RemoteRejected, id="unsupported"),
        pytest.param(rejected("internal"), RemoteUnavailable, id="internal"),
        pytest.param({"results": []}, OutcomeUnknown, id="no result"),
        pytest.param({"results": [None]}, OutcomeUnknown, id="an empty result"),
        pytest.param({"results": [{"outcome": "created", "ref": None}]}, OutcomeUnknown, id="no ref"),
        pytest.param({"results": [{"ref": REF}]}, OutcomeUnknown, id="no outcome"),
    ],
)
def test_what_a_result_means(onec: responses.RequestsMock, answer: Any, kind: type[SyncError]) -> None:
    with pytest.raises(SyncError) as caught:
        upsert(onec, answer)

    assert type(caught.value) is kind
    assert PRIVATE not in str(caught.value)


def test_a_result_without_a_sequence_counts_as_the_oldest(onec: responses.RequestsMock) -> None:
    result = upsert(onec, {"results": [{"outcome": "updated", "ref": REF}]})

    assert (result.sequence, result.version, result.number) == (0, None, None)


def test_only_an_order_is_locked() -> None:
    error = item_error(RecordType.COUNTERPARTY, {"code": "locked", "message": "closed period"})

    assert type(error) is RemoteRejected


def about(**changes: Any) -> dict[str, Any]:
    full = {
        "configuration": "УправлениеТорговлей",
        "configuration_version": "11.5.20.98",
        "contract_version": "1.0",
        "capabilities": ["counterparties", "leads", "orders", "invoices", "changes"],
        "limits": {"max_batch": 100, "max_sessions": 4},
        "now": "2026-11-21T12:00:30+03:00",
    }
    return {**full, **changes}


def examine(onec: responses.RequestsMock, answer: Any) -> dict[str, Finding]:
    onec.add("GET", f"{ROOT}/about", json=answer)
    findings = OnecExaminer(client=make_client(), clock=FixedClock(), session_cap=2).examine()
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize("answer", [{}, about(limits=None), about(now="yesterday"), about(order_statuses=["x"])])
def test_an_about_that_cannot_be_read_is_one_finding(onec: responses.RequestsMock, answer: Any) -> None:
    (finding,) = examine(onec, answer).values()

    assert not finding.ok
    assert "extension" in finding.advice


def test_another_version_of_the_contract_is_found(onec: responses.RequestsMock) -> None:
    finding = examine(onec, about(contract_version="2.0"))["1C contract version"]

    assert (finding.ok, finding.found) == (False, "2.0")


def test_a_base_that_does_not_tell_its_time_is_not_blamed(onec: responses.RequestsMock) -> None:
    assert examine(onec, about(now=None))["1C clock"].ok


def test_clocks_are_compared_across_zones(onec: responses.RequestsMock) -> None:
    assert examine(onec, about())["1C clock"].found == "30 s from ours"


# --- kept sessions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cookies(client: redis.Redis) -> RedisSessions:
    client.zadd("sync:slots:onec", {OneSlot.token: 9e12})
    return RedisSessions(client, url=ROOT, user="Обмен", slots=Slots(client, name="onec", limit=2))


def opened(cookie: str) -> dict[str, str]:
    return {"IBSession": "start", "Set-Cookie": f"ibsession={cookie}; Path=/trade"}


def sent_sessions(onec: responses.RequestsMock) -> list[tuple[str | None, str | None]]:
    """(IBSession, Cookie) of each call."""
    headers = [call.request.headers for call in onec.calls]
    return [(each.get("IBSession"), each.get("Cookie")) for each in headers]


def test_without_a_place_for_cookies_no_session_is_kept(onec: responses.RequestsMock) -> None:
    onec.add("GET", f"{ROOT}/about", json={}, headers=opened("one"))
    client = make_client()

    client.get("/about")
    client.get("/about")

    assert sent_sessions(onec) == [(None, None), (None, None)]


def test_a_session_serves_the_next_call(onec: responses.RequestsMock, cookies: RedisSessions) -> None:
    onec.add("GET", f"{ROOT}/about", json={}, headers=opened("one"))
    onec.add("GET", f"{ROOT}/about", json={})
    client = make_client(cookies=cookies)

    client.get("/about")
    client.get("/about")

    assert sent_sessions(onec) == [("start", None), (None, "ibsession=one")]


def test_a_publication_that_keeps_no_sessions_is_asked_each_time(
    onec: responses.RequestsMock, cookies: RedisSessions
) -> None:
    onec.add("GET", f"{ROOT}/about", json={})
    client = make_client(cookies=cookies)

    client.get("/about")
    client.get("/about")

    assert sent_sessions(onec) == [("start", None), ("start", None)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(406, exception_xml(406, "Истекло время ожидания сеанса"), id="406"),
        pytest.param(400, exception_json(400, "Сеанс отсутствует или удалён"), id="400"),
        pytest.param(404, "<html></html>", id="404"),
        pytest.param(500, exception_json(500, "Сеанс отсутствует или удалён"), id="whatever the status"),
    ],
)
def test_a_session_that_has_ended_is_replaced_at_once(
    onec: responses.RequestsMock, cookies: RedisSessions, status: int, body: str
) -> None:
    cookies.give_back("old")
    onec.add("POST", f"{ROOT}/orders", status=status, body=body.encode())
    onec.add("POST", f"{ROOT}/orders", json={"results": []}, headers=opened("new"))

    make_client(cookies=cookies).post("/orders", {})

    assert sent_sessions(onec) == [(None, "ibsession=old"), ("start", None)]
    assert cookies.take("live:one") == "new"
    assert cookies.take("live:one") is None


def test_the_services_own_404_does_not_end_a_session(onec: responses.RequestsMock, cookies: RedisSessions) -> None:
    cookies.give_back("old")
    onec.add("GET", f"{ROOT}/orders", status=404, body=problem("not_found"))

    with pytest.raises(Misconfigured):
        make_client(cookies=cookies).get("/orders")

    assert len(onec.calls) == 1
    assert cookies.take("live:one") == "old"


def test_a_session_whose_call_was_cut_gets_one_more_chance(
    onec: responses.RequestsMock, cookies: RedisSessions
) -> None:
    cookies.give_back("old")
    onec.add("POST", f"{ROOT}/orders", body=requests.ConnectionError("aborted"))
    client = make_client(cookies=cookies)

    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            client.post("/orders", {})

    assert sent_sessions(onec) == [(None, "ibsession=old"), (None, "ibsession=old"), ("start", None)]


def test_a_session_is_none_the_worse_where_no_connection_was_made(
    onec: responses.RequestsMock, cookies: RedisSessions
) -> None:
    cookies.give_back("old")
    onec.add("POST", f"{ROOT}/orders", body=requests.ConnectionError(NEVER_SENT))
    client = make_client(cookies=cookies)

    for _ in range(3):
        with pytest.raises(RemoteUnavailable):
            client.post("/orders", {})

    assert sent_sessions(onec) == [(None, "ibsession=old")] * 3
