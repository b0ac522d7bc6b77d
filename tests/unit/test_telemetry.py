"""No secret leaves in a log line or an error report."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.rules import BudgetRules, CounterpartyRules, InvoiceRules, ReconcileRules, Rules
from sync_worker.settings import Plan, Settings
from sync_worker.telemetry import MASK, Pace, configure_logging, mask_all, masker

ROOT = Path(__file__).parents[2]
WEBHOOK_SECRET = "abcdef0123456789"
PASSWORD = 'pass"word\\with/odd signs'


def make_settings(*, sentry_dsn: str = "") -> Settings:
    return Settings(
        b24_webhook_url=f"https://portal.example/rest/1/{WEBHOOK_SECRET}/",
        b24_application_tokens=("application-token",),
        b24_plan=Plan.STANDARD,
        b24_oauth_client_id="local.app",
        b24_oauth_client_secret="key-of-the-application",
        b24_oauth_refresh_token="first-refresh-token",
        b24_oauth_url="https://oauth.example",
        onec_interface="http",
        onec_url="https://onec.example/base",
        onec_user="exchange",
        onec_password=PASSWORD,
        onec_profile="ut11",
        onec_max_sessions=2,
        onec_webhook_secrets=("whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",),
        redis_url="redis://:redis-password@host/0",
        broker_url="redis://:redis-password@host/1",
        ingress_bind="127.0.0.1:8080",
        flower_bind="127.0.0.1:5555",
        flower_basic_auth="",
        flower_open_pages=(),
        sync_config=Path("sync.toml"),
        sync_var=Path("var"),
        sentry_dsn=sentry_dsn,
        alert_webhook_url="",
        log_level="INFO",
        rules=Rules(
            counterparties=CounterpartyRules(owners={}),
            qualified_lead_statuses=frozenset(),
            pipelines={},
            invoices=InvoiceRules(),
            budget=BudgetRules(),
            reconcile=ReconcileRules(),
        ),
    )


def call_the_portal() -> None:
    """Fails as requests does: the URL, with its secret, is in the message."""
    local = PASSWORD
    raise ConnectionError(f"url: /rest/1/{WEBHOOK_SECRET}/crm.deal.get, password {local}")


# --- masking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "HTTPSConnectionPool: Max retries with url: /rest/1/s3cr3tcode/crm.deal.get.json",
            "HTTPSConnectionPool: Max retries with url: /rest/1/***/crm.deal.get.json",
        ),
        ("https://portal.example/rest/api/17/s3cr3tcode/", "https://portal.example/rest/api/17/***/"),
        ("GET /webhooks/bitrix24/robot?secret=t0ken&deal_id=5", "GET /webhooks/bitrix24/robot?secret=***&deal_id=5"),
        ("auth[application_token]=t0ken&event=X", "auth[application_token]=***&event=X"),
        ("auth%5Bapplication_token%5D=t0ken&event=X", "auth%5Bapplication_token%5D=***&event=X"),
        ("?access_token=t0ken", "?access_token=***"),
        ("&refresh_token=t0ken&", "&refresh_token=***&"),
        ("&client_secret=t0ken&", "&client_secret=***&"),
        ("ONEC_PASSWORD=t0ken", "ONEC_PASSWORD=***"),
        ("Password: t0ken, user", "Password: ***, user"),
        ('{"application_token": "t0ken", "ts": "1"}', '{"application_token": "***", "ts": "1"}'),
        ("{'password': 't0ken'}", "{'password': '***'}"),
        (r'"body": "{\"access_token\": \"t0ken\"}"', r'"body": "{\"access_token\": \"***\"}"'),
        ("redis://:t0ken@host:6379/0", "redis://:***@host:6379/0"),
        ("amqp://user:t0ken@rabbit/sync", "amqp://user:***@rabbit/sync"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_nobody_named_it(text: str, expected: str) -> None:
    assert masker(())(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://portal.example/crm/deal/details/5/",
        "the secret of a good merge",
        "nosecret=1&deal_id=5",
        '{"auth": {"user": 5}, "password": null}',
        "https://onec.example:8443/base/hs/crm-exchange/v1/orders",
        "2026-11-21T12:00:00+03:00 mail ivan@example.com",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert masker(())(text) == text


@pytest.mark.parametrize(
    "written",
    [PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD), json.dumps({"why": PASSWORD})],
)
def test_a_known_secret_is_hidden_however_it_is_written(written: str) -> None:
    shown = masker((PASSWORD,))(f"refused: {written}!")

    assert MASK in shown
    assert "word" not in shown


def test_of_two_secrets_the_longer_one_is_hidden_whole() -> None:
    assert masker(("token", "token-and-more"))("it is token-and-more") == "it is ***"


secrets = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=20)


@given(known=st.lists(secrets, min_size=1, max_size=4), around=st.lists(st.text(max_size=10), min_size=5, max_size=5))
def test_a_known_secret_never_survives(known: list[str], around: list[str]) -> None:
    text = "".join(part for pair in zip(around, [*known, ""] * 5, strict=False) for part in pair)

    shown = masker(tuple(known))(text)

    assert [secret for secret in known if secret in shown] == []


def test_every_text_inside_a_structure_is_masked() -> None:
    event = {"a": ["token!", ("token", 7)], "b": {"c": None, "d": "fine"}}

    assert mask_all(event, masker(("token",))) == {"a": ["***!", ["***", 7]], "b": {"c": None, "d": "fine"}}


# --- logs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    names = ("urllib3", "kombu", "amqp")
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("_logging_put_back")
def test_a_traceback_is_masked_and_stays_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())
    logger = structlog.get_logger("test.masking")

    try:
        call_the_portal()
    except ConnectionError:
        logger.exception("event_failed", record="bitrix24:deal:5")

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["record"]) == ("event_failed", "error", "bitrix24:deal:5")
    assert "ConnectionError: url: /rest/1/***/crm.deal.get, password ***" in line["exception"]
    assert WEBHOOK_SECRET not in str(line)


@pytest.mark.usefixtures("_logging_put_back")
def test_a_librarys_line_is_masked_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())

    logging.getLogger("some.library").warning("connected to %s", "redis://:redis-password@host/0")

    (line,) = lines(capsys)
    assert line["event"] == "connected to redis://:***@host/0"
    assert (line["logger"], line["level"]) == ("some.library", "warning")


@pytest.mark.usefixtures("_logging_put_back")
def test_urllib3_says_nothing_of_its_urls(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())

    logging.getLogger("urllib3.connectionpool").info("GET /rest/1/x/")

    assert lines(capsys) == []


@pytest.mark.usefixtures("_logging_put_back")
def test_a_line_carries_what_is_bound_to_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(make_settings())

    with structlog.contextvars.bound_contextvars(trace="abc"):
        structlog.get_logger("test.bound").info("event_done", outcome="created")

    (line,) = lines(capsys)
    assert (line["trace"], line["outcome"]) == ("abc", "created")


# --- Sentry (what a process tells it: tests/process/test_sentry.py) ---------------------------------------------------


def test_without_a_dsn_sentry_is_not_even_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from sync_worker.telemetry import *; from sync_worker.errors import ShutOut;"
        "from tests.contract.store_worlds import letter; from tests.unit.test_telemetry import make_settings;"
        "init_sentry(make_settings()); report_letter(letter()); report_fault(ShutOut('x'));"
        "sys.exit('sentry_sdk' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, check=False)

    assert done.returncode == 0


def test_the_same_thing_is_let_through_once_in_a_while() -> None:
    now = 0.0
    pace = Pace(every_seconds=10, monotonic=lambda: now)

    first = [pace.is_due("one"), pace.is_due("one"), pace.is_due("other")]
    now = 9.9
    second = [pace.is_due("one"), pace.is_due("other")]
    now = 10.0
    third = [pace.is_due("one"), pace.is_due("one")]

    assert (first, second, third) == ([True, False, True], [False, False], [True, False])
