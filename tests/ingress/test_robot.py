from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sync_worker.contract import ChangeEvent, Misfit
from tests.ingress.conftest import TOKENS, Queued

ROBOT = "/webhooks/bitrix24/robot"
SECRET = f"secret={TOKENS[0]}"
SAMPLE = Path(__file__).parents[1] / "samples" / "bitrix24" / "robot.outgoing-webhook.deal.form.txt"


def _post(client: FlaskClient, body: str | bytes, query: str = SECRET) -> Any:
    return client.post(f"{ROBOT}?{query}", data=body, content_type="application/x-www-form-urlencoded")


def test_the_sample_is_queued(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    assert _post(client, SAMPLE.read_bytes()).status_code == 202

    [message] = queued()
    assert message.task == "sync.deal"
    assert str(ChangeEvent.load(message.kwargs["event"]).record) == "bitrix24:deal:123"


@pytest.mark.parametrize(
    ("query", "body", "record"),
    [
        (f"{SECRET}&deal_id=5", "", "deal:5"),
        (f"{SECRET}&lead_id=6", "", "lead:6"),
        (SECRET, "deal_id=5", "deal:5"),
        (SECRET, "lead_id=6", "lead:6"),
        (f"{SECRET}&document_id[2]=LEAD_7", "", "lead:7"),
        (f"{SECRET}&document_id%5B2%5D=DEAL_8", "", "deal:8"),
        (SECRET, "document_id[]=crm&document_id[]=CCrmDocumentDeal&document_id[]=DEAL_9", "deal:9"),
        (SECRET, "document_id=CONTACT_10", "contact:10"),
        (SECRET, "document_id[2]=COMPANY_11", "company:11"),
        (SECRET, "document_id[2]=broken&deal_id=12", "deal:12"),
        ("deal_id=13", f"auth[application_token]={TOKENS[1]}", "deal:13"),
    ],
)
def test_the_record_is_found_in_the_body_or_the_address(
    query: str, body: str, record: str, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    answer = _post(client, body, query)

    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    [message] = queued()
    assert str(ChangeEvent.load(message.kwargs["event"]).record) == f"bitrix24:{record}"


def test_get_is_accepted(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    assert client.get(f"{ROBOT}?{SECRET}&deal_id=5").status_code == 202
    assert len(queued()) == 1


def test_a_post_without_body_needs_no_content_type(client: FlaskClient) -> None:
    assert client.post(f"{ROBOT}?{SECRET}&deal_id=5").status_code == 202


@pytest.mark.parametrize("document", ["DYNAMIC_31_12", "SMART_INVOICE_12", "QUOTE_4"])
def test_documents_that_nobody_syncs_are_let_go(
    document: str, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    assert _post(client, f"document_id[2]={document}").json == {"status": "ignored"}
    assert queued() == []


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (f"{SECRET}&deal_id={{{{ID}}}}", ""),
        (SECRET, "document_id[0]=crm"),
        (SECRET, "document_id[2]=DEAL_"),
        (SECRET, "document_id[2]=DEAL_0"),
        (SECRET, "note=hello"),
    ],
)
def test_an_authentic_call_without_an_id_is_kept_for_a_person(
    query: str, body: str, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    answer = _post(client, body, query)

    assert (answer.status_code, answer.json["status"]) == (202, "kept")
    [message] = queued()
    misfit = Misfit.load(message.kwargs["misfit"])
    assert misfit.system == "bitrix24"
    assert "secret" not in misfit.raw
    assert TOKENS[0] not in message.text


@pytest.mark.parametrize("body", ["", f"auth[application_token]={TOKENS[0]}", "auth[domain]=example.bitrix24.com"])
def test_nothing_but_credentials_is_refused(body: str, client: FlaskClient) -> None:
    answer = _post(client, body)

    assert (answer.status_code, answer.json["error"]) == (400, "unreadable")


@pytest.mark.parametrize("query", ["deal_id=5", "secret=&deal_id=5", "secret=wrong&deal_id=5", "secret[0]=x&deal_id=5"])
def test_a_wrong_secret_is_refused(query: str, client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    assert _post(client, "", query).status_code == 401
    assert client.get(f"{ROBOT}?{query}").status_code == 401
    assert queued() == []


def test_a_body_that_is_no_form_is_refused(client: FlaskClient) -> None:
    answer = client.post(f"{ROBOT}?{SECRET}", json={"deal_id": 5})

    assert (answer.status_code, answer.json["error"]) == (415, "unsupported_media_type")


def test_too_many_parameters_are_refused(client: FlaskClient) -> None:
    assert _post(client, "a=1&" * 1001).status_code == 400
