"""Requests that schemathesis makes up from the contract: whatever comes, the answers fit it and nothing breaks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.sandbox.onec_peer import CONTRACT, SERVICE, Peer, running

AUTHORIZATION = "Basic " + b64encode("Обмен:sandbox-password".encode()).decode()
schema = schemathesis.openapi.from_dict(CONTRACT)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_fits_the_contract(case, peer):
    case.headers = {**(case.headers or {}), "Authorization": AUTHORIZATION}

    response = case.call(base_url=f"{peer.url}{SERVICE}")

    assert response.status_code < 500, response.text
    case.validate_response(response, checks=[response_schema_conformance])
