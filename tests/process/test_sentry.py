"""What Sentry is told: one issue per cause and record, and nothing secret or personal, in the bytes that leave."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sync_worker.errors import FieldConflict, Misconfigured
from tests.process.exchange import (
    APPLICATION_TOKEN,
    B24_SECRET,
    ONEC_PASSWORD,
    ROBOT_TOKEN,
    SIGNING_SECRET,
    exchange,
    wait_until,
)
from tests.receiver import Receiver, receiver
from tests.services import ROOT
from tests.unit.test_telemetry import WEBHOOK_SECRET

pytestmark = pytest.mark.process

NAME, EMAIL, PHONE, INN = "Иванов Иван", "ivan@example.com", "+7 912 345-67-89", "500100732259"
PERSONAL = (NAME, json.dumps(NAME)[1:-1], EMAIL, PHONE, "79123456789", INN)


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def spoken(sentry: Receiver, *hidden: str) -> list[str]:
    """What of this stands in the bytes that came."""
    report = b"\n".join(sentry.bodies).decode()
    return [text for text in hidden if text in report]


# --- a worker --------------------------------------------------------------------------------------------------------


def test_a_conflict_that_fails_twice_is_one_issue_and_tells_nobodys_data(
    sentry: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", sentry.dsn)
    with exchange(tmp_path / "place") as place:
        ref = place.onec_form("counterparties", kind="company", name="ООО Спор", inn="7707083893")
        company = wait_until(
            lambda: next((c for c in place.portal_state()["companies"] if c["UF_CRM_1C_ID"] == ref), None)
        )
        wait_until(place.is_quiet, what="nothing waits any more")
        place.base.faults.replace("event_loss:counterparty.changed=1x1")
        place.onec_form(f"counterparties/{ref}", name=f"{NAME} из 1С {PHONE}")
        place.portal_form(f"companies/{company['ID']}", title=f"{NAME} {EMAIL} {INN}")
        (first,) = wait_until(sentry.issues, what="the conflict is told")

        letter = json.loads(place.command("dead", "list", "--json").stdout)["letters"][0]
        place.command("dead", "replay", letter["id"])
        first, second = wait_until(lambda: len(sentry.issues()) > 1 and sentry.issues(), what="it fails again")
        place.portal.faults.replace("expired")
        place.portal_form("contacts", last_name=NAME, email=EMAIL, phone=PHONE)
        wait_until(lambda: len(sentry.issues()) > 2, what="the portal is shut to us")

    conflict = ["field_conflict", f"bitrix24:company:{company['ID']}"]
    assert {tuple(issue["fingerprint"]) for issue in sentry.issues()} == {tuple(conflict), ("shut_out",)}
    assert first["message"] == f"field_conflict: {FieldConflict.advice}"
    assert first["extra"]["letter"] == second["extra"]["letter"] == letter["id"]
    assert first["tags"]["record_type"] == "company"
    assert spoken(sentry, letter["id"]) == [letter["id"]], "what is looked for would be found"
    secrets = (B24_SECRET, APPLICATION_TOKEN, ROBOT_TOKEN, ONEC_PASSWORD, json.dumps(ONEC_PASSWORD), SIGNING_SECRET)
    assert spoken(sentry, *PERSONAL, *secrets) == []


# --- a process of its own --------------------------------------------------------------------------------------------

HEAD = """
import logging, sys
from dataclasses import replace
import structlog
from sync_worker.errors import *
from sync_worker.telemetry import configure_logging, init_sentry, report_fault, report_letter
from tests.contract.store_worlds import letter
from tests.process.test_sentry import raised
from tests.unit.test_telemetry import call_the_portal, make_settings

settings = make_settings(sentry_dsn=sys.argv[1])
configure_logging(settings)
init_sentry(settings)
"""


def raised(error: Exception) -> Exception:
    """The error as it is after it was raised, with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


def run(script: str, sentry: Receiver, folder: Path) -> list[dict[str, Any]]:
    """What Sentry was told by a process that ran the script and came to its end. None of it is a secret."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, sentry.dsn],
        env={"PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert spoken(sentry, *PERSONAL, WEBHOOK_SECRET, "odd signs", "redis-password") == []
    return sentry.issues()


def test_a_letter_is_one_issue_of_its_cause_and_record(sentry: Receiver, tmp_path: Path) -> None:
    script = f"""
words = "{NAME} {EMAIL} {PHONE} {INN} https://portal.example/rest/1/{WEBHOOK_SECRET}/"
conflict = {{"fields": {{"name": {{"baseline": "{NAME}", "bitrix24": words, "onec": "{EMAIL}"}}}}}}
filed = letter(id="01kb3", message=words, details=conflict, words=("{INN}",), topic="name", event={{"onec": words}})
report_letter(filed)
report_letter(replace(filed, attempts=2), FieldConflict({{}}))
report_letter(replace(filed, cause="remote_rejected", topic="{INN}"))
"""
    first, second, other = run(script, sentry, tmp_path)

    assert first["fingerprint"] == second["fingerprint"] == ["field_conflict", "bitrix24:contact:42"]
    assert other["fingerprint"] == ["remote_rejected", "bitrix24:contact:42"]
    assert (first["level"], first["release"]) == ("warning", version("bitrix24-onec-sync"))
    assert first["message"] == f"field_conflict: {FieldConflict.advice}"
    tags = {"entity": "contact", "cause": "field_conflict", "record_system": "bitrix24", "record_type": "contact"}
    assert first["tags"] == tags
    assert first["extra"] == {
        "record": "bitrix24:contact:42",
        "letter": "01kb3",
        "trace": "t",
        "attempts": 1,
        "topic": "name",
    }
    assert (second["extra"]["attempts"], other["extra"]["topic"]) == (2, "[number]")
    assert not any("exception" in issue for issue in (first, second, other))


def test_what_nobody_foresaw_comes_with_its_traceback(sentry: Receiver, tmp_path: Path) -> None:
    script = f"""
bug = raised(ValueError("{NAME} has no {PHONE} at /rest/1/{WEBHOOK_SECRET}/x"))
report_letter(letter(cause="internal_error"), bug)
"""
    (issue,) = run(script, sentry, tmp_path)

    (told,) = issue["exception"]["values"]
    assert (told["type"], told["value"]) == ("ValueError", "[words] has no [number] at /rest/1/***/x")
    assert told["stacktrace"]["frames"][-1]["function"] == "raised"
    assert "vars" not in told["stacktrace"]["frames"][-1]
    assert issue["fingerprint"] == ["internal_error", "bitrix24:contact:42"]


def test_letters_that_name_no_record_are_one_issue_per_kind(sentry: Receiver, tmp_path: Path) -> None:
    (issue,) = run('report_letter(letter(cause="bad_event", record=None, entity="deal"))', sentry, tmp_path)

    assert issue["fingerprint"] == ["bad_event", "deal"]
    assert "record_type" not in issue["tags"]


def test_a_fault_that_a_whole_backlog_meets_is_told_once_and_with_the_next_step(
    sentry: Receiver, tmp_path: Path
) -> None:
    script = """
for number in range(100):
    report_fault(Misconfigured(f"1C refuses the password of the exchange: 401 at record {number}"))
    report_fault(ShutOut("the portal's REST is blocked"))
    report_fault(RemoteUnavailable("waits for its turn"))
"""
    issues = run(script, sentry, tmp_path)

    assert [issue["fingerprint"] for issue in issues] == [["misconfigured"], ["shut_out"]]
    assert issues[0]["message"].endswith(f"401 at record 0 {Misconfigured.advice}")
    assert issues[0]["level"] == "error"


def test_a_log_line_about_one_of_our_errors_is_an_issue_of_its_cause(sentry: Receiver, tmp_path: Path) -> None:
    script = f"""
gateway = logging.getLogger("sync_worker.gateways.bitrix24.departures")
for number in range(3):
    gateway.error("Bitrix24 is shut to us: %s", ShutOut("expired, {PHONE}, /rest/1/{WEBHOOK_SECRET}/x"))
report_fault(ShutOut("expired"))
"""
    (issue,) = run(script, sentry, tmp_path)

    assert (issue["fingerprint"], issue["tags"]) == (["shut_out"], {"cause": "shut_out"})
    assert issue["logentry"]["formatted"] == "Bitrix24 is shut to us: expired, [number], /rest/1/***/x"


def test_only_errors_are_issues_and_what_is_a_letter_is_not_logged_to_sentry_again(
    sentry: Receiver, tmp_path: Path
) -> None:
    script = f"""
structlog.get_logger("sync.task").error("event_failed", cause="internal_error", exc_info=raised(ValueError("{NAME}")))
structlog.get_logger("sync.task").error("event_failed", cause="misconfigured", reason="{NAME}")
structlog.get_logger("sync.upkeep").warning("event_found_again", shown="{NAME}")
logging.getLogger("celery.worker.consumer").critical("Can't decode message body: %r", "{NAME} {PHONE}")
"""
    (issue,) = run(script, sentry, tmp_path)

    assert issue["logentry"]["formatted"] == "Can't decode message body: %r"


def test_an_exception_that_somebody_captures_holds_no_secret(sentry: Receiver, tmp_path: Path) -> None:
    script = """
import sentry_sdk
try:
    call_the_portal()
except ConnectionError as error:
    sentry_sdk.capture_exception(error)
"""
    (issue,) = run(script, sentry, tmp_path)

    assert issue["exception"]["values"][0]["value"] == "url: /rest/1/***/crm.deal.get, password ***"


def test_neither_requests_nor_messages_carry_anything_of_sentrys(sentry: Receiver, tmp_path: Path) -> None:
    """The SDK would hang the DSN's key on them."""
    script = """
import requests
requests.post(sys.argv[1].replace("sentry-key@", ""), json={}, timeout=5)
"""
    run(script, sentry, tmp_path)

    (headers,) = sentry.headers
    assert {"baggage", "sentry-trace"} & {name.lower() for name in headers} == set()
