"""No secret and no payload leaves by a log line, an error, a message or a report; and who imports whom."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import ingress
from ingress.app import create_app
from ingress.credentials import without_secrets
from ingress.logs import mask_query_secrets, scrub_report, sentry_options
from tests.ingress.conftest import (
    NOW,
    SECRETS,
    TOKENS,
    Queued,
    event_form,
    make_settings,
    onec_event,
    post_events,
    post_form,
)

HIDDEN = (*TOKENS, *SECRETS, "secret-name@example.com", "9876543210")


@pytest.fixture
def client(broker_url: str, capfd: pytest.CaptureFixture[str]) -> FlaskClient:
    """Made after capturing began, so that its log lines are seen."""
    return create_app(make_settings(broker_url), clock=lambda: NOW).test_client()


def _lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capfd.readouterr()
    assert out == ""
    for hidden in HIDDEN:
        assert hidden not in err
    return [json.loads(line) for line in err.splitlines()]


def test_a_request_is_one_line_of_ids(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    trace = post_form(client, event_form("ONCRMDEALADD", ID=5)).json["trace"]

    [line] = _lines(capfd)
    assert line.pop("at")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/webhooks/bitrix24",
        "status": 202,
        "source": "bitrix24",
        "outcome": "queued",
        "entity": "deal",
        "record": "bitrix24:deal:5",
        "change": "changed",
        "trace": trace,
    }


def test_no_answer_logs_a_secret_or_a_payload(
    client: FlaskClient, capfd: pytest.CaptureFixture[str], queued: Callable[[], list[Queued]]
) -> None:
    person = {"name": "x", "emails": [{"value": "secret-name@example.com"}], "phones": [{"value": "9876543210"}]}
    post_form(client, event_form("ONCRMDEALADD", ID=0) + f"&extra={TOKENS[0]}&x[{TOKENS[1]}]=1")
    post_form(client, event_form("ONCRMDEALADD", token=TOKENS[0][:-1], ID=5))
    client.get(f"/webhooks/bitrix24/robot?secret={TOKENS[0]}&deal_id=5")
    client.get(f"/webhooks/bitrix24/robot?secret={TOKENS[0]}&note={TOKENS[0]}")
    client.put(f"/webhooks/bitrix24/robot?secret={TOKENS[0]}")
    post_events(client, [onec_event("counterparty.changed", person), onec_event("order.archived", person)])

    lines = _lines(capfd)
    assert [line["status"] for line in lines] == [202, 401, 202, 202, 405, 202]
    for message in queued():
        for hidden in (*TOKENS, *SECRETS):
            assert hidden not in message.text


def test_a_fault_of_ours_is_a_json_500_and_logs_no_message(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError(f"this quotes {TOKENS[0]}")

    client.application.add_url_rule("/fault", view_func=fail)

    answer = client.get(f"/fault?secret={TOKENS[0]}")

    assert (answer.status_code, answer.json["error"]) == (500, "internal")
    crash, request = _lines(capfd)
    assert (crash["event"], crash["error"], request["status"]) == ("crashed", "RuntimeError", 500)


def test_secrets_are_taken_out_at_any_depth() -> None:
    form = {"auth": {"x": "1"}, "a": {"Secret": "1", "b": "see abc", "abc": "2"}, "AUTH": "1", "access_token": "1"}

    assert without_secrets(form, ("abc",)) == {"a": {"b": "see ***", "***": "2"}}


def test_sentry_sees_of_a_request_no_more_than_its_method_and_path() -> None:
    report = {
        "message": "kept",
        "user": {"ip_address": "10.0.0.1"},
        "request": {
            "method": "POST",
            "url": "http://x/webhooks/bitrix24/robot?secret=abc",
            "query_string": "secret=abc",
            "data": {"auth": "abc"},
            "headers": {"Authorization": "abc"},
            "cookies": {"a": "abc"},
            "env": {},
        },
    }

    assert scrub_report(report, {}) == {
        "message": "kept",
        "request": {"method": "POST", "url": "http://x/webhooks/bitrix24/robot"},
    }


def test_sentry_is_told_to_send_nothing_personal() -> None:
    options = sentry_options()

    assert (options["send_default_pii"], options["include_local_variables"]) == (False, False)
    assert options["max_request_body_size"] == "never"
    assert options["before_send"] is scrub_report


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /robot?secret=abc&deal_id=5 HTTP/1.1", "GET /robot?secret=***&deal_id=5 HTTP/1.1"),
        ("?SECRET%3Dabc", "?SECRET%3D***"),
        ("auth[application_token]=abc", "auth[application_token]=***"),
        ("auth%5Bapplication_token%5D=abc&x=1", "auth%5Bapplication_token%5D=***&x=1"),
        ("nothing here", "nothing here"),
    ],
)
def test_secrets_in_an_address_are_masked(text: str, masked: str) -> None:
    assert mask_query_secrets(text) == masked


def test_settings_do_not_show_their_secrets() -> None:
    text = repr(make_settings("redis://:password@host/1"))

    assert "password" not in text
    for hidden in (*TOKENS, *SECRETS):
        assert hidden not in text


def test_the_ingress_imports_of_ours_only_the_contract() -> None:
    files = list(Path(ingress.__path__[0]).rglob("*.py"))
    assert len(files) > 10

    imported = {name for file in files for name in _imports(file)}

    assert {name for name in imported if name.startswith(("sync_worker", "sandbox"))} == {"sync_worker.contract"}
    assert "celery" not in {name.partition(".")[0] for name in imported}


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names
