"""The shapes in which an answer from 1C's side may come, and the one sentence in it that a person can use.

Four peers answer at one address: the exchange service (JSON, Problem), the platform (exception as JSON or XML), the
platform's crash page and the web server (HTML). Source: the project's notes on 1C, 1.4 and 1.5.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_TEXT = 300  # characters of the remote's words that we keep
_TAG = re.compile(r"<[^>]*>")
_XML_DESCR = re.compile(r"<(?:\w+:)?descr[^>]*>(.*?)</(?:\w+:)?descr>", re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_REASON = re.compile(r"(?:by reason|по причине):(.*)", re.DOTALL | re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>«»\"']+@[^\s@<>«»\"']+")
_LONG_NUMBER = re.compile(r"\+?\d(?:[\s()-]{0,2}\d){8,}")


class Shape(StrEnum):
    """Who speaks."""

    PROBLEM = "problem"  # the exchange service
    EXCEPTION = "exception"  # the 1C platform
    PAGE = "page"  # a web server, or the platform's crash page
    OTHER = "other"  # JSON of no known shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What a refusal says. `code` is a Problem's, else blank; `text` is masked and short, or blank."""

    shape: Shape
    text: str
    code: str = ""


def decode_json(body: bytes) -> Any:
    """The JSON in a body, with or without a byte order mark; None where it is no JSON."""
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def read_failure(body: bytes) -> Failure:
    """Find the innermost reason. Stacks and base64 `data` are left where they are."""
    content = decode_json(body)
    if isinstance(content, Mapping):
        return _read_json_failure(content)
    text = body.decode("utf-8-sig", "replace")
    reasons = [html.unescape(reason).strip() for reason in _XML_DESCR.findall(text)]
    if any(reasons):
        return Failure(shape=Shape.EXCEPTION, text=mask_text([reason for reason in reasons if reason][-1]))
    return Failure(shape=Shape.PAGE, text=mask_text(_page_reason(text)))


def mask_text(text: str) -> str:
    """The remote's words on one line, cut, without e-mail addresses and long numbers (phones, ИНН)."""
    masked = _LONG_NUMBER.sub("…", _EMAIL.sub("…@…", " ".join(text.split())))
    return masked if len(masked) <= MAX_TEXT else masked[: MAX_TEXT - 1] + "…"


def _read_json_failure(content: Mapping[str, Any]) -> Failure:
    if "#exception" in content or isinstance(content.get("exception"), Mapping):
        reasons = list(_reasons(content.get("exception")))
        return Failure(shape=Shape.EXCEPTION, text=mask_text(reasons[-1] if reasons else ""))
    if isinstance(content.get("code"), str):
        return Failure(shape=Shape.PROBLEM, text=mask_text(str(content.get("message") or "")), code=content["code"])
    return Failure(shape=Shape.OTHER, text="")


def _reasons(exception: Any) -> Iterator[str]:
    """The `descr` of an exception and of those inside it, outermost first, blank ones left out."""
    while isinstance(exception, Mapping):
        if text := str(exception.get("descr") or "").strip():
            yield text
        exception = exception.get("inner")


def _page_reason(page: str) -> str:
    """What follows "by reason:" on the platform's page; else the title, which is all that a web server's page says."""
    plain = html.unescape(_TAG.sub(" ", page))
    if reason := _REASON.search(plain):
        return reason[1]
    title = _TITLE.search(page)
    return html.unescape(title[1]) if title else ""
