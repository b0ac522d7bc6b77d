"""The environment and sync.toml, read once and checked whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from sync_worker.domain.rules import Contacts, InvoiceKind, Kind, Owner
from sync_worker.settings import (
    Plan,
    SettingsError,
    broker_url_from_environment,
    broker_visibility_seconds,
    load_settings,
    next_database,
)
from sync_worker.sync_toml import load_rules

GOOD = {
    "B24_WEBHOOK_URL": "https://portal.example/rest/1/abcdef0123456789/",
    "B24_APPLICATION_TOKENS": "token-of-first, token-of-second",
    "ONEC_URL": "https://onec.example/base",
    "ONEC_USER": "exchange",
    "ONEC_PASSWORD": "onec-password",
    "ONEC_WEBHOOK_SECRETS": "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
}
TOML = '[[pipelines]]\ncategory = 0\nsend_at = ["EXECUTING"]\n'


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An environment with just what is needed, and a folder with just a sync.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sync.toml").write_text(TOML, encoding="utf-8")
    with patch.dict(os.environ, GOOD, clear=True):  # a .env file is read into it, so all of it is put back
        yield GOOD


def faults(**changes: str) -> list[str]:
    os.environ.update(changes)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert all(fault in str(caught.value) for fault in caught.value.faults)
    return caught.value.faults


# --- what is read ----------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    settings = load_settings()

    assert settings.b24_application_tokens == ("token-of-first", "token-of-second")
    assert (settings.b24_plan, settings.onec_interface, settings.onec_profile) == (Plan.STANDARD, "http", "ut11")
    assert (settings.onec_max_sessions, settings.log_level) == (2, "INFO")
    assert (settings.redis_url, settings.broker_url) == ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1")
    assert (settings.ingress_bind, settings.flower_bind) == ("127.0.0.1:8080", "127.0.0.1:5555")
    assert (settings.sync_config, settings.sync_var) == (Path("sync.toml"), Path("var"))
    assert (settings.flower_basic_auth, settings.sentry_dsn, settings.alert_webhook_url) == ("", "", "")
    assert settings.portal_origin == "https://portal.example"


def test_a_dotenv_file_is_read_and_the_real_environment_wins() -> None:
    Path(".env").write_text("ONEC_USER=from-file\nLOG_LEVEL=DEBUG\n", encoding="utf-8")

    settings = load_settings()

    assert (settings.onec_user, settings.log_level) == ("exchange", "DEBUG")


def test_a_secret_may_come_in_a_file_whose_line_end_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", encoding="utf-8")
    del os.environ["ONEC_PASSWORD"]
    os.environ["ONEC_PASSWORD_FILE"] = str(tmp_path / "password")

    assert load_settings().onec_password == "from a file"


def test_a_file_that_is_not_there_is_a_fault() -> None:
    assert faults(ONEC_PASSWORD_FILE="not-there") == ["The value of ONEC_PASSWORD_FILE must be a readable file path."]


def test_the_embedded_redis_is_found_by_its_note() -> None:
    note = Path("state/redis/url")
    note.parent.mkdir(parents=True)
    note.write_text("redis://:pw@127.0.0.1:7001/0\n", encoding="utf-8")
    os.environ["SYNC_VAR"] = "state"

    assert load_settings().redis_url == "redis://:pw@127.0.0.1:7001/0"
    assert broker_url_from_environment() == "redis://:pw@127.0.0.1:7001/1"


def test_a_broker_of_its_own_wins() -> None:
    os.environ["BROKER_URL"] = "amqp://user:pw@rabbit/sync"

    assert load_settings().broker_url == broker_url_from_environment() == "amqp://user:pw@rabbit/sync"


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://host", "redis://host/1"),
        ("redis://host/4", "redis://host/5"),
        ("rediss://:pw@host:7000/0?ssl_cert_reqs=required", "rediss://:pw@host:7000/1?ssl_cert_reqs=required"),
    ],
)
def test_the_state_and_the_broker_are_never_in_one_database(redis_url: str, broker_url: str) -> None:
    assert next_database(redis_url) == broker_url


def test_the_brokers_patience_is_read_from_the_environment() -> None:
    assert broker_visibility_seconds() == 6
    os.environ["BROKER_VISIBILITY_SECONDS"] = "30"
    assert broker_visibility_seconds() == 30


# --- faults ----------------------------------------------------------------------------------------------------------


def test_all_faults_are_in_one_message() -> None:
    Path("sync.toml").write_text(TOML + "colour = 1\n", encoding="utf-8")
    for name in GOOD:
        del os.environ[name]

    found = faults(B24_PLAN="gold", ONEC_MAX_SESSIONS="0", LOG_LEVEL="LOUD", INGRESS_BIND="8080")

    wrong = {"B24_PLAN", "ONEC_MAX_SESSIONS", "LOG_LEVEL", "INGRESS_BIND"}
    assert {fault.partition(":")[0] for fault in found} == {*GOOD, *wrong, "sync.toml"}


@pytest.mark.parametrize(
    "url",
    [
        "portal.example",
        "https://portal.example/",
        "https://portal.example/rest/1/",
        "https://portal.example/oauth/1/secret99/",
        "https:///rest/1/secret99/",
        "ftp://portal.example/rest/1/secret99/",
        "https://portal.example/rest/1/secret99/crm.deal.list",
    ],
)
def test_a_webhook_url_of_another_shape_is_refused_without_being_shown(url: str) -> None:
    (fault,) = faults(B24_WEBHOOK_URL=url)

    assert fault.startswith("B24_WEBHOOK_URL: must look like https://portal/rest/1/secret/")
    assert "secret99" not in fault


@pytest.mark.parametrize("url", ["onec.example/base", "https://", "https://user:pw@onec.example/base", "file:///base"])
def test_an_address_of_onec_of_another_shape_is_refused(url: str) -> None:
    (fault,) = faults(ONEC_URL=url)

    assert fault.startswith("ONEC_URL: must be the base's address")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "127.8.8.8"])
def test_plain_http_is_accepted_for_loopback(host: str) -> None:
    os.environ["ONEC_URL"] = f"http://{host}/base"

    assert load_settings().onec_url == f"http://{host}/base"


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
@pytest.mark.parametrize("host", ["onec.example", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example"])
def test_plain_http_is_refused_for_every_other_host(host: str, scheme: str) -> None:
    url = f"{scheme}://{host}/base"

    (fault,) = faults(ONEC_URL=url)

    assert fault.startswith("ONEC_URL: http:// is accepted for loopback addresses only")
    os.environ["ALLOW_PLAIN_HTTP"] = "1"
    assert load_settings().onec_url == url


def test_the_webhook_is_held_to_https_as_well() -> None:
    (fault,) = faults(B24_WEBHOOK_URL="http://portal.example/rest/1/secret99/")

    assert fault.startswith("B24_WEBHOOK_URL: http://")
    assert "secret99" not in fault


def test_so_is_the_webhook_of_alerts() -> None:
    (fault,) = faults(ALERT_WEBHOOK_URL="http://chat.example/hooks/secret-of-the-chat")

    assert fault.startswith("ALERT_WEBHOOK_URL: http://")
    assert "secret-of-the-chat" not in fault


@pytest.mark.parametrize("url", ["chat.example/hooks/secret99", "ftp://chat.example/secret99", "https:///secret99"])
def test_a_webhook_of_alerts_of_another_shape_is_refused_without_being_shown(url: str) -> None:
    (fault,) = faults(ALERT_WEBHOOK_URL=url)

    assert fault.startswith("ALERT_WEBHOOK_URL: must be the address of a chat's incoming webhook")
    assert "secret99" not in fault


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ONEC_INTERFACE", "odata", "odata is not built yet"),
        ("ONEC_INTERFACE", "com", "must be http, odata or soap"),
        ("ONEC_PROFILE", "bp30", "ut11"),
        ("ONEC_MAX_SESSIONS", "0", "1"),
        ("ONEC_MAX_SESSIONS", "many", "integer"),
        ("ONEC_WEBHOOK_SECRETS", "secret", "whsec_"),
        ("ONEC_WEBHOOK_SECRETS", "", "whsec_"),
        ("B24_APPLICATION_TOKENS", "", "application tokens"),
        ("B24_APPLICATION_TOKENS", "one,,two", "application tokens"),
        ("B24_APPLICATION_TOKENS", " ", "application tokens"),
        ("INGRESS_BIND", "127.0.0.1", "HOST:PORT"),
        ("INGRESS_BIND", ":8080", "HOST:PORT"),
        ("FLOWER_BIND", "127.0.0.1:99999", "HOST:PORT"),
        ("FLOWER_OPEN_PAGES", "metrics,tasks", "not tasks"),
        ("LOG_LEVEL", "loud", "DEBUG"),
        ("SENTRY_DSN", "https://sentry.example/1", "https://key@host/number"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(name: str, value: str, words: str) -> None:
    (fault,) = faults(**{name: value})

    assert fault.startswith(f"{name}: ")
    assert words in fault


# --- secrets ---------------------------------------------------------------------------------------------------------

SECRET_ENVIRONMENT = {
    **GOOD,
    "REDIS_URL": "redis://:redis%2Fpassword@host/0",
    "BROKER_URL": "amqp://user:broker-password@rabbit/sync",
    "FLOWER_BASIC_AUTH": "first:flower-one,second:flower-two",
    "SENTRY_DSN": "https://sentry-key@sentry.example/1",
    "ALERT_WEBHOOK_URL": "https://chat.example/services/T0KEN/key-of-the-chat?sig=signature-of-it&v=2",
}
SECRETS = {
    "abcdef0123456789",
    "token-of-first",
    "token-of-second",
    "onec-password",
    "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
    "redis/password",
    "broker-password",
    "flower-one",
    "flower-two",
    "https://sentry-key@sentry.example/1",
    "https://chat.example/services/T0KEN/key-of-the-chat?sig=signature-of-it&v=2",
    "key-of-the-chat",
    "signature-of-it",
}


def test_secrets_are_complete_and_longest_first() -> None:
    os.environ.update(SECRET_ENVIRONMENT)

    secrets = load_settings().secrets()

    assert set(secrets) == SECRETS
    assert list(secrets) == sorted(secrets, key=len, reverse=True)


def test_a_blank_secret_hides_nothing() -> None:
    assert "" not in load_settings().secrets()


def test_repr_hides_the_secrets_and_shows_the_rest() -> None:
    os.environ.update(SECRET_ENVIRONMENT)

    shown = repr(load_settings())

    assert [secret for secret in SECRETS if secret in shown or secret.replace("/", "%2F") in shown] == []
    assert "onec_url='https://onec.example/base'" in shown
    assert "onec_password='***'" in shown


APPLICATION = {
    "B24_OAUTH_CLIENT_ID": "local.65a1",
    "B24_OAUTH_CLIENT_SECRET": "key-of-the-application",
    "B24_OAUTH_REFRESH_TOKEN": "first-refresh-token",
}


def test_a_local_application_is_off_unless_it_is_given() -> None:
    assert not load_settings().has_application

    os.environ.update(APPLICATION)
    settings = load_settings()

    assert settings.has_application
    assert settings.b24_oauth_url == "https://oauth.bitrix24.tech"
    assert {"key-of-the-application", "first-refresh-token"} <= set(settings.secrets())
    assert "key-of-the-application" not in repr(settings)
    assert "first-refresh-token" not in repr(settings)


@pytest.mark.parametrize("given", APPLICATION)
def test_a_local_application_needs_all_three_or_none(given: str) -> None:
    found = faults(**{given: APPLICATION[given]})

    assert {fault.partition(":")[0] for fault in found} == set(APPLICATION) - {given}
    assert all(given in fault and APPLICATION[given] not in fault for fault in found)


@pytest.mark.parametrize("url", ["oauth.example", "ftp://oauth.example", "https://oauth.example/oauth/token/", ""])
def test_the_address_of_the_oauth_server_is_held_to_its_shape(url: str) -> None:
    (fault,) = faults(B24_OAUTH_URL=url)
    assert fault.startswith("B24_OAUTH_URL: ")


def test_the_oauth_server_is_held_to_https_as_well() -> None:
    os.environ["B24_OAUTH_URL"] = "http://127.0.0.1:8101"
    assert load_settings().b24_oauth_url == "http://127.0.0.1:8101"
    (fault,) = faults(B24_OAUTH_URL="http://oauth.example")
    assert "http:// is accepted for loopback" in fault


def test_a_fault_shows_no_secret() -> None:
    os.environ.update(SECRET_ENVIRONMENT)

    found = "\n".join(faults(ONEC_WEBHOOK_SECRETS="whsec_short", ONEC_URL="https://user:hunter2@onec.example/base"))

    assert "whsec_short" not in found
    assert "hunter2" not in found


# --- sync.toml -------------------------------------------------------------------------------------------------------


def rules_of(text: str) -> tuple[object, list[str]]:
    Path("sync.toml").write_text(text, encoding="utf-8")
    return load_rules(Path("sync.toml"))


def test_rules_have_their_defaults() -> None:
    rules, found = load_rules(Path("sync.toml"))

    assert found == []
    assert rules is not None
    assert (rules.counterparties.contacts, rules.counterparties.companies) == (Contacts.ALL, True)
    assert rules.counterparties.owners["phones"] is Owner.BITRIX24
    assert rules.counterparties.presets == {Kind.COMPANY: 1, Kind.SOLE_TRADER: 3, Kind.PERSON: 5}
    assert rules.qualified_lead_statuses == {"CONVERTED"}
    assert (rules.invoices.kind, rules.invoices.stages["paid"]) == (InvoiceKind.SMART, "P")
    assert (rules.total_tolerance, rules.comment_on_create, rules.max_age_hours) == (Decimal("0.01"), True, 24)
    assert (rules.budget.live_share, rules.budget.operating_limit_seconds) == (Decimal("0.3"), 480)
    assert (rules.reconcile.every_minutes, rules.reconcile.max_changes) == (15, 500)


def test_stages_get_their_pipelines_prefix() -> None:
    stages = '[pipelines.stages]\n"Закрыт" = "WON"\n'
    Path("sync.toml").write_text(
        f'[[pipelines]]\ncategory = 2\nsend_at = ["WON", "C2:PAID"]\n{stages}', encoding="utf-8"
    )

    rules, _ = load_rules(Path("sync.toml"))

    assert rules is not None
    assert rules.pipelines[2].send_at == {"C2:WON", "C2:PAID"}
    assert rules.pipelines[2].stages == {"Закрыт": "C2:WON"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour = 1\n", "colour: unknown key"),
        ("[owners.counterparty]\nphone = 'onec'\n", "owners.counterparty.phone: unknown key"),
        ("[[pipelines]]\ncategory = 0\nsend_at = ['A']\nstage = {}\n", "pipelines.0.stage: unknown key"),
        ("[invoices.stages]\ndraft = 'N'\n", "invoices.stages.draft: unknown key"),
    ],
)
def test_an_unknown_key_is_named_with_its_path(text: str, expected: str) -> None:
    assert rules_of(text) == (None, [f"sync.toml: {expected}"])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[owners.counterparty]\nname = 'me'\n", "owners.counterparty.name"),
        ("[counterparties]\ncontacts = 'some'\n", "counterparties.contacts"),
        ("[counterparties]\ncompanies = 'some'\n", "counterparties.companies"),
        ("[[pipelines]]\nsend_at = ['A']\n", "pipelines.0.category"),
        ("[[pipelines]]\ncategory = 0\n", "pipelines.0.send_at"),
        ("[[pipelines]]\ncategory = 0\nsend_at = []\n", "pipelines.0.send_at"),
        ("[orders]\ntotal_tolerance = '-1'\n", "orders.total_tolerance"),
        ("[budget]\nlive_share = 2\n", "budget.live_share"),
        ("[retry]\nmax_age_hours = 0\n", "retry.max_age_hours"),
        ("[[pipelines]]\ncategory = 0\nsend_at=['A']\n[[pipelines]]\ncategory = 0\nsend_at=['B']\n", "pipelines"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(text: str, where: str) -> None:
    rules, (fault,) = rules_of(text)

    assert rules is None
    assert fault.startswith(f"sync.toml: {where}: ")


def test_every_fault_of_the_file_is_named() -> None:
    _, found = rules_of("colour = 1\n[counterparties]\ncontacts = 'some'\n[retry]\nmax_age_hours = 0\n")

    assert len(found) == 3


@pytest.mark.parametrize("content", [b"[[[", b"name = '\xff'"], ids=["no TOML", "no UTF-8"])
def test_a_file_that_cannot_be_read_as_toml_is_one_fault(content: bytes) -> None:
    Path("sync.toml").write_bytes(content)

    rules, (fault,) = load_rules(Path("sync.toml"))

    assert rules is None
    assert fault.startswith("sync.toml: not readable as TOML: ")


def test_a_file_that_is_not_there_says_what_to_do() -> None:
    assert load_rules(Path("other.toml"))[1] == [
        "other.toml: not found; copy sync.example.toml to other.toml and adapt it (or set SYNC_CONFIG)"
    ]


def test_a_folder_in_its_place_is_a_fault_and_no_crash() -> None:
    Path("folder.toml").mkdir()

    assert load_rules(Path("folder.toml")) == (None, ["folder.toml: cannot be read: Is a directory"])
