"""What the environment and sync.toml say, read once and checked whole. The only reader of os.environ in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from environs import EnvError, FileAwareEnv
from marshmallow import ValidationError, validate

from sync_worker.domain.rules import Rules
from sync_worker.sync_toml import load_rules


class SettingsError(Exception):
    """The settings are wrong; the message names every fault at once, with what to do."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the settings have faults:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class Plan(StrEnum):
    STANDARD = "standard"  # 2 requests a second, 50 at once
    ENTERPRISE = "enterprise"  # 5 requests a second, 250 at once


SECRET: Any = {"secret": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that the program is told from outside. `repr` and `masked` hide the secrets."""

    b24_webhook_url: str = field(metadata=SECRET)  # https://portal/rest/1/secret/ : the URL itself is the secret
    b24_application_tokens: tuple[str, ...] = field(metadata=SECRET)
    b24_plan: Plan
    b24_oauth_client_id: str  # of a local application, whose offline queue is read; empty = no such source
    b24_oauth_client_secret: str = field(metadata=SECRET)
    b24_oauth_refresh_token: str = field(metadata=SECRET)  # the first one; later ones are kept in Redis
    b24_oauth_url: str  # of the server that renews tokens
    onec_interface: str
    onec_url: str  # https://host/base ; the interface's path is added
    onec_user: str
    onec_password: str = field(metadata=SECRET)
    onec_profile: str
    onec_max_sessions: int  # calls to 1C at once, over all workers: a session costs a licence
    onec_webhook_secrets: tuple[str, ...] = field(metadata=SECRET)
    redis_url: str = field(metadata=SECRET)  # state; the broker is another database
    broker_url: str = field(metadata=SECRET)
    ingress_bind: str
    flower_bind: str
    flower_basic_auth: str = field(metadata=SECRET)  # user:password; empty = made by `up`
    flower_open_pages: tuple[str, ...]  # those of Flower's pages for machines that ask for no login
    sync_config: Path
    sync_var: Path
    sentry_dsn: str = field(metadata=SECRET)
    alert_webhook_url: str = field(metadata=SECRET)  # of a chat; empty = no alerts
    log_level: str
    rules: Rules = field(repr=False)

    def __repr__(self) -> str:
        shown = (
            (item.name, "***" if item.metadata.get("secret") else getattr(self, item.name)) for item in fields(self)
        )
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown if name != 'rules')})"

    @property
    def portal_origin(self) -> str:
        """`https://portal`, for links to cards. No secret in it."""
        parts = urlsplit(self.b24_webhook_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def has_application(self) -> bool:
        """True where a local application's credentials are given: then its offline queue is read too."""
        return bool(self.b24_oauth_client_id)

    def secrets(self) -> tuple[str, ...]:
        """Every text that must never be printed, longest first."""
        webhook = urlsplit(self.b24_webhook_url).path.rstrip("/").rpartition("/")[2]
        found = [webhook, self.onec_password, *self.b24_application_tokens, *self.onec_webhook_secrets]
        found += [self.b24_oauth_client_secret, self.b24_oauth_refresh_token]
        found += [unquote(urlsplit(url).password or "") for url in (self.redis_url, self.broker_url)]
        found += [pair.partition(":")[2] for pair in self.flower_basic_auth.split(",")]  # Flower takes several
        found += [self.sentry_dsn, *_url_secrets(self.alert_webhook_url)]
        return tuple(sorted({secret for secret in found if len(secret) >= 4}, key=len, reverse=True))


def load_settings() -> Settings:
    """Read the environment, a .env file and sync.toml.

    `NAME_FILE` names a file that holds NAME's value, as container secrets are given.
    Errors: SettingsError with every fault, those of sync.toml too.
    """
    env = _environment(eager=False)
    try:
        values = _values(env)
    except ValueError as unreadable:  # a NAME_FILE that is not there is told at once, without the other faults
        raise SettingsError([str(unreadable)]) from unreadable
    faults = _plain_http_faults(values, allowed=bool(env.bool("ALLOW_PLAIN_HTTP", default=False)))
    try:
        env.seal()
    except EnvError as error:
        faults += [f"{name}: {' '.join(map(str, texts))}" for name, texts in _messages(error).items()]
    faults += _half_given_faults(values)
    rules, rule_faults = load_rules(Path(values["sync_config"] or "sync.toml"))
    faults += rule_faults
    if faults or rules is None:
        raise SettingsError(faults)
    for name in ("b24_application_tokens", "onec_webhook_secrets", "flower_open_pages"):
        values[name] = tuple(values[name])
    return Settings(rules=rules, **values)


def _environment(*, eager: bool = True) -> FileAwareEnv:
    """The environment and a .env file. An editor's line end after a secret in its file is no part of the secret."""
    env = FileAwareEnv(eager=eager, strip_whitespace=True)
    env.read_env(".env", recurse=False)
    return env


def _values(env: FileAwareEnv) -> dict[str, Any]:
    """Every setting by its field's name; None where it has a fault. Errors: ValueError for an unreadable NAME_FILE."""
    url = _redis_url(env)
    return {
        "b24_webhook_url": env.str("B24_WEBHOOK_URL", validate=_webhook_url),
        "b24_application_tokens": env.list("B24_APPLICATION_TOKENS", subcast=str.strip, validate=_tokens),
        "b24_plan": env.enum("B24_PLAN", default=Plan.STANDARD, enum=Plan, by_value=True),
        "b24_oauth_client_id": env.str("B24_OAUTH_CLIENT_ID", default=""),
        "b24_oauth_client_secret": env.str("B24_OAUTH_CLIENT_SECRET", default=""),
        "b24_oauth_refresh_token": env.str("B24_OAUTH_REFRESH_TOKEN", default=""),
        "b24_oauth_url": env.str("B24_OAUTH_URL", default=DEFAULT_OAUTH_URL, validate=_oauth_url),
        "onec_interface": env.str("ONEC_INTERFACE", default="http", validate=_interface),
        "onec_url": env.str("ONEC_URL", validate=_remote_url),
        "onec_user": env.str("ONEC_USER"),
        "onec_password": env.str("ONEC_PASSWORD"),
        "onec_profile": env.str("ONEC_PROFILE", default="ut11", validate=validate.OneOf(PROFILES)),
        "onec_max_sessions": env.int("ONEC_MAX_SESSIONS", default=2, validate=validate.Range(min=1)),
        "onec_webhook_secrets": env.list("ONEC_WEBHOOK_SECRETS", subcast=str.strip, validate=_webhook_secrets),
        "redis_url": url,
        "broker_url": env.str("BROKER_URL", default=None) or next_database(url or ""),
        "ingress_bind": env.str("INGRESS_BIND", default="127.0.0.1:8080", validate=_bind),
        "flower_bind": env.str("FLOWER_BIND", default="127.0.0.1:5555", validate=_bind),
        "flower_basic_auth": env.str("FLOWER_BASIC_AUTH", default=""),
        "flower_open_pages": env.list("FLOWER_OPEN_PAGES", default=[], subcast=str.strip, validate=_open_pages),
        "sync_config": env.path("SYNC_CONFIG", default=Path("sync.toml")),
        "sync_var": env.path("SYNC_VAR", default=Path("var")),
        "sentry_dsn": env.str("SENTRY_DSN", default="", validate=_sentry_dsn),
        "alert_webhook_url": env.str("ALERT_WEBHOOK_URL", default="", validate=_alert_webhook_url),
        "log_level": env.str("LOG_LEVEL", default="INFO", validate=validate.OneOf(LOG_LEVELS)),
    }


def broker_url_from_environment() -> str:
    """BROKER_URL alone, for Celery's own configuration: it is read before, and by more than, a whole worker."""
    env = _environment()
    return str(env.str("BROKER_URL", default="") or next_database(_redis_url(env)))


def redis_is_given() -> bool:
    """True where REDIS_URL names a server, in the environment or in .env; else `up` runs one of its own."""
    return bool(_environment().str("REDIS_URL", default=""))


def broker_visibility_seconds() -> int:
    """BROKER_VISIBILITY_SECONDS: after so long Redis gives a message out again whose worker has not acknowledged it."""
    env = _environment()
    return int(env.int("BROKER_VISIBILITY_SECONDS", default=6, validate=validate.Range(min=2)) or 6)


def _redis_url(env: FileAwareEnv) -> str:
    """REDIS_URL, else the embedded server that `up` runs here, so that commands beside it find it."""
    if url := env.str("REDIS_URL", default=""):
        return str(url)
    note = (env.path("SYNC_VAR", default=Path("var")) or Path("var")) / EMBEDDED_REDIS_NOTE
    return note.read_text(encoding="utf-8").strip() if note.is_file() else DEFAULT_REDIS_URL


DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
DEFAULT_OAUTH_URL = "https://oauth.bitrix24.tech"  # of portals in Russia; elsewhere https://oauth.bitrix.info
APPLICATION = ("b24_oauth_client_id", "b24_oauth_client_secret", "b24_oauth_refresh_token")
EMBEDDED_REDIS_NOTE = Path("redis/url")  # under SYNC_VAR; it holds the password, so only its owner may read it
SHORTEST_KEY = 12  # shorter parts of an address are words, such as "services" or "hooks"
PROFILES = ("ut11", "ka2", "erp2", "unf")
FLOWER_PAGES = ("metrics", "healthcheck")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def next_database(redis_url: str) -> str:
    """The broker's default place: the same server, the next database. The state must not share the broker's."""
    parts = urlsplit(redis_url)
    number = parts.path.strip("/") or "0"
    return urlunsplit(parts._replace(path=f"/{int(number) + 1 if number.isdecimal() else 1}"))


def _messages(error: EnvError) -> Mapping[str, list[str]]:
    return getattr(error, "error_messages", None) or {"environment": [str(error)]}


def _webhook_url(value: str) -> None:
    parts = urlsplit(value)
    pieces = [piece for piece in parts.path.split("/") if piece]
    if parts.scheme not in ("http", "https") or not parts.netloc or len(pieces) != 3 or pieces[0] != "rest":
        # the value is a secret, so the message shows only the shape
        raise ValidationError(
            "must look like https://portal/rest/1/secret/ (Bitrix24: Developer resources > Inbound webhook)"
        )


def _remote_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
        raise ValidationError("must be the base's address, https://host/base, without user or password in it")


def _oauth_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or parts.path.strip("/"):
        raise ValidationError(f"must be the address of Bitrix24's OAuth server alone, such as {DEFAULT_OAUTH_URL}")


def _half_given_faults(values: Mapping[str, Any]) -> list[str]:
    """A local application's credentials: all of them or none."""
    missing = [name.upper() for name in APPLICATION if not values[name]]
    if len(missing) in (0, len(APPLICATION)):
        return []
    rest = ", ".join(name.upper() for name in APPLICATION if values[name])
    return [
        f"{name}: missing, though {rest} is set; the offline queue needs all three (docs/operations.md)"
        for name in missing
    ]


def _sentry_dsn(value: str) -> None:
    parts = urlsplit(value)
    if value and not (parts.scheme in ("http", "https") and parts.username and parts.hostname):
        raise ValidationError("must be the project's DSN, https://key@host/number, or empty")


def _alert_webhook_url(value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        # the value is a secret, so the message shows only the shape
        raise ValidationError("must be the address of a chat's incoming webhook, https://host/..., or empty")


def _url_secrets(url: str) -> list[str]:
    """The address, and those parts of it that let somebody in: a chat's webhook has its key in path or query."""
    parts = urlsplit(url)
    keys = [part for part in parts.path.split("/") if len(part) >= SHORTEST_KEY]
    keys += [value for _, value in parse_qsl(parts.query) if len(value) >= SHORTEST_KEY]
    return [url, unquote(parts.password or ""), *keys]


def _interface(value: str) -> None:
    if value in ("odata", "soap"):
        raise ValidationError(f"{value} is not built yet; use http with the exchange HTTP service")
    if value != "http":
        raise ValidationError("must be http, odata or soap")


def _bind(value: str) -> None:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValidationError("must be HOST:PORT, such as 127.0.0.1:8080")


def _open_pages(values: list[str]) -> None:
    if unknown := sorted(set(filter(None, values)) - set(FLOWER_PAGES)):
        raise ValidationError(
            f"names pages of Flower for machines: {', '.join(FLOWER_PAGES)}; not {', '.join(unknown)}"
        )


def _tokens(values: list[str]) -> None:
    if not values or not all(values):
        raise ValidationError("must be the application tokens of the outgoing webhooks, separated by commas")


def _webhook_secrets(values: list[str]) -> None:
    if not values or not all(value.startswith("whsec_") and len(value) > 20 for value in values):
        raise ValidationError("must be one or more secrets written whsec_<base64>, separated by commas")


def _plain_http_faults(values: Mapping[str, Any], *, allowed: bool) -> list[str]:
    """http:// carries secrets in the clear: accepted for loopback addresses only, unless ALLOW_PLAIN_HTTP=1."""
    names = {name: name.upper() for name in ("b24_webhook_url", "b24_oauth_url", "onec_url", "alert_webhook_url")}
    return [
        f"{names[name]}: http:// is accepted for loopback addresses only; use https://, or set ALLOW_PLAIN_HTTP=1"
        for name in names
        if not allowed
        and urlsplit(values[name] or "").scheme == "http"
        and not _is_loopback(urlsplit(values[name]).hostname)
    ]


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
