"""Every answer that is no 202, and that each of them is JSON that says what to do."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from ingress.answers import MAX_BODY_BYTES
from tests.ingress.conftest import TOKENS, event_form, post_form, sign

FORM = "application/x-www-form-urlencoded"
HOOKS = ("/webhooks/bitrix24", "/webhooks/bitrix24/robot", "/webhooks/1c")


def _is_error(answer: Any, status: int, error: str) -> bool:
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    assert set(answer.json) == {"error", "message"}
    assert len(answer.json["message"]) > 20
    return bool(answer.json["error"] == error)


def test_an_unknown_address(client: FlaskClient) -> None:
    assert _is_error(client.get("/webhooks"), 404, "not_found")
    assert _is_error(client.post("/webhooks/1c/"), 404, "not_found")


@pytest.mark.parametrize("path", ["/webhooks/bitrix24", "/webhooks/1c"])
def test_a_wrong_method_names_the_right_one(path: str, client: FlaskClient) -> None:
    answer = client.get(path)

    assert _is_error(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("type_", [None, "application/json", "text/plain", "multipart/form-data; boundary=x", "???"])
def test_a_bitrix24_event_must_be_a_form(type_: str | None, client: FlaskClient) -> None:
    answer = client.post("/webhooks/bitrix24", data=event_form("ONCRMDEALADD", ID=1), content_type=type_)

    assert _is_error(answer, 415, "unsupported_media_type")


def test_a_charset_beside_the_content_type_is_all_right(client: FlaskClient) -> None:
    form = event_form("ONCRMDEALADD", ID=1)

    assert client.post("/webhooks/bitrix24", data=form, content_type=f"{FORM}; charset=UTF-8").status_code == 202


@pytest.mark.parametrize("type_", [None, FORM, "text/plain"])
def test_a_onec_event_must_be_json(type_: str | None, client: FlaskClient) -> None:
    body = b'{"events": []}'

    answer = client.post("/webhooks/1c", data=body, content_type=type_, headers=sign(body))

    assert _is_error(answer, 415, "unsupported_media_type")


def test_an_empty_event_is_unreadable(client: FlaskClient) -> None:
    assert _is_error(post_form(client, ""), 400, "unreadable")


def test_nothing_but_a_token_is_unreadable(client: FlaskClient) -> None:
    assert _is_error(post_form(client, f"auth[application_token]={TOKENS[0]}"), 400, "unreadable")


def test_a_form_with_too_many_fields_is_unreadable(client: FlaskClient) -> None:
    assert _is_error(post_form(client, event_form("ONCRMDEALADD", ID=1) + "&a=1" * 1000), 400, "unreadable")


@pytest.mark.parametrize("path", HOOKS)
def test_a_body_over_one_mebibyte(path: str, client: FlaskClient) -> None:
    type_ = "application/json" if path.endswith("1c") else FORM

    assert _is_error(client.post(path, data=b"x" * (MAX_BODY_BYTES + 1), content_type=type_), 413, "too_large")


@pytest.mark.parametrize("path", HOOKS)
def test_a_body_over_one_mebibyte_that_does_not_say_so(path: str, client: FlaskClient) -> None:
    type_ = "application/json" if path.endswith("1c") else FORM

    answer = client.post(
        path,
        input_stream=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1)),
        content_type=type_,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert _is_error(answer, 413, "too_large")


def test_one_mebibyte_is_read(client: FlaskClient) -> None:
    body = event_form("ONCRMDEALADD", ID=1) + "&note="

    assert post_form(client, body + "x" * (MAX_BODY_BYTES - len(body))).status_code == 202


def test_the_error_answers_are_counted(client: FlaskClient) -> None:
    client.get("/nowhere/42")
    client.post("/webhooks/1c")
    post_form(client, event_form("ONCRMDEALADD", token="wrong", ID=1))

    text = client.get("/metrics").text
    assert 'ingress_answers_total{path="other",status="404"} 1.0' in text
    assert 'ingress_answers_total{path="/webhooks/1c",status="415"} 1.0' in text
    assert 'ingress_answers_total{path="/webhooks/bitrix24",status="401"} 1.0' in text


def test_accepted_events_are_counted_by_source_and_entity(client: FlaskClient) -> None:
    post_form(client, event_form("ONCRMDEALADD", ID=1))
    post_form(client, event_form("ONCRMDEALADD"))

    text = client.get("/metrics").text
    assert 'ingress_events_total{entity="deal",source="bitrix24"} 1.0' in text
    assert 'ingress_misfits_total{source="bitrix24"} 1.0' in text
    assert "ingress_publish_seconds_count 2.0" in text


def test_a_caller_cannot_grow_the_metrics_without_end(client: FlaskClient) -> None:
    for number in range(150):
        post_form(client, event_form(f"ONNEW{number}"))
    post_form(client, event_form('x"}\n'))

    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith("ingress_ignored_total")]
    assert len(lines) == 101
    assert 'ingress_ignored_total{code="other"} 51.0' in lines


def test_the_probes(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json["status"] == "ready"
