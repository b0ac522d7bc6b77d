"""What may leave in an error report: which parts of it, and its texts without personal data. Pure.

Secrets are masked apart from this (telemetry.masker): they are known, personal data can only be recognised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from logging import LogRecord
from typing import Any

_SHOWN_PARTS = frozenset(
    {
        *("event_id", "timestamp", "platform", "sdk", "server_name", "release", "environment", "contexts"),
        *("level", "logger", "transaction", "fingerprint", "tags", "extra", "message", "logentry", "exception"),
    }
)
"""Of a report to Sentry; requests, users, breadcrumbs and whatever a later SDK adds stay here."""

_OURS = ("sync.", "sync_worker.")  # what our own log lines say is known; of others' lines only the template is

_RECORD_ID = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
_HEX_ID = r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{32}\b"  # a trace, an id of a task
_INSTANT = r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
_ADDRESS = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?!\.?\d)"
_EMAIL = r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_NUMBER = r"(?<!\w)\+?\(?\d(?:[\s().–-]{0,3}\d){8,}(?!\w)"  # phones, ИНН, ОГРН, КПП, СНИЛС, passports, accounts
_LOCAL_PHONE = r"(?<![\w-])\d{2,3}-\d\d-\d\d(?![\w-])"
_KEY_NAME = r"\b(?:ИНН|КПП|ОГРН|СНИЛС)\b"
# Names cannot be told from other words, but our own words are English, and names here are Russian; the escapes are
# how they look in a message's body.
_WORD = r"(?:[а-яё]|\\u04[0-9a-f]{2}|\\xd[01]\\x[89ab][0-9a-f])"
_WORDS = rf"{_WORD}+(?:[\s.,«»\"'-]{{1,3}}{_WORD}+)*"
_TEXT = re.compile(
    rf"(?P<kept>{_RECORD_ID}|{_HEX_ID}|{_INSTANT}|{_ADDRESS}|{_KEY_NAME})|(?P<email>{_EMAIL})"
    rf"|(?P<number>{_NUMBER}|{_LOCAL_PHONE})|(?P<words>{_WORDS})",
    re.IGNORECASE,
)

_MOST_CHARACTERS = 2000  # nobody reads more, and a message's body may be a megabyte


def without_personal(text: str) -> str:
    """The text without e-mails, phones, ИНН and other long numbers, and words in Russian. Ids and instants stay."""
    return _TEXT.sub(_replacement, text[:_MOST_CHARACTERS])


def _replacement(found: re.Match[str]) -> str:
    return found.group() if found.lastgroup == "kept" else f"[{found.lastgroup}]"


def scrub_report(report: Mapping[str, Any], record: LogRecord | None, clean: Callable[[str], str]) -> dict[str, Any]:
    """Of a report only what it takes to understand it, each free text of it cleaned.

    `record`: the log line that it was made of.
    """
    shown = {name: value for name, value in report.items() if name in _SHOWN_PARTS}
    if record is not None:
        shown |= _log_line(record, clean)
    if "message" in shown:
        shown["message"] = clean(str(shown["message"]))
    if "exception" in shown:
        raised = (shown["exception"] or {}).get("values") or []
        shown["exception"] = {"values": [{**one, "value": clean(str(one.get("value") or ""))} for one in raised]}
    return shown


def _log_line(record: LogRecord, clean: Callable[[str], str]) -> dict[str, Any]:
    """What takes the place of the SDK's version, which holds all arguments: Celery's may be a message's whole body."""
    if isinstance(record.msg, Mapping):  # structlog's
        template = said = str(record.msg.get("event", ""))
    else:
        template = str(record.msg)
        said = record.getMessage() if record.name.startswith(_OURS) else template
    line = {"message": clean(template), "formatted": clean(said)}
    shown: dict[str, Any] = {"logentry": line, "extra": {}}
    if record.name == "celery.app.trace" and isinstance(record.args, Mapping):
        shown["transaction"] = str(record.args.get("name", ""))  # the task
    return shown
