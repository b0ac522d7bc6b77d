"""1C's refusals -> what happens next. The tables are data; the client applies them.

Looked up in this order: what the text says (a licence shortage and a closed base come under several statuses), the
service's own code, the status with who said it, the status. Source: the project's notes on 1C, 1.3 and 1.4, and the
contract's Problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from sync_worker.errors import Misconfigured, OutcomeUnknown, RemoteRejected, RemoteUnavailable, SyncError
from sync_worker.gateways.onec.bodies import Failure, Shape, read_failure

LICENCE_WAIT_SECONDS = 60  # a licence is free again when somebody's session ends
MAINTENANCE_WAIT_SECONDS = 60
BUSY_WAIT_SECONDS = 5
LONGEST_WAIT_SECONDS = 3600  # whatever Retry-After says
SESSION_GONE_STATUSES = (400, 404, 406)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as errors speak of it: never its query or body."""

    method: str
    path: str  # after the service's root, such as /orders

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        return f"1C {self.method} {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer. `session` is the cookie of a session that the base opened for us."""

    status: int
    body: bytes
    retry_after: str | None = None
    session: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Everything that a row of the tables may use."""

    call: Call
    status: int
    failure: Failure
    wait_seconds: float | None  # from Retry-After

    def tell(self, meaning: str) -> str:
        words = f": {self.failure.text}" if self.failure.text else ""
        return f"{self.call}: {meaning} (HTTP {self.status}{words})"


Row = Callable[[Refusal], SyncError]


def _wait(meaning: str, seconds: float) -> Row:
    """It was not done, and may work later."""

    def build(refusal: Refusal) -> SyncError:
        wait_seconds = seconds if refusal.wait_seconds is None else refusal.wait_seconds
        return RemoteUnavailable(refusal.tell(meaning), retry_after_seconds=wait_seconds)

    return build


def _stop(meaning: str) -> Row:
    """A person has to change a setting; until then nothing of this kind can work."""
    return lambda refusal: Misconfigured(refusal.tell(meaning.format(path=refusal.call.path)))


def _reject(code: str, meaning: str) -> Row:
    return lambda refusal: RemoteRejected(refusal.tell(meaning), code=refusal.failure.code or code)


def _lost(refusal: Refusal) -> SyncError:
    """The answer does not tell whether it was done: a read may be repeated, a write has to be looked for first."""
    return lost_answer(refusal.call, refusal.tell("failed").removeprefix(f"{refusal.call}: "))


_NO_LICENCE = _wait("no free 1C licence; free one or lower ONEC_MAX_SESSIONS", LICENCE_WAIT_SECONDS)
_CLOSED = _wait("the base is closed for maintenance", MAINTENANCE_WAIT_SECONDS)
_BUSY = _wait("the base asks to wait", BUSY_WAIT_SECONDS)
_NO_RIGHT = _stop("the 1C user may not do this; give ONEC_USER the exchange role")
_NO_LOGIN = _stop("1C refuses ONEC_USER or ONEC_PASSWORD")
_NO_SESSION = _wait("1C cannot open or find the session", BUSY_WAIT_SECONDS)
_NOT_OFFERED = _stop("this base does not offer {path}; see `capabilities` in its /about")
_MALFORMED = _reject("malformed", "1C cannot read the request")
_TOO_LARGE = _reject("too_many", "the request is too large for 1C")
_MOVED = _stop("the address redirects; put the new one into ONEC_URL")

SESSION_GONE_TEXT = re.compile(r"сеанс отсутствует или удал[её]н|истекло время ожидания сеанса", re.IGNORECASE)
BY_TEXT: tuple[tuple[re.Pattern[str], Row], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), row)
    for pattern, row in (
        (r"свободной лицензии|не найдена лицензия|максимальное количество пользователей", _NO_LICENCE),
        (r"no free licen[cs]e|licen[cs]e (is )?not found", _NO_LICENCE),
        (r"начало сеанса.{0,60}запрещено|монопольн\w+ (режим|блокировк)", _CLOSED),
        (SESSION_GONE_TEXT.pattern, _NO_SESSION),
    )
)
BY_CODE: Mapping[str, Row] = {
    "malformed": _MALFORMED,
    "unauthorized": _NO_LOGIN,
    "forbidden": _NO_RIGHT,
    "not_found": _NOT_OFFERED,
    "too_many": _TOO_LARGE,
    "maintenance": _CLOSED,
    "no_licence": _NO_LICENCE,
    "internal": _lost,
}
BY_SHAPE: Mapping[tuple[int, Shape], Row] = {
    (404, Shape.PAGE): _stop(
        "the service is not published: check ONEC_URL and publishExtensionsByDefault in default.vrd"
    ),
    (404, Shape.EXCEPTION): _stop("the published service has no {path}: is the extension of this version?"),
}
BY_STATUS: Mapping[int, Row] = {
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    307: _MOVED,
    308: _MOVED,
    400: _MALFORMED,
    401: _NO_LOGIN,
    403: _NO_RIGHT,
    404: _NOT_OFFERED,
    405: _stop("the published service does not take this on {path}: is the extension of this version?"),
    406: _NO_SESSION,
    413: _TOO_LARGE,
    414: _TOO_LARGE,
    429: _BUSY,
    503: _BUSY,
}


def refusal_error(call: Call, answer: Answer, *, now: datetime) -> SyncError:
    """The error that this answer means. `now` turns a Retry-After date into seconds."""
    failure = read_failure(answer.body)
    wait_seconds = _read_retry_after(answer.retry_after, now)
    refusal = Refusal(call=call, status=answer.status, failure=failure, wait_seconds=wait_seconds)
    return _find_row(refusal)(refusal)


def lost_answer(call: Call, what: str) -> SyncError:
    """The error for an answer that never came or cannot be read."""
    kind = OutcomeUnknown if call.is_write else RemoteUnavailable
    return kind(f"{call}: {what}")


def is_session_gone(answer: Answer) -> bool:
    """True where the platform refuses the cookie of an ended session: the service was never reached.

    Source: what clients in the field rely on (notes on 1C, 1.3). The service's own 400 and 404 are Problems.
    """
    if answer.status < 400:
        return False
    failure = read_failure(answer.body)
    is_by_status = answer.status in SESSION_GONE_STATUSES and failure.shape is not Shape.PROBLEM
    return is_by_status or SESSION_GONE_TEXT.search(failure.text) is not None


def _find_row(refusal: Refusal) -> Row:
    if refusal.status >= 400:
        for pattern, row in BY_TEXT:
            if pattern.search(refusal.failure.text):
                return row
    return (
        BY_CODE.get(refusal.failure.code)
        or BY_SHAPE.get((refusal.status, refusal.failure.shape))
        or BY_STATUS.get(refusal.status)
        or _lost
    )


def _read_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None where there is none that can be read."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
