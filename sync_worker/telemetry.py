"""Logs and error reports that carry no secret: one line of JSON an event, masked at the last moment."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from sync_worker.settings import Settings

MASK = "***"
_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)[A-Za-z0-9_-]{4,}")
_NAMES = r"(?i)((?:(?<![a-z0-9])|%5B)(?:secret|application_token|auth|password|access_token)"
_TOKENS = re.compile(_NAMES + r"(?:\]|%5D)?[=:]\s*)[^\s&\"',}]+")
_QUOTED_TOKENS = re.compile(_NAMES + r"\\?[\"']\s*:\s*\\?[\"'])[^\\\"']+")  # in JSON, and in JSON within JSON
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s/]+@")


def masker(secrets: tuple[str, ...]) -> Callable[[str], str]:
    """A function that hides the known secrets, and whatever looks like one of their kind."""
    spellings = sorted({spelling for secret in secrets for spelling in _spellings(secret)}, key=len, reverse=True)

    def mask(text: str) -> str:
        for spelling in spellings:
            text = text.replace(spelling, MASK)
        text = _WEBHOOK.sub(rf"\1{MASK}", text)
        text = _TOKENS.sub(rf"\1{MASK}", text)
        text = _QUOTED_TOKENS.sub(rf"\1{MASK}", text)
        return _URL_PASSWORD.sub(rf"\1{MASK}@", text)

    return mask


def _spellings(secret: str) -> tuple[str, ...]:
    """The secret as it stands in plain text, in a URL, in a form, and in JSON (so in every line of the log)."""
    in_json = (json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True))
    return (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *in_json)


def mask_all(value: Any, mask: Callable[[str], str]) -> Any:
    """The same for every text inside a structure."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: mask_all(inner, mask) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_all(inner, mask) for inner in value]
    return value


def configure_logging(settings: Settings) -> None:
    """JSON lines to stderr, ours and the libraries' alike. Every line is masked whole, tracebacks too."""
    mask = masker(settings.secrets())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            lambda logger, name, event: mask(str(renderer(logger, name, event))),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for chatty in ("urllib3", "kombu", "amqp"):  # urllib3 logs whole URLs at DEBUG
        logging.getLogger(chatty).setLevel(logging.WARNING)


def init_sentry(settings: Settings) -> None:
    """Report errors, scrubbed, where SENTRY_DSN says; nothing without it."""
    if not settings.sentry_dsn:
        return
    import sentry_sdk  # noqa: PLC0415  # a third of a second that only its users should pay

    mask = masker(settings.secrets())

    def scrub(event: Any, _hint: Any) -> Any:
        event.pop("request", None)
        return mask_all(event, mask)

    sentry_sdk.init(dsn=settings.sentry_dsn, before_send=scrub, send_default_pii=False, include_local_variables=False)
