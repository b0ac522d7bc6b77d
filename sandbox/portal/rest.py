"""The REST itself: who may call, the two limits, faults, envelopes. Methods know nothing of HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request, Response

from sandbox import serving
from sandbox.faults import FaultPlan
from sandbox.portal import batch, errors
from sandbox.portal.batch import Answer
from sandbox.portal.bucket import LeakyBucket
from sandbox.portal.calls import Call, Listed, Methods
from sandbox.portal.clock import iso
from sandbox.portal.errors import CutConnectionError, RequestTooLongError, RestError, SpoiledAnswerError
from sandbox.portal.journal import Journal
from sandbox.portal.operating import OperatingBudget
from sandbox.portal.params import parse_pairs
from sandbox.portal.world import World

_PAGE = "<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Caller:
    user_id: int
    secret: str
    started_at: float  # portal time


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """Answers requests to /rest/{user}/{secret}/{method}."""

    world: World
    methods: Methods
    bucket: LeakyBucket
    operating: OperatingBudget
    faults: FaultPlan
    journal: Journal

    def answer(self, request: Request, user_id: int, secret: str, name: str) -> Response:
        """Answer one request, whatever comes of it, and write it down."""
        started = self.world.clock.real()
        method = method_name(name)
        caller = _Caller(user_id=user_id, secret=secret, started_at=self.world.clock.scaled())
        commands: list[str] | None = [] if method == "batch" else None
        error: Any = None
        try:
            self._admit(caller)
            params = read_params(request)
            if commands is not None:
                commands += [batch.method_of(command) for command in batch.commands_of(params).values()]
            self._disturb_before(method, nested=False)
            body = self._run(caller, method, params, started)
            self._disturb_after(method)
            response = _json(200, body)
        except RestError as refused:
            error, response = refused.code, _json(refused.status, refused.body())
        except _ProxyPageError as page:
            error, response = page.title, _html(page.status, page.title)
        except SpoiledAnswerError:
            error, response = "html", _html(200, "Bitrix24")
        except RequestTooLongError:
            error, response = "timeout", _html(504, "504 Gateway Time-out")
        except CutConnectionError:
            error, response = "reset", Response(status=500)
        status = None if error == "reset" else response.status_code
        self.journal.note(at=started, method=method, status=status, error=error, user=user_id, commands=commands)
        if error == "reset":
            serving.reset_connection(request.environ)  # after the journal: who sees the cut may look there at once
        return response

    def _admit(self, caller: _Caller) -> None:
        settings = self.world.settings
        if settings.secrets.get(caller.secret) != caller.user_id:
            raise errors.bad_credentials(settings.wrong_secret_status)
        if not self.bucket.take():
            raise errors.query_limit()

    def _run(self, caller: _Caller, method: str, params: dict[str, Any], started: float) -> dict[str, Any]:
        if method != "batch":
            return _envelope(self._execute(caller, method, params))
        outcome = batch.run(params, lambda name, given: self._execute_nested(caller, name, given))
        finished = self.world.clock.real()
        return {"result": outcome.as_json(), "time": _time(started, finished, finished - started)}

    def _execute_nested(self, caller: _Caller, method: str, params: dict[str, Any]) -> Answer:
        """Run a command of a batch: no bucket, but the operating budget and the faults of its method."""
        self._disturb_before(method, nested=True)
        try:
            answer = self._execute(caller, method, params)
        except RestError as refused:
            if refused.code == "OPERATION_TIME_LIMIT":
                self.journal.count_refused_command()
            raise
        self._disturb_after(method)
        return answer

    def _execute(self, caller: _Caller, method: str, params: dict[str, Any]) -> Answer:
        """Run one method, charging its time to the webhook's budget of that method, whether it succeeds or not."""
        entry = self.methods.find(method)
        if entry is None:
            raise errors.method_not_found()
        if self.operating.is_spent(caller.secret, method):
            raise errors.operation_time_limit()
        clock, settings = self.world.clock, self.world.settings
        if clock.scaled() - caller.started_at + settings.latency_seconds > settings.request_limit_seconds:
            raise RequestTooLongError
        began, began_scaled = clock.real(), clock.scaled()
        clock.sleep(settings.latency_seconds)
        try:
            call = Call(world=self.world, user_id=caller.user_id, params=params, method=method)
            with self.world.lock:
                result = entry.run(call)
        finally:
            spent = self.operating.spend(caller.secret, method, clock.scaled() - began_scaled)
        finished = clock.real()
        time = _time(began, finished, finished - began) | {"operating_reset_at": spent[1], "operating": spent[0]}
        if isinstance(result, Listed):
            return Answer(result=result.result, time=time, total=result.total, next=result.next)
        return Answer(result=result, time=time)

    def _disturb_before(self, where: str, *, nested: bool) -> None:
        """Draw the faults that strike before anything is done."""
        if not self.faults.faults:
            return
        hang = self.faults.draw("hang", where)
        if hang:
            self.world.clock.sleep(hang.seconds)
        if self.faults.draw("reset_before", where):
            raise CutConnectionError
        if self.faults.draw("maintenance", where):
            raise errors.overloaded()
        if self.faults.draw("http500", where):
            raise errors.internal()
        for kind, status, title in (("http502", 502, "502 Bad Gateway"), ("http503", 503, "503 Service Unavailable")):
            if self.faults.draw(kind, where):
                raise errors.unexpected_answer() if nested else _ProxyPageError(status, title)

    def _disturb_after(self, where: str) -> None:
        """Draw the faults that strike when the work is done: the answer is lost, or is no answer."""
        if not self.faults.faults:
            return
        if self.faults.draw("reset_after", where):
            raise CutConnectionError
        if self.faults.draw("html", where):
            raise SpoiledAnswerError


class _ProxyPageError(Exception):
    """A fault: the proxy before the portal answers with a page of its own."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title


def method_name(path: str) -> str:
    """Read the method off the path: any case, an optional `.json`, a trailing slash."""
    return path.strip("/").lower().removesuffix(".json")


def read_params(request: Request) -> dict[str, Any]:
    """Merge query, form and JSON parameters into one bag, as PHP does."""
    params = parse_pairs(request.args.items(multi=True)) if request.query_string else {}
    if request.mimetype == "application/json":
        body = request.get_data(cache=False)
        given = _loads(body) if body.strip() else {}
        return params | {str(key): value for key, value in given.items()}
    return params | parse_pairs(request.form.items(multi=True)) if request.method == "POST" else params


def _loads(body: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        return {}  # PHP takes a body that is no JSON for no parameters
    if isinstance(given, list):
        return {str(index): value for index, value in enumerate(given)}
    return given if isinstance(given, dict) else {}


def _envelope(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = {"result": answer.result}
    if answer.next is not None:
        body["next"] = answer.next
    if answer.total is not None:
        body["total"] = answer.total
    return body | {"time": answer.time}


def _time(start: float, finish: float, processing: float) -> dict[str, Any]:
    return {
        "start": start,
        "finish": finish,
        "duration": finish - start,
        "processing": processing,
        "date_start": iso(start),
        "date_finish": iso(finish),
    }


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(
        json.dumps(body, separators=(",", ":")), status=status, content_type="application/json; charset=utf-8"
    )


def _html(status: int, title: str) -> Response:
    return Response(_PAGE.format(title=title), status=status, content_type="text/html")
