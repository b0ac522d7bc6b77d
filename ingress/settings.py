"""What the environment says, read once and checked whole. The only reader of os.environ in the ingress."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from environs import EnvError, FileAwareEnv
from marshmallow import ValidationError, validate

SECRET: Any = {"secret": True}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
BROKER_SCHEMES = ("redis", "rediss", "amqp", "amqps")
STATE_SCHEMES = ("redis", "rediss")
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
DEFAULT_SPOOL_MAX_MB = 512  # some 600,000 events of Bitrix24's; those of 1C's bring their record, and are larger


class SettingsError(Exception):
    """The settings are wrong; the message names every fault at once, with what to do. No values: they are secrets."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the ingress's settings have faults:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that the ingress is told from outside. `repr` hides the secrets."""

    broker_url: str = field(metadata=SECRET)
    b24_application_tokens: tuple[str, ...] = field(metadata=SECRET)  # several webhooks have different tokens
    onec_webhook_secrets: tuple[str, ...] = field(metadata=SECRET)  # whsec_...; several while one is being rotated
    redis_url: str = field(default=DEFAULT_REDIS_URL, metadata=SECRET)  # the workers' state, read for /metrics only
    ingress_bind: str = "127.0.0.1:8080"
    ingress_spool: Path = Path("var/spool")
    ingress_spool_max_mb: int = DEFAULT_SPOOL_MAX_MB  # 0: no spool
    log_level: str = "INFO"
    sentry_dsn: str = field(default="", metadata=SECRET)

    def __repr__(self) -> str:
        shown = (
            (item.name, "***" if item.metadata.get("secret") else getattr(self, item.name)) for item in fields(self)
        )
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown)})"


def load_settings() -> Settings:
    """Read the environment and a .env file in the working folder; `NAME_FILE` names a file that holds NAME's value.

    Errors: SettingsError with every fault.
    """
    env = FileAwareEnv(eager=False, strip_whitespace=True)
    env.read_env(".env", recurse=False)
    # a blank one, as in .env.example, is none
    redis_url = env.str("REDIS_URL", default="", validate=_redis_url) or DEFAULT_REDIS_URL
    values: dict[str, Any] = {
        "redis_url": redis_url,
        "broker_url": env.str("BROKER_URL", default="", validate=_broker_url) or next_database(redis_url),
        "b24_application_tokens": env.list("B24_APPLICATION_TOKENS", validate=_tokens),
        "onec_webhook_secrets": env.list("ONEC_WEBHOOK_SECRETS", validate=_webhook_secrets),
        "ingress_bind": load_bind(env),
        "ingress_spool": Path(env.str("INGRESS_SPOOL", default="") or _default_spool(env)),
        "ingress_spool_max_mb": env.int(
            "INGRESS_SPOOL_MAX_MB", default=DEFAULT_SPOOL_MAX_MB, validate=validate.Range(min=0)
        ),
        "log_level": env.str("LOG_LEVEL", default="INFO", validate=validate.OneOf(LOG_LEVELS)),
        "sentry_dsn": env.str("SENTRY_DSN", default="", validate=_sentry_dsn),
    }
    faults = _faults(env)
    if faults:
        raise SettingsError(faults)
    for name in ("b24_application_tokens", "onec_webhook_secrets"):
        values[name] = tuple(item.strip() for item in values[name])
    return Settings(**values)


def load_bind(env: FileAwareEnv | None = None) -> str:
    """INGRESS_BIND alone: gunicorn needs it before the application is made."""
    if env is None:
        env = FileAwareEnv(strip_whitespace=True)
        env.read_env(".env", recurse=False)
    return str(env.str("INGRESS_BIND", default="127.0.0.1:8080", validate=_bind))


def _default_spool(env: FileAwareEnv) -> Path:
    """Beside the embedded Redis and the logs of `sync-worker up`."""
    return Path(env.str("SYNC_VAR", default="") or "var") / "spool"


def next_database(redis_url: str) -> str:
    """The broker's default place: the state's server, the next database."""
    parts = urlsplit(redis_url)
    number = parts.path.strip("/") or "0"
    return urlunsplit(parts._replace(path=f"/{int(number) + 1 if number.isdecimal() else 1}"))


def _faults(env: FileAwareEnv) -> list[str]:
    try:
        env.seal()
    except EnvError as error:
        messages = getattr(error, "error_messages", None) or {"environment": [str(error)]}
        return [f"{name}: {' '.join(map(str, texts))}" for name, texts in messages.items()]
    return []


def _redis_url(value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme not in STATE_SCHEMES or not _has_readable_port(parts)):
        raise ValidationError("must be redis://host:port/number or rediss://...")


def _has_readable_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _broker_url(value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme not in BROKER_SCHEMES or not parts.hostname):
        raise ValidationError(
            "must be redis://host:port/number, rediss://..., amqp://user:password@host/vhost or amqps://..."
        )


def _tokens(values: list[str]) -> None:
    if not values or not all(value.strip() for value in values):
        raise ValidationError("must be the application tokens of the outgoing webhooks, separated by commas")


def _webhook_secrets(values: list[str]) -> None:
    if not values or not all(map(_is_webhook_secret, values)):
        raise ValidationError("must be one or more secrets written whsec_<base64>, separated by commas")


def _is_webhook_secret(value: str) -> bool:
    prefix, _, key = value.strip().partition("whsec_")
    try:
        return not prefix and bool(base64.b64decode(key + "=" * (-len(key) % 4), validate=True))
    except binascii.Error:
        return False


def _bind(value: str) -> None:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValidationError("must be HOST:PORT, such as 127.0.0.1:8080")


def _sentry_dsn(value: str) -> None:
    parts = urlsplit(value)
    if value and not (parts.scheme in ("http", "https") and parts.username and parts.hostname):
        raise ValidationError("must be the project's DSN, https://key@host/number, or empty")
