from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from ingress.brackets import parse_brackets
from ingress.credentials import matches_any
from sync_worker.contract import ChangeEvent, EntityKind, Misfit
from tests.ingress.conftest import NOW, TOKENS, Queued, event_form, post_form

SAMPLES = Path(__file__).parents[1] / "samples" / "bitrix24"
FORMS = sorted(SAMPLES.glob("event.*.form.txt"))
PAIRS = [form for form in FORMS if ".outgoing-webhook." not in form.name]

# What each documented event means: queue, record, change. The samples that are not here are nobody's business.
MEANINGS = {
    "OnCrmContactAdd": ("contact", "contact:89", "changed"),
    "OnCrmContactUpdate": ("contact", "contact:82", "changed"),
    "OnCrmContactDelete": ("contact", "contact:89", "deleted"),
    "OnCrmCompanyAdd": ("contact", "company:2917", "changed"),
    "OnCrmCompanyUpdate": ("contact", "company:2917", "changed"),
    "OnCrmCompanyDelete": ("contact", "company:2917", "deleted"),
    "OnCrmRequisiteAdd": ("contact", "requisite:27", "changed"),
    "OnCrmRequisiteUpdate": ("contact", "requisite:27", "changed"),
    "OnCrmRequisiteDelete": ("contact", "requisite:27", "deleted"),
    "OnCrmAddressRegister": ("contact", "contact:17192", "changed"),
    "OnCrmAddressUnregister": ("contact", "contact:17192", "changed"),
    "OnCrmLeadAdd": ("lead", "lead:1000983", "changed"),
    "OnCrmLeadUpdate": ("lead", "lead:1000983", "changed"),
    "OnCrmLeadDelete": ("lead", "lead:1000983", "deleted"),
    "OnCrmDealAdd": ("deal", "deal:6641", "changed"),
    "OnCrmDealUpdate": ("deal", "deal:759", "changed"),
    "OnCrmDealDelete": ("deal", "deal:1765", "deleted"),
    "OnCrmDealMoveToCategory": ("deal", "deal:6675", "changed"),
}
IGNORED = (
    "Activity",
    "BankDetail",
    "UserField",
    "Currency",
    "TimelineComment",
    "CrmType",
    "OnApp",
    "OnOfflineEvent",
    "DynamicItem",
)


def _code(sample: Path) -> str:
    return sample.name.split(".")[1]


def _ids(path: Path) -> str:
    return path.name.removesuffix(".form.txt")


HANDLED = [form for form in FORMS if _code(form) in MEANINGS]
LET_GO = [form for form in FORMS if _code(form) not in MEANINGS]


@pytest.mark.parametrize("sample", HANDLED, ids=_ids)
def test_every_documented_event_of_a_synced_record_is_queued(
    sample: Path, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    queue, record, change = MEANINGS[_code(sample)]

    answer = post_form(client, sample.read_bytes())

    assert answer.status_code == 202
    assert answer.json["status"] == "queued"
    [message] = queued()
    event = ChangeEvent.load(message.kwargs["event"])
    assert (message.queue, message.task) == (queue, f"sync.{queue}")
    assert str(event.record) == f"bitrix24:{record}"
    assert (event.entity, event.change, event.seen_at) == (queue, change, NOW)
    assert event.trace == answer.json["trace"]
    assert event.onec is None


@pytest.mark.parametrize("sample", LET_GO, ids=_ids)
def test_every_other_documented_event_is_counted_and_let_go(
    sample: Path, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    assert any(word in _code(sample) for word in IGNORED)

    answer = post_form(client, sample.read_bytes())

    assert (answer.status_code, answer.json) == (202, {"status": "ignored"})
    assert queued() == []
    code = parse_brackets(sample.read_bytes())["event"].upper()
    assert f'ingress_ignored_total{{code="{code}"}} 1.0' in client.get("/metrics").text


def test_both_sorts_of_samples_are_there() -> None:
    assert {_code(form) for form in HANDLED} == set(MEANINGS)
    assert len(LET_GO) > 40


@pytest.mark.parametrize("sample", PAIRS, ids=_ids)
def test_the_parser_reads_a_form_as_the_documented_structure(sample: Path) -> None:
    documented = json.loads(sample.with_name(sample.name.replace(".form.txt", ".json")).read_text())

    assert parse_brackets(sample.read_bytes().rstrip()) == _as_texts(documented)


def _as_texts(value: Any) -> Any:
    """As a form says it: everything is a text, and what is empty is not there."""
    if isinstance(value, dict):
        return {key: _as_texts(inner) for key, inner in value.items() if inner not in ({}, [])}
    if isinstance(value, list):
        return {str(index): _as_texts(inner) for index, inner in enumerate(value)}
    return str(value)


@pytest.mark.parametrize(
    ("code", "fields", "meaning"),
    [
        ("ONCRMDYNAMICITEMADD", {"ID": 12, "ENTITY_TYPE_ID": 31}, ("invoice:12", "changed")),
        ("ONCRMDYNAMICITEMUPDATE_31", {"ID": 12, "ENTITY_TYPE_ID": 31}, ("invoice:12", "changed")),
        ("onCrmDynamicItemDelete_31", {"ID": 12}, ("invoice:12", "deleted")),
        ("ONCRMINVOICEADD", {"ID": 13}, ("invoice:13", "changed")),
        ("ONCRMINVOICESETSTATUS", {"ID": 13}, ("invoice:13", "changed")),
        ("ONCRMINVOICEDELETE", {"ID": 13}, ("invoice:13", "deleted")),
        ("oncrmdealupdate", {"ID": "007"}, ("deal:7", "changed")),
        ("ONCRMADDRESSREGISTER", {"ANCHOR_TYPE_ID": 4, "ANCHOR_ID": 9, "ENTITY_TYPE_ID": 8}, ("company:9", "changed")),
        ("ONCRMADDRESSUNREGISTER", {"ENTITY_TYPE_ID": 1, "ENTITY_ID": 77}, ("lead:77", "changed")),
    ],
)
def test_codes_without_a_sample(
    code: str,
    fields: dict[str, object],
    meaning: tuple[str, str],
    client: FlaskClient,
    queued: Callable[[], list[Queued]],
) -> None:
    assert post_form(client, event_form(code, **fields)).json["status"] == "queued"

    [message] = queued()
    event = ChangeEvent.load(message.kwargs["event"])
    assert (event.record.key, event.change) == meaning
    assert event.whole is (code.startswith("ONCRMADDRESS") and event.entity is EntityKind.CONTACT)


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("ONCRMDYNAMICITEMADD_128", {"ID": 1, "ENTITY_TYPE_ID": 128}),
        ("ONCRMADDRESSREGISTER", {"ANCHOR_TYPE_ID": 2, "ANCHOR_ID": 9, "ENTITY_TYPE_ID": 2}),
        ("ONSOMETHINGNEW", {"ID": 1}),
    ],
)
def test_what_nobody_handles_is_let_go(
    code: str, fields: dict[str, object], client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    assert post_form(client, event_form(code, **fields)).json == {"status": "ignored"}
    assert queued() == []


@pytest.mark.parametrize(
    ("body", "entity", "wrong"),
    [
        (event_form("ONCRMDEALADD"), "deal", "data[FIELDS][ID]"),
        (event_form("ONCRMDEALADD", ID="0"), "deal", "data[FIELDS][ID]"),
        (event_form("ONCRMDEALADD", ID="-5"), "deal", "data[FIELDS][ID]"),
        (event_form("ONCRMCONTACTADD", ID="1e3"), "contact", "data[FIELDS][ID]"),
        (event_form("ONCRMLEADADD", ID="9" * 5000), "lead", "data[FIELDS][ID]"),
        (event_form("ONCRMLEADADD", ID="%D9%A3"), "lead", "data[FIELDS][ID]"),  # an Arabic digit
        (event_form("ONCRMLEADADD") + "&data[FIELDS][ID][0]=1", "lead", "data[FIELDS][ID]"),
        (event_form("ONCRMDYNAMICITEMADD", ID=1), None, "data[FIELDS][ENTITY_TYPE_ID]"),
        (event_form("ONCRMADDRESSREGISTER", ANCHOR_ID=1), "contact", "data[FIELDS][ANCHOR_TYPE_ID]"),
        (event_form("ONCRMADDRESSREGISTER", ANCHOR_TYPE_ID=3), "contact", "data[FIELDS][ID]"),
        (event_form(""), None, "event"),
    ],
)
def test_an_authentic_event_that_fits_no_schema_is_kept_for_a_person(
    body: str, entity: str | None, wrong: str, client: FlaskClient, queued: Callable[[], list[Queued]]
) -> None:
    answer = post_form(client, body)

    assert (answer.status_code, answer.json["status"]) == (202, "kept")
    [message] = queued()
    misfit = Misfit.load(message.kwargs["misfit"])
    assert (message.queue, message.task) == ("upkeep", "sync.misfit")
    assert (misfit.entity, list(misfit.errors), misfit.trace) == (entity, [wrong], answer.json["trace"])
    assert misfit.raw["ts"] == "1735374081"
    assert "auth" not in misfit.raw
    assert TOKENS[1] not in message.text


@pytest.mark.parametrize("token", TOKENS)
def test_every_configured_token_opens(token: str, client: FlaskClient) -> None:
    assert post_form(client, event_form("ONCRMDEALADD", token=token, ID=1)).status_code == 202


@pytest.mark.parametrize("token", ["", "wrong", TOKENS[0][:-1], TOKENS[0] + "x", ",".join(TOKENS), "%FF", "%D0%AF"])
def test_any_other_token_is_refused(token: str, client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    answer = post_form(client, event_form("ONCRMDEALADD", token=token, ID=1))

    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")
    assert "B24_APPLICATION_TOKENS" in answer.json["message"]
    assert queued() == []


def test_a_token_in_the_wrong_place_is_refused(client: FlaskClient) -> None:
    assert post_form(client, f"event=ONCRMDEALADD&application_token={TOKENS[0]}").status_code == 401
    assert post_form(client, f"event=ONCRMDEALADD&auth={TOKENS[0]}").status_code == 401


def test_no_configured_token_matches_nothing() -> None:
    assert not matches_any("", ())
    assert not matches_any("x", ())


def test_the_message_is_one_that_celery_understands(client: FlaskClient, queued: Callable[[], list[Queued]]) -> None:
    post_form(client, event_form("ONCRMDEALADD", ID=5))

    [message] = queued()
    assert message.headers["id"] == message.properties["correlation_id"]
    assert message.headers["kwargsrepr"].startswith("deal bitrix24:deal:5 changed trace=")
    assert message.headers["retries"] == 0
    assert message.properties["delivery_info"]["routing_key"] == "deal"
