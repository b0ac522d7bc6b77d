"""What comes instead of the service's own answers: from the 1C platform and from the web server in front of it.

Shapes and texts: the project's notes on 1C, part 1.4, where each is traced to a public source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json; charset=utf-8"
HTML = "text/html; charset=utf-8"
_EXCEPTION_TYPE = "{http://v8.1c.ru/8.2/virtual-resource-system}Exception"
_PHRASES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 406: "Not Acceptable", 500: "Internal Server Error"}

NO_LICENCE = "Не обнаружено свободной лицензии! Превышено максимальное количество пользователей"
SESSION_EXPIRED = "Истекло время ожидания сеанса"
SESSION_UNKNOWN = "Сеанс отсутствует или удалён"
CLOSED = "Начало сеанса с информационной базой запрещено.\nТехнические работы в песочнице."


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A whole HTTP answer; `items` is how many records it is about, for the journal."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    items: int = 0


def show_json(status: int, content: Any, *, content_type: str = JSON, items: int = 0) -> Answer:
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status=status, body=body, content_type=content_type, items=items)


def show_problem(status: int, code: str, message: str) -> Answer:
    """The service's own refusal of a whole request."""
    return show_json(status, {"code": code, "message": message}, content_type=PROBLEM)


def show_exception(status: int, reason: str, *, method: str, path: str) -> Answer:
    """An exception of the platform as JSON; the reason is the innermost `descr`."""
    outer = f"HTTP: {_PHRASES[status]}\nОшибка при выполнении запроса {method} к ресурсу {path}:"
    return show_json(
        status,
        {
            "#exception": _EXCEPTION_TYPE,
            "exception": {"reason": status, "descr": outer, "inner": _show_inner(reason)},
        },
    )


def _show_inner(reason: str) -> dict[str, Any]:
    return {
        "clsid": "580392e6-ba49-4280-ac67-fcd6f2180121",
        "descr": reason,
        "creationStack": "core83.dll:0x0000000000142B0D core83.dll:0x00000000000A1C7F",
        "data": "77u/",
    }


def show_xml_exception(status: int, reason: str) -> Answer:
    """The same as XML: so the platform speaks of sessions."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<exception xmlns="http://v8.1c.ru/8.2/virtual-resource-system" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'clsid="580392e6-ba49-4280-ac67-fcd6f2180121" reason="{status}">'
        f"<descr>{escape(reason)}</descr></exception>\n"
    )
    return Answer(status=status, body=body.encode(), content_type="application/xml; charset=utf-8")


def show_crash_page(status: int, reason: str) -> Answer:
    """The page of a platform that could not even start the work."""
    return _show_page(
        status,
        "1C:Enterprise 8 application error",
        f"<h1>1C:Enterprise 8 application error:</h1><p>HTTP: {status}</p><p>by reason:</p><pre>{escape(reason)}</pre>",
    )


def show_web_server_page(status: int, phrase: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """The page of the web server, which knows nothing of 1C."""
    body = f"<h1>{phrase}</h1><hr><address>Apache/2.4.58 (Ubuntu)</address>"
    return _show_page(status, f"{status} {phrase}", body, headers=headers)


def _show_page(status: int, title: str, body: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body>{body}</body></html>\n"
    return Answer(status=status, body=page.encode(), content_type=HTML, headers=headers or {})
