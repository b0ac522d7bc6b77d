"""Bitrix24's events: is the caller the portal, and what does its form hold? Nothing else.

Which record an event names is the contract's to say: the offline queue brings the same events.
Source: reference/bitrix24.md part 4; tests/samples/bitrix24/event.*.form.txt
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingress.answers import unauthorized, unreadable
from ingress.brackets import parse_brackets
from ingress.credentials import matches_any, without_secrets
from sync_worker.contract import Reading, read_bitrix24

MAX_CODE_CHARS = 64  # what logs and metrics may see of an unknown code


def parse_form(body: bytes) -> dict[str, Any]:
    """The body as a nested mapping. Errors: a 400 refusal where there is nothing to read in it."""
    try:
        form = parse_brackets(body)
    except ValueError as error:
        raise unreadable("the form has too many fields; send one event a request") from error
    if not form:
        raise unreadable("the body is empty; send the event as a form, as Bitrix24's outgoing webhook does")
    return form


def verify_token(form: Mapping[str, Any], tokens: tuple[str, ...]) -> None:
    """Raise a 401 refusal unless auth[application_token] is one of `tokens`."""
    if not matches_any(application_token(form), tokens):
        raise unauthorized("auth[application_token] is not one of B24_APPLICATION_TOKENS; copy it from the webhook")


def application_token(form: Mapping[str, Any]) -> str:
    return _text(_mapping(form.get("auth")).get("application_token"))


def read_event(form: Mapping[str, Any], *, seen_at: datetime, tokens: tuple[str, ...]) -> Reading:
    """What an authentic event says.

    Shape: `event`, `data[FIELDS]`; `ts` is the time of sending, so `seen_at` is our own clock's.
    Errors: a 400 refusal where there is nothing in the form but its credentials.
    """
    raw = without_secrets(form, tokens)
    if not raw:
        raise unreadable("the form holds nothing but credentials; `event` and `data` are missing")
    code = _text(form.get("event")).upper()[:MAX_CODE_CHARS]
    return read_bitrix24(code, _fields(form), raw, seen_at=seen_at)


def _fields(form: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(form.get("data")).get("FIELDS"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
