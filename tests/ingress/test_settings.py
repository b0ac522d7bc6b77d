from __future__ import annotations

from pathlib import Path

import pytest

from ingress.settings import SettingsError, load_settings
from tests.ingress.conftest import SECRETS

NAMES = (
    *("BROKER_URL", "REDIS_URL", "B24_APPLICATION_TOKENS", "ONEC_WEBHOOK_SECRETS", "INGRESS_BIND"),
    *("INGRESS_SPOOL", "INGRESS_SPOOL_MAX_MB", "SYNC_VAR", "LOG_LEVEL", "SENTRY_DSN"),
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24_APPLICATION_TOKENS", "one, two")
    monkeypatch.setenv("ONEC_WEBHOOK_SECRETS", ",".join(SECRETS))


@pytest.mark.usefixtures("good")
def test_defaults() -> None:
    settings = load_settings()

    assert settings.b24_application_tokens == ("one", "two")
    assert settings.onec_webhook_secrets == SECRETS
    assert (settings.redis_url, settings.broker_url) == ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1")
    assert (settings.ingress_bind, settings.log_level, settings.sentry_dsn) == ("127.0.0.1:8080", "INFO", "")


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("environment", "folder", "max_mb"),
    [
        ({}, "var/spool", 512),
        ({"SYNC_VAR": "/srv/sync"}, "/srv/sync/spool", 512),
        ({"SYNC_VAR": "/srv/sync", "INGRESS_SPOOL": "/fast/disk", "INGRESS_SPOOL_MAX_MB": "64"}, "/fast/disk", 64),
        ({"INGRESS_SPOOL": "", "INGRESS_SPOOL_MAX_MB": "0"}, "var/spool", 0),
    ],
)
def test_where_the_spool_is(
    environment: dict[str, str], folder: str, max_mb: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert (settings.ingress_spool, settings.ingress_spool_max_mb) == (Path(folder), max_mb)


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("value", ["-1", "half", "1.5"])
def test_a_size_of_the_spool_that_is_none_is_a_fault(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_SPOOL_MAX_MB", value)

    with pytest.raises(SettingsError, match="INGRESS_SPOOL_MAX_MB"):
        load_settings()


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://:pw@host:7000", "redis://:pw@host:7000/1"),
        ("redis://host/4", "redis://host/5"),
        ("rediss://host/0?ssl_cert_reqs=required", "rediss://host/1?ssl_cert_reqs=required"),
    ],
)
def test_the_broker_is_the_next_database(redis_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    assert load_settings().broker_url == broker_url


@pytest.mark.usefixtures("good")
def test_a_broker_of_its_own_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://host/4")
    monkeypatch.setenv("BROKER_URL", "amqp://user:pw@rabbit/sync")

    settings = load_settings()

    assert (settings.redis_url, settings.broker_url) == ("redis://host/4", "amqp://user:pw@rabbit/sync")


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        f"B24_APPLICATION_TOKENS=from-file\nONEC_WEBHOOK_SECRETS={SECRETS[0]}\nLOG_LEVEL=DEBUG\n"
    )
    monkeypatch.setenv("LOG_LEVEL", "WARNING")

    settings = load_settings()

    assert (settings.b24_application_tokens, settings.log_level) == (("from-file",), "WARNING")


@pytest.mark.usefixtures("good")
def test_a_secret_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").write_text("from-a-secret\n")
    monkeypatch.delenv("B24_APPLICATION_TOKENS")
    monkeypatch.setenv("B24_APPLICATION_TOKENS_FILE", str(tmp_path / "tokens"))

    assert load_settings().b24_application_tokens == ("from-a-secret",)


def test_every_fault_is_named_in_one_message_without_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "REDIS_URL": "wrong-value",
        "BROKER_URL": "sqlite:///wrong-value",
        "ONEC_WEBHOOK_SECRETS": "wrong-value",
        "INGRESS_BIND": "wrong-value",
        "LOG_LEVEL": "wrong-value",
        "SENTRY_DSN": "wrong-value",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert {fault.partition(":")[0] for fault in caught.value.faults} == {*wrong, "B24_APPLICATION_TOKENS"}
    assert "wrong-value" not in str(caught.value)


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("B24_APPLICATION_TOKENS", ""),
        ("B24_APPLICATION_TOKENS", "one,,two"),
        ("ONEC_WEBHOOK_SECRETS", f"{SECRETS[0]},"),
        ("ONEC_WEBHOOK_SECRETS", "whsec_"),
        ("ONEC_WEBHOOK_SECRETS", "whsec_not base64!"),
        ("INGRESS_BIND", "127.0.0.1:99999"),
        ("INGRESS_BIND", ":8080"),
        ("REDIS_URL", "memory://"),
        ("REDIS_URL", "redis://host:port/0"),
    ],
)
def test_a_fault_names_its_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    [fault] = caught.value.faults
    assert fault.startswith(f"{name}: ")


def test_a_blank_broker_url_is_none_and_a_secrets_line_end_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "tokens"
    secret.write_text("token-from-a-file\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("B24_APPLICATION_TOKENS", raising=False)
    monkeypatch.setenv("B24_APPLICATION_TOKENS_FILE", str(secret))
    monkeypatch.setenv("ONEC_WEBHOOK_SECRETS", "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/3")
    monkeypatch.setenv("BROKER_URL", "")

    settings = load_settings()

    assert settings.b24_application_tokens == ("token-from-a-file",)
    assert settings.broker_url == "redis://127.0.0.1:6379/4"
