"""Bitrix24's automation and business processes: their "outgoing webhook" robot calls with the document it stands on.

Source: reference/bitrix24.md 4.6; tests/samples/bitrix24/robot.outgoing-webhook.deal.form.txt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingress.answers import unauthorized, unreadable
from ingress.bitrix24 import application_token
from ingress.credentials import matches_any, without_secrets
from sync_worker.contract import CODES, Ignored, Reading, bitrix24_event, bitrix24_misfit, positive_id

_DOCUMENT = re.compile(r"([A-Z][A-Z0-9_]{0,40})_([0-9]{1,20})")
_MEANINGS = {name: CODES[f"ONCRM{name}UPDATE"] for name in ("DEAL", "LEAD", "CONTACT", "COMPANY")}
_PLAIN_IDS = {"deal_id": "DEAL", "lead_id": "LEAD"}


def verify_robot(query: Mapping[str, Any], form: Mapping[str, Any], tokens: tuple[str, ...]) -> None:
    """Raise a 401 refusal unless `?secret=`, or the body's auth[application_token], is one of `tokens`.

    The plain robot's body brings no token that one could count on, so the administrator puts it into the address.
    """
    secret = query.get("secret")
    by_query = matches_any(secret if isinstance(secret, str) else "", tokens)
    if not by_query | matches_any(application_token(form), tokens):
        raise unauthorized("`secret` in the address is not one of B24_APPLICATION_TOKENS; correct the robot's address")


def read_robot(
    query: Mapping[str, Any], form: Mapping[str, Any], *, seen_at: datetime, tokens: tuple[str, ...]
) -> Reading:
    """Which record an authentic robot stands on: the body's document, the address's, then deal_id or lead_id.

    Errors: a 400 refusal where there is nothing but credentials.
    """
    raw = without_secrets({**query, **form}, tokens)
    if not raw:
        raise unreadable("there is nothing but credentials; name the record, as in deal_id={{ID}}")
    documents = [name for source in (form, query) if (name := _document(source))]
    for kind, number in filter(None, map(_split_document, documents)):
        id_ = positive_id(number)
        if id_ and kind in _MEANINGS:
            return bitrix24_event(_MEANINGS[kind], id_, seen_at=seen_at)
        if id_:
            return Ignored(code=f"ROBOT_{kind}")
    return _read_plain_id(query, form, seen_at) or bitrix24_misfit(
        raw, {"document_id[2]": ["no document such as DEAL_123, and no deal_id or lead_id"]}, seen_at=seen_at
    )


def _read_plain_id(query: Mapping[str, Any], form: Mapping[str, Any], seen_at: datetime) -> Reading | None:
    for source in (form, query):
        for name, kind in _PLAIN_IDS.items():
            if id_ := positive_id(source.get(name)):
                return bitrix24_event(_MEANINGS[kind], id_, seen_at=seen_at)
    return None


def _document(source: Mapping[str, Any]) -> str:
    """The third part of `document_id` (module, class, document), or the whole where it is one text."""
    value = source.get("document_id")
    name = value.get("2") if isinstance(value, Mapping) else value
    return name.strip().upper() if isinstance(name, str) else ""


def _split_document(name: str) -> tuple[str, str] | None:
    match = _DOCUMENT.fullmatch(name)
    return (match[1], match[2]) if match else None
