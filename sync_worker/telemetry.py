"""Logs and error reports that carry no secret: one line of JSON an event, masked at the last moment.

To Sentry goes one issue per cause and record for what waits for a person (`report_letter`), one per cause for what
stops the work of all (`report_fault`), and what is logged as an error; of none of them any personal data.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from sync_worker.domain.letter import DeadLetter
from sync_worker.errors import Misconfigured, SyncError, all_causes
from sync_worker.scrubbing import scrub_report, without_personal
from sync_worker.settings import Settings

MASK = "***"
_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)[A-Za-z0-9_-]{4,}")
_NAMES = r"(?i)((?:(?<![a-z0-9])|%5B)(?:secret|application_token|auth|password|access_token|refresh_token)"
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
    from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger  # noqa: PLC0415
    from sentry_sdk.integrations.threading import ThreadingIntegration  # noqa: PLC0415

    ignore_logger(_TASKS_LOGGER)
    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        release=version("bitrix24-onec-sync"),
        before_send=_before_send(masker(settings.secrets()), Pace(every_seconds=ALARM_EVERY_SECONDS)),
        send_default_pii=False,
        include_local_variables=False,  # they hold both systems' records
        max_breadcrumbs=0,  # they hold URLs, and a webhook's URL is its secret
        trace_propagation_targets=[],
        # Listed, so that an upgrade adds none. Not Celery's and the HTTP client's own: they hang the DSN's key on each
        # message and on requests to both systems; a task that fails is in Celery's log, and so here.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda _pending, _seconds: None),
            ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
            LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
        ],
    )


def report_letter(letter: DeadLetter, error: Exception | None = None) -> None:
    """Tell Sentry that a letter was filed; nothing where Sentry is not in use.

    `error`: what nobody foresaw, for its traceback. Neither the letter's message nor its values are told: they hold
    what people are called.
    """
    record = letter.record
    tags = {"entity": letter.entity, "cause": letter.cause}
    if record is not None:
        tags |= {"record_system": record.system.value, "record_type": record.type.value}
    _report(
        {
            "level": "warning",
            "message": f"{letter.cause}: {_advice(letter.cause)}",
            "fingerprint": [letter.cause, str(record or letter.entity)],
            "tags": tags,
            "extra": {
                "record": str(record or ""),
                "letter": letter.id,
                "trace": letter.trace,
                "attempts": letter.attempts,
                "topic": without_personal(letter.topic),
            },
        },
        error if letter.cause not in all_causes() else None,
        hint={"letter": letter.id},
    )


def report_fault(error: Exception) -> None:
    """Tell Sentry of what stops the work of all (Misconfigured, ShutOut), once in a while; nothing of other errors."""
    if isinstance(error, Misconfigured):
        _report(
            {
                "level": "error",
                "message": f"{error.cause}: {error} {error.advice}",
                "fingerprint": [error.cause],
                "tags": {"cause": error.cause},
            }
        )


ALARM_EVERY_SECONDS = 600.0  # a backlog that meets one fault, or a log that says one thing, is one event in this time
_TASKS_LOGGER = "sync.task"  # its errors are letters and faults, which are reported as such


class Pace:
    """Lets the same thing through once in a while."""

    def __init__(self, *, every_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._every_seconds = every_seconds
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._seen: dict[str, float] = {}

    def is_due(self, what: str) -> bool:
        """True once in each stretch of time."""
        now = self._monotonic()
        with self._guard:
            self._seen = {one: at for one, at in self._seen.items() if now - at < self._every_seconds}
            if what in self._seen:
                return False
            self._seen[what] = now
            return True


def _before_send(mask: Callable[[str], str], pace: Pace) -> Callable[[Any, Any], Any]:
    """The last to see a report. What it returns leaves; where it returns None or breaks, nothing does."""

    def clean(text: str) -> str:
        return without_personal(mask(text))  # in this order: secrets are found while they are whole

    def scrub(report: Any, hint: Any) -> Any:
        cause = _cause_told_of(hint)
        if cause:
            report["fingerprint"] = [cause]
            report["tags"] = {**(report.get("tags") or {}), "cause": cause}
        shown = mask_all(scrub_report(report, hint.get("log_record"), clean), mask)
        return shown if "letter" in hint or pace.is_due(_kind_of(shown)) else None

    return scrub


def _cause_told_of(hint: Mapping[str, Any]) -> str:
    """The cause of one of our errors that was raised to the top, or that a log line tells of; else blank."""
    record, raised = hint.get("log_record"), hint.get("exc_info") or (None, None)
    told = record.args if record is not None and isinstance(record.args, tuple) else ()
    return next((error.cause for error in (*told, raised[1]) if isinstance(error, SyncError)), "")


def _kind_of(report: Mapping[str, Any]) -> str:
    """What makes two reports the same, without asking Sentry."""
    line = (report.get("logentry") or {}).get("message")
    errors = [value.get("type") for value in (report.get("exception") or {}).get("values", ())]
    return repr(report.get("fingerprint") or [report.get("logger"), line, report.get("transaction"), errors])


def _advice(cause: str) -> str:
    return all_causes().get(cause, SyncError).advice


def _report(
    report: Mapping[str, Any], error: Exception | None = None, *, hint: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Hand it to the SDK, which sends it from a thread of its own. `error`: its traceback goes along."""
    sdk: Any = sys.modules.get("sentry_sdk")  # who did not start it does not pay for it
    if sdk is None or not sdk.get_client().is_active():
        return
    raised: Mapping[str, Any] = {}
    if error is not None:
        raised, _ = sdk.utils.event_from_exception(error, client_options=sdk.get_client().options)
    sdk.capture_event({**raised, **report}, hint=dict(hint))
