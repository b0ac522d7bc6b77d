"""Every request to Bitrix24 leaves through here: throttled, timed out, its errors translated once.

Nothing above this module sees an URL, a status or a `requests` type. The webhook's URL is a secret, so exceptions of
`requests` (whose text holds it) are neither chained nor left behind as a context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from sync_worker.errors import OutcomeUnknown, RateLimited, RemoteUnavailable, SyncError
from sync_worker.gateways.bitrix24.problems import problem_error
from sync_worker.gateways.bitrix24.query import command_text
from sync_worker.gateways.bitrix24.throttle import Throttle

CONNECT_SECONDS = 10
READ_SECONDS = 70  # the portal cuts a request at 60 s
MAX_BATCH = 50
_WRITES = ("add", "update", "set", "delete", "register", "unregister")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One method call; several leave together as a batch."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        return self.method.rpartition(".")[2] in _WRITES


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The answers of a batch by key: a result or an error each. A command that `halt` skipped has neither."""

    results: Mapping[str, Any]
    errors: Mapping[str, SyncError]

    def get(self, key: str) -> Any:
        """The result; raises the command's own error."""
        if key in self.errors:
            raise self.errors[key]
        return self.results.get(key)


class Bitrix24Client:
    """One portal. Thread-safe: tasks that run at once share it."""

    def __init__(self, *, webhook_url: str, throttle: Throttle, http: requests.Session) -> None:
        self._base = webhook_url.rstrip("/")
        self._throttle = throttle
        self._http = http

    def call(self, method: str, **params: Any) -> Any:
        """Return the `result` of one method.

        Errors: RateLimited, RemoteUnavailable, OutcomeUnknown (writes), LinkBroken (no such record),
        RemoteRejected, Misconfigured.
        """
        return self.run(Command(method=method, params=params))

    def run(self, command: Command) -> Any:
        return self._post(command.method, command.params, is_write=command.is_write).get("result")

    def batch(self, commands: Mapping[str, Command], *, halt: bool = False) -> Batch:
        """Run up to 50 commands as one request. `halt` stops at the first error, for commands that build on another.

        Errors: those of the request as a whole; a command's own error is in the answer.
        """
        if not 0 < len(commands) <= MAX_BATCH:
            raise ValueError(f"a batch holds 1 to {MAX_BATCH} commands, not {len(commands)}")
        texts = {key: command_text(command.method, command.params) for key, command in commands.items()}
        is_write = any(command.is_write for command in commands.values())
        answer = self._post("batch", {"halt": int(halt), "cmd": texts}, is_write=is_write).get("result")
        if not isinstance(answer, dict):
            raise _lost("batch", "the answer is no batch result", is_write=is_write)
        errors = {
            key: problem_error(commands[key].method, 200, problem, is_write=commands[key].is_write)
            for key, problem in (answer.get("result_error") or {}).items()  # PHP writes an empty map as []
            if key in commands
        }
        return Batch(results=dict(answer.get("result") or {}), errors=errors)

    def _post(self, method: str, params: Mapping[str, Any], *, is_write: bool) -> dict[str, Any]:
        self._throttle.take()
        try:
            reply = self._http.post(
                f"{self._base}/{method}",
                json=params,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,  # a renamed portal answers 302, and a followed POST would lose its body
            )
        except requests.exceptions.RequestException as error:
            failure = _transport_error(method, error, is_write=is_write)
        else:
            return self._read(method, reply, is_write=is_write)
        # raised out here, where nothing is being handled: else the secret URL would stay behind in __context__
        raise failure

    def _read(self, method: str, reply: requests.Response, *, is_write: bool) -> dict[str, Any]:
        body = _json_object(reply) or {}
        if "result" in body and "error" not in body:
            return body
        if reply.status_code < 300 and "error" not in body:
            raise _lost(method, "the answer has no result", is_write=is_write)
        error = problem_error(method, reply.status_code, body, is_write=is_write)
        if isinstance(error, RateLimited) and reply.status_code == 503:
            self._throttle.refused()
        raise error


def _json_object(reply: requests.Response) -> dict[str, Any] | None:
    try:
        body = reply.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _transport_error(method: str, error: requests.exceptions.RequestException, *, is_write: bool) -> SyncError:
    if isinstance(error, requests.exceptions.ConnectTimeout) or _never_sent(error):
        return RemoteUnavailable(f"Bitrix24 {method}: cannot connect ({type(error).__name__})")
    return _lost(method, type(error).__name__, is_write=is_write)


def _never_sent(error: requests.exceptions.RequestException) -> bool:
    """True where no connection was made, so that not even a write can have happened."""
    text = repr(error)
    return any(sign in text for sign in ("NewConnectionError", "NameResolutionError", "CERTIFICATE_VERIFY_FAILED"))


def _lost(method: str, what: str, *, is_write: bool) -> SyncError:
    """The answer is lost: a read may be repeated, of a write nobody knows whether it was done."""
    kind = OutcomeUnknown if is_write else RemoteUnavailable
    return kind(f"Bitrix24 {method}: {what}")
