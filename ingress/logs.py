"""One JSON line a request on stderr, and what may reach Sentry. Never a payload, a query string or a token."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import Any

import sentry_sdk
import structlog

_QUERY_SECRET = re.compile(r"((?:secret|token)(?:\]|%5d)?(?:=|%3d))[^&\s'\"]+", re.IGNORECASE)
_REQUEST_KEYS = frozenset({"method", "url"})  # all that Sentry may see of a request


class _StandardError:
    """Writes whole lines. A log that cannot be written must not turn an answer into an error."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = msg


def make_logger(level: str) -> Any:
    """A logger of its own: nothing global is configured, so it can live in a test beside another one."""
    return structlog.wrap_logger(
        _StandardError(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
    )


def mask_query_secrets(text: str) -> str:
    """`text` with the value of any `secret=` or `token=` parameter masked."""
    return _QUERY_SECRET.sub(r"\1***", text)


def start_sentry(dsn: str) -> None:
    """Send crashes to Sentry, if there is a DSN."""
    if dsn:
        sentry_sdk.init(dsn, **sentry_options())


def sentry_options() -> dict[str, Any]:
    return {
        "send_default_pii": False,
        "max_request_body_size": "never",
        "include_local_variables": False,  # they hold bodies and tokens
        "max_breadcrumbs": 0,
        "before_send": scrub_report,
        "before_send_transaction": scrub_report,
    }


def scrub_report(report: Any, _hint: Any) -> Any:
    """The report with nothing of the request but its method and path, and without the user."""
    request = report.get("request")
    if request is not None:
        report["request"] = {key: request[key].partition("?")[0] for key in _REQUEST_KEYS & set(request)}
    report.pop("user", None)
    return report
