"""The REST itself: who may call, the two limits, faults, envelopes. Methods know nothing of HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from flask import Request, Response

from sandbox import serving
from sandbox.portal import batch, errors
from sandbox.portal.batch import Answer
from sandbox.portal.bucket import LeakyBucket
from sandbox.portal.calls import Call, Listed, Methods
from sandbox.portal.clock import iso
from sandbox.portal.errors import (
    CutConnectionError,
    LostResultError,
    ProxyPageError,
    RenamedError,
    RequestTooLongError,
    RestError,
    SpoiledAnswerError,
)
from sandbox.portal.journal import Journal
from sandbox.portal.oauth import OAuthServer
from sandbox.portal.operating import OperatingBudget
from sandbox.portal.reading import method_name, read_params
from sandbox.portal.troubles import Troubles, page
from sandbox.portal.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class _Caller:
    user_id: int | None  # None: an application, whose token has not been looked at yet
    secret: str  # of the webhook; of an application its id: whom running time is charged to
    started_at: float  # portal time
    is_application: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    """What goes back, and what the journal calls it if it is no success."""

    response: Response
    error: Any = None
    is_cut: bool = False  # nothing goes back: the connection ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """Answers requests to /rest/{user}/{secret}/{method}, and those of an application to /rest/{method}."""

    world: World
    methods: Methods
    oauth: OAuthServer
    bucket: LeakyBucket
    operating: OperatingBudget
    troubles: Troubles
    journal: Journal

    def answer(self, request: Request, user_id: int | None, secret: str, name: str) -> Response:
        """Answer one request, whatever comes of it, and write it down. Without a user it is an application's."""
        clock, one_way_seconds = self.world.clock, self.world.settings.request_latency_seconds / 2
        clock.sleep(one_way_seconds)
        at, method = clock.real(), method_name(name)
        caller = _Caller(user_id=user_id, secret=secret, started_at=clock.scaled(), is_application=user_id is None)
        commands: list[str] | None = [] if method == "batch" else None
        with self.journal.open_request():
            reply = self._reply(request, caller, method, commands)
            status = None if reply.is_cut else reply.response.status_code
            self.journal.note(at=at, method=method, status=status, error=reply.error, user=user_id, commands=commands)
        if reply.is_cut:
            serving.reset_connection(request.environ)  # after the journal: who sees the cut may look there at once
        else:
            clock.sleep(one_way_seconds)
        return reply.response

    def _reply(self, request: Request, caller: _Caller, method: str, commands: list[str] | None) -> _Reply:
        began = self.world.clock.real()
        try:
            body = self._work(request, caller, method, commands)
        except RestError as refused:
            return _Reply(response=_json(refused.status, refused.body()), error=refused.code)
        except ProxyPageError as shown:
            return _Reply(response=_html(shown.status, shown.title), error=shown.title)
        except SpoiledAnswerError:
            return _Reply(response=_html(200, "Bitrix24"), error="html")
        except LostResultError:
            return _Reply(response=_json(200, {"time": self._time_since(began)}), error="no_result")
        except RenamedError:
            return _Reply(response=_moved(self.world.settings.renamed_to + request.path), error="renamed")
        except RequestTooLongError:
            return _Reply(response=_html(504, "504 Gateway Time-out"), error="timeout")
        except CutConnectionError:
            return _Reply(response=Response(status=500), error="reset", is_cut=True)
        whole = _json(200, body)
        if self.troubles.truncates(method):
            return _Reply(response=_half(whole), error="truncated")
        return _Reply(response=whole)

    def _work(self, request: Request, caller: _Caller, method: str, commands: list[str] | None) -> dict[str, Any]:
        """Do what is asked, under limits and faults; `commands` is filled with the methods of a batch."""
        params = read_params(request)
        caller = self._admit(caller, params)
        if commands is not None:
            commands += [batch.method_of(command) for command in batch.commands_of(params).values()]
        self.troubles.before_request(method)
        if commands is not None:
            body = self._run_batch(caller, params)
        else:
            body = _envelope(self._execute(caller, method, params, is_billed=True))
        self.troubles.after_command(method)
        return body

    def _admit(self, caller: _Caller, params: dict[str, Any]) -> _Caller:
        """Who it is, by the webhook's secret or by `auth`, which is no parameter of the method."""
        settings = self.world.settings
        if caller.is_application:
            user_id = self.oauth.user_of(str(params.pop("auth", "")))
            caller = replace(caller, user_id=user_id, secret=settings.application.client_id)
        elif settings.secrets.get(caller.secret) != caller.user_id:
            raise errors.bad_credentials(settings.wrong_secret_status)
        if not self.bucket.take():
            raise errors.query_limit()
        return caller

    def _run_batch(self, caller: _Caller, params: dict[str, Any]) -> dict[str, Any]:
        settings = self.world.settings
        bills_batch = settings.batch_billing == "batch"
        weight = settings.batch_weight if bills_batch else None
        with self._timed(caller, "batch", weight=weight) as time:
            outcome = batch.run(
                params, lambda name, given: self._execute_nested(caller, name, given, is_billed=not bills_batch)
            )
        return {"result": outcome.as_json(), "time": time}

    def _execute_nested(self, caller: _Caller, method: str, params: dict[str, Any], *, is_billed: bool) -> Answer:
        """Run a command of a batch: no bucket, but the faults of its method and, where it is billed, its budget."""
        self.troubles.before_nested(method)
        try:
            answer = self._execute(caller, method, params, is_billed=is_billed)
        except RestError as refused:
            if refused.code == "OPERATION_TIME_LIMIT":
                self.journal.count_refused_command()
            raise
        self.troubles.after_command(method)
        return answer

    def _execute(self, caller: _Caller, method: str, params: dict[str, Any], *, is_billed: bool) -> Answer:
        """Run one method, charging its time to the webhook's budget of that method, whether it succeeds or not."""
        entry = self.methods.find(method)
        if entry is None:
            raise errors.method_not_found()
        assert caller.user_id is not None  # noqa: S101  # it was admitted
        call = Call(
            world=self.world,
            user_id=caller.user_id,
            params=params,
            method=method,
            is_application=caller.is_application,
        )
        with self._timed(caller, method, weight=1.0 if is_billed else None) as time:
            self._be_slow(caller)
            with self.world.lock:
                result = entry.run(call)
        if isinstance(result, Listed):
            return Answer(result=result.result, time=time, total=result.total, next=result.next)
        return Answer(result=result, time=time)

    def _be_slow(self, caller: _Caller) -> None:
        """Take the time that a command takes, unless the request has run for too long by then."""
        clock, settings = self.world.clock, self.world.settings
        if clock.scaled() - caller.started_at + settings.latency_seconds > settings.request_limit_seconds:
            raise RequestTooLongError
        clock.sleep(settings.latency_seconds)

    @contextmanager
    def _timed(self, caller: _Caller, method: str, *, weight: float | None) -> Iterator[dict[str, Any]]:
        """Yield the `time` of what runs inside, filled at its end; charged to `method` unless `weight` is None.

        Errors: OPERATION_TIME_LIMIT before anything runs, if the budget that would be charged is spent.
        """
        if weight is not None and self.operating.is_spent(caller.secret, method):
            raise errors.operation_time_limit()
        began, time = self.world.clock.real(), dict[str, Any]()
        try:
            yield time
        finally:
            time |= self._time_since(began)
            if weight is not None:
                spent, resets_at = self.operating.spend(caller.secret, method, time["duration"] * weight)
                time |= {"operating_reset_at": resets_at, "operating": spent}

    def _time_since(self, began: float) -> dict[str, Any]:
        """Write the envelope's `time`.

        Units: start and finish are real Unix time; how long it took is in the seconds of the portal's limits, so that
        `duration` and `operating` have one scale.
        """
        finished = self.world.clock.real()
        seconds = self.world.clock.portal_seconds(finished - began)
        return {
            "start": began,
            "finish": finished,
            "duration": seconds,
            "processing": seconds,
            "date_start": iso(began),
            "date_finish": iso(finished),
        }


def _envelope(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = {"result": answer.result}
    if answer.next is not None:
        body["next"] = answer.next
    if answer.total is not None:
        body["total"] = answer.total
    return body | {"time": answer.time}


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(
        json.dumps(body, separators=(",", ":")), status=status, content_type="application/json; charset=utf-8"
    )


def _half(whole: Response) -> Response:
    """Cut an answer in the middle; its Content-Length is that of what is left."""
    text = whole.get_data()
    return Response(text[: len(text) // 2], status=whole.status_code, content_type=whole.content_type)


def _html(status: int, title: str) -> Response:
    return Response(page(title), status=status, content_type="text/html")


def _moved(location: str) -> Response:
    """Send the caller to another address, as the proxy before a renamed portal does."""
    response = _html(302, "302 Found")
    response.headers["Location"] = location
    return response
