"""The ingress describes itself, and nothing made from that description breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from ingress.app import Ingress, create_app
from ingress.openapi import build_openapi
from ingress.publisher import Publisher
from tests.ingress.conftest import TOKENS, make_settings, sign
from tests.services import RedisServer

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(build_openapi())
HOOK, ROBOT, ONEC = "/webhooks/bitrix24", "/webhooks/bitrix24/robot", "/webhooks/1c"
WEBHOOKS = [(HOOK, "POST"), (ROBOT, "GET"), (ROBOT, "POST"), (ONEC, "POST")]


@pytest.fixture(scope="module")
def app(redis_server: RedisServer) -> Iterator[Ingress]:
    publisher = Publisher(redis_server.url(1), connections=2)
    yield create_app(make_settings(redis_server.url(1)), publisher=publisher)
    publisher.close()


def test_the_document_is_valid_openapi(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json

    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    assert set(document["paths"]) == {
        HOOK,
        ROBOT,
        ONEC,
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }


def test_every_route_is_described(app: Ingress) -> None:
    assert {rule.rule for rule in app.url_map.iter_rules()} == set(build_openapi()["paths"])


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize(("path", "method"), WEBHOOKS)
def test_a_stranger_is_refused_as_described(path: str, method: str, mode: GenerationMode, app: Ingress) -> None:
    """Read from the running application, which then answers in this very process."""
    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @FEW
    def check(case: Any) -> None:
        answer = case.call_and_validate(checks=CHECKS)
        assert 400 <= answer.status_code < 500

    check()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_the_probes_answer_as_described(path: str, app: Ingress) -> None:
    case = schemathesis.openapi.from_wsgi("/openapi.json", app)[path]["GET"].Case()

    assert case.call_and_validate(checks=CHECKS).status_code == 200


@given(case=SCHEMA[HOOK]["POST"].as_strategy())
@FEW
def test_whatever_the_portal_sends_is_taken(case: Any, app: Ingress) -> None:
    form = {**_mapping(case.body), "auth[application_token]": TOKENS[0]}

    answer = app.test_client().post(HOOK, data=_encoded(form), content_type=FORM)

    assert answer.status_code == 202


@given(case=SCHEMA[ROBOT]["POST"].as_strategy())
@FEW
def test_whatever_a_robot_sends_is_taken(case: Any, app: Ingress) -> None:
    query = {**_mapping(case.query), "secret": TOKENS[0]}
    form = {**_mapping(case.body), "note": "x"}

    answer = app.test_client().post(f"{ROBOT}?{_encoded(query)}", data=_encoded(form), content_type=FORM)

    assert answer.status_code == 202


@given(case=SCHEMA[ONEC]["POST"].as_strategy())
@FEW
def test_events_by_the_contract_are_all_accepted(case: Any, app: Ingress) -> None:
    """The published schema and the schema that checks are one: what the first allows, the second takes."""
    body = json.dumps(case.body).encode()

    answer = app.test_client().post(ONEC, data=body, content_type=JSON, headers=sign(body))

    assert answer.status_code in {202, 413}
    if answer.status_code == 202:
        assert answer.json == {"accepted": len(case.body["events"]), "rejected": []}


@given(
    events=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        )
        | st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["invoice.changed", "order.deleted"]) | st.integers(),
                "data": st.dictionaries(st.sampled_from(["rows", "amount", "status"]), st.lists(st.none()) | st.text()),
                "id": st.none() | st.text(),
                "sequence": st.integers() | st.text(),
            },
        ),
        max_size=5,
    )
)
@FEW
def test_whatever_1c_signs_is_accepted_or_kept(events: list[Any], app: Ingress) -> None:
    body = json.dumps({"events": events}).encode()

    answer = app.test_client().post(ONEC, data=body, content_type=JSON, headers=sign(body))

    assert answer.status_code == 202
    assert answer.json["accepted"] + len(answer.json["rejected"]) == len(events)


@given(body=st.binary(max_size=200), type_=st.sampled_from(["application/json", "application/x-www-form-urlencoded"]))
@FEW
def test_any_bytes_from_a_stranger_are_refused(body: bytes, type_: str, app: Ingress) -> None:
    for path in (HOOK, ROBOT, ONEC):
        answer = app.test_client().post(path, data=body, content_type=type_)
        assert answer.status_code in {400, 401, 415}
        assert set(answer.json) == {"error", "message"}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if hasattr(value, "items") else {}


def _encoded(form: dict[str, Any]) -> str:
    return urlencode({name: str(value) for name, value in form.items()}, errors="replace")
