"""What a reply means: each command's own answer or error, and the running time that it took. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.budget import BATCH, Spent
from sync_worker.errors import OutcomeUnknown, RateLimited, RemoteUnavailable, ShutOut, SyncError
from sync_worker.gateways.bitrix24.commands import Command
from sync_worker.gateways.bitrix24.joining import Request
from sync_worker.gateways.bitrix24.problems import is_operating_limit, problem_error
from sync_worker.gateways.bitrix24.transport import NoReplyError, Reply


def request_name(request: Request) -> str:
    return BATCH if request.is_batch else next(iter(request.commands.values())).method


def lost_answer(name: str, failure: NoReplyError, *, is_write: bool) -> SyncError:
    """The answer is lost: a read may be repeated, of a write nobody knows whether it was done."""
    kind = OutcomeUnknown if is_write and failure.was_sent else RemoteUnavailable
    return kind(f"Bitrix24 {name}: {failure}")


def whole_error(name: str, reply: Reply, *, is_write: bool) -> SyncError:
    if reply.status < 300 and "error" not in reply.body:
        what = "the answer is no batch result" if "result" in reply.body else "the answer has no result"
        return lost_answer(name, NoReplyError(what, was_sent=True), is_write=is_write)
    return problem_error(name, reply.status, reply.body, is_write=is_write)


def is_own(error: SyncError) -> bool:
    """An answer to this very command, from a portal that is well."""
    return not isinstance(error, (RateLimited, RemoteUnavailable, ShutOut))


def own_error(command: Command, problem: Any) -> SyncError:
    if problem is None:
        failure = NoReplyError("the answer says nothing of it", was_sent=True)
        return lost_answer(command.method, failure, is_write=command.is_write)
    return problem_error(command.method, 200, problem, is_write=command.is_write)


def read_answers(request: Request, reply: Reply) -> dict[str, Any]:
    """The maps of a batch, each a dict: PHP writes an empty map as []. A single answer looks like a batch of one."""
    if not request.is_batch:
        ((key, _),) = request.commands.items()
        times = {key: reply.body.get("time")}
        return {"result": {key: reply.body["result"]}, "result_error": {}, "result_time": times}
    maps = {name: _as_map(reply.body["result"].get(name)) for name in ("result", "result_error", "result_time")}
    return {**maps, "result_error": {key: _as_problem(problem) for key, problem in maps["result_error"].items()}}


def _as_map(value: Any) -> dict[str, Any]:
    """A PHP map whose keys happen to be 0, 1, 2 ... is written as a list. What is no map says nothing."""
    if isinstance(value, list):
        return {str(index): inner for index, inner in enumerate(value)}
    return dict(value) if isinstance(value, Mapping) else {}


def _as_problem(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {"error_description": str(value)}


def refused_methods(request: Request, problems: Mapping[str, Any]) -> set[str]:
    return {
        request.commands[key].method
        for key, problem in problems.items()
        if key in request.commands and is_operating_limit(problem)
    }


def spent_by_method(request: Request, reply: Reply, answers: Mapping[str, Any]) -> dict[str, Spent]:
    """Running time by method, and the batch's own where the portal bills that."""
    spent: dict[str, Spent] = {}
    for key, when in answers["result_time"].items():
        if key in request.commands:
            method = request.commands[key].method
            spent[method] = _more(spent.get(method), _as_map(when))
    whole = _as_map(reply.body.get("time"))
    if request.is_batch and whole.get("operating") is not None:
        spent[BATCH] = _more(None, whole)
    return spent


def _more(before: Spent | None, when: Mapping[str, Any]) -> Spent:
    """One command more; the last one's `operating` is the newest sum."""
    return Spent(
        commands=(before.commands if before else 0) + 1,
        seconds=(before.seconds if before else 0.0) + float(when.get("processing") or when.get("duration") or 0.0),
        operating_seconds=_number(when.get("operating"), before.operating_seconds if before else None),
        resets_at=_number(when.get("operating_reset_at"), before.resets_at if before else None),
    )


def _number(value: Any, otherwise: float | None) -> float | None:
    return otherwise if value is None else float(value)
