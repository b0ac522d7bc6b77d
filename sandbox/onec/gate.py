"""The web server and the platform in front of the service: addresses, passwords, sessions, and their failures."""

from __future__ import annotations

import hmac
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Request, Response

from sandbox.faults import FaultPlan
from sandbox.onec.journal import Journal, JournalEntry
from sandbox.onec.platform_errors import (
    CLOSED,
    NO_LICENCE,
    SESSION_EXPIRED,
    SESSION_UNKNOWN,
    Answer,
    show_crash_page,
    show_exception,
    show_problem,
    show_web_server_page,
    show_xml_exception,
)
from sandbox.onec.service import Call, Service
from sandbox.onec.sessions import NoLicence, SessionExpired, Sessions, SessionUnknown
from sandbox.onec.settings import BaseSettings
from sandbox.serving import reset_connection

_BOM = b"\xef\xbb\xbf"
_COOKIE = "ibsession"
_FAILURE = "Ошибка при вызове метода контекста (Записать)\nпо причине:\nКонфликт блокировок при выполнении транзакции"


class Refused(Exception):
    """The platform answers itself; the service is not reached."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Gate:
    """Lets requests through to the service, one session each."""

    def __init__(
        self,
        settings: BaseSettings,
        *,
        service: Service,
        sessions: Sessions,
        journal: Journal,
        faults: FaultPlan,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._service = service
        self._sessions = sessions
        self._journal = journal
        self._faults = faults
        self._clock = clock
        self._sleep = sleep
        self._random = random.Random(settings.seed)
        # a locale may stand between the publication and its services
        self._address = re.compile(
            rf"/{re.escape(settings.publication)}(?:/[a-z]{{2}}_[A-Z]{{2}})?/hs/crm-exchange/v1(/.*)"
        )

    def answer(self, request: Request) -> Response:
        """Answer one request under the faults in force, and note it."""
        match = self._address.fullmatch(request.path)
        where = match[1] if match else request.path
        at = self._clock()
        with self._journal.open_request():
            answer = self._answer(request, where, published=match is not None)
        self._journal.note(
            JournalEntry(
                at=at,
                method=request.method,
                path=where,
                status=answer.status if answer else None,
                items=answer.items if answer else 0,
            )
        )
        if answer is None:
            reset_connection(request.environ)
            return Response(status=500)
        return self._render(answer)

    def _answer(self, request: Request, where: str, *, published: bool) -> Answer | None:
        """None where the connection is to be cut."""
        call = Call(method=request.method, path=where, query=request.args, body=request.get_data())
        if self._faults.draw("reset_before", where):
            return None
        try:
            self._break_before(where)
            answer = self._serve(request, call) if published else show_web_server_page(404, "Not Found")
        except Refused as refusal:
            return refusal.answer
        if self._faults.draw("reset_after", where):
            return None
        if self._faults.draw("html", where):
            return Answer(status=200, body=b"<html><body>OK</body></html>", content_type="text/html; charset=utf-8")
        return answer

    def _break_before(self, where: str) -> None:
        if self._faults.draw("http502", where):
            raise Refused(show_web_server_page(502, "Bad Gateway"))
        if self._faults.draw("http503", where):
            busy = show_web_server_page(503, "Service Unavailable", headers={"Retry-After": "1"})
            raise Refused(self._random.choice([busy, show_problem(503, "maintenance", "the base is busy")]))

    def _serve(self, request: Request, call: Call) -> Answer:
        cookie = request.cookies.get(_COOKIE) if self._settings.reuse_sessions else None
        if cookie is None and not self._knows(request):
            headers = {"WWW-Authenticate": 'Basic realm="1C:Enterprise 8.3"'}
            raise Refused(show_web_server_page(401, "Unauthorized", headers=headers))
        if self._faults.draw("maintenance", call.path):
            raise Refused(show_exception(403, CLOSED, method=call.method, path=call.path))
        wish = request.headers.get("IBSession", "") if self._settings.reuse_sessions else ""
        try:
            with self._session(cookie, wish) as headers:
                answer = self._work(call)
        except NoLicence as shortage:
            raise Refused(_show_shortage(call, wish)) from shortage
        except SessionExpired as end:
            raise Refused(show_xml_exception(406, SESSION_EXPIRED)) from end
        except SessionUnknown as end:
            # clients in the field have met both
            raise Refused(show_xml_exception(self._random.choice([400, 404]), SESSION_UNKNOWN)) from end
        return replace(answer, headers={**answer.headers, **headers})

    def _work(self, call: Call) -> Answer:
        if self._sessions.wake():
            self._sleep(self._settings.first_call_seconds)
        self._sleep(self._settings.latency_seconds)
        if hang := self._faults.draw("hang", call.path):
            self._sleep(hang.seconds)
        if self._faults.draw("http500", call.path):
            failed = show_exception(500, _FAILURE, method=call.method, path=call.path)
            return self._random.choice([failed, show_crash_page(500, _FAILURE)])
        return self._service.answer(call)

    def _knows(self, request: Request) -> bool:
        """Whether the user and the password, both UTF-8, are those of the exchange."""
        sent = request.authorization
        if sent is None or sent.type != "basic":
            return False
        given = f"{sent.username}:{sent.password}".encode()
        return hmac.compare_digest(given, f"{self._settings.user}:{self._settings.password}".encode())

    @contextmanager
    def _session(self, cookie: str | None, wish: str) -> Iterator[dict[str, str]]:
        """Enter the cookie's session, one to keep, or one for this request; yields the headers that tell of it."""
        headers: dict[str, str] = {}
        if cookie is None and wish == "start":
            cookie = self._sessions.start()
            headers = {"IBSession": "start", "Set-Cookie": f"{_COOKIE}={cookie}; Path=/{self._settings.publication}"}
        with self._sessions.kept(cookie) if cookie else self._sessions.passing():
            yield headers
        if cookie and wish == "finish":
            self._sessions.finish(cookie)

    def _render(self, answer: Answer) -> Response:
        bom = _BOM if self._settings.bom and "json" in answer.content_type else b""
        response = Response(bom + answer.body, status=answer.status, headers=dict(answer.headers))
        response.headers["Content-Type"] = answer.content_type
        return response


def _show_shortage(call: Call, wish: str) -> Answer:
    if wish == "start":
        return show_xml_exception(406, NO_LICENCE)
    return show_exception(500, NO_LICENCE, method=call.method, path=call.path)
