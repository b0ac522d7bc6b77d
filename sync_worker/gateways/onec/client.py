"""Every request to 1C leaves through here: counted against the sessions, timed out, its errors translated once.

Nothing above this module sees an URL, a status or a `requests` type. Exceptions of `requests` are never chained:
their texts hold the query.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import NewConnectionError

from sync_worker.domain.identity import Lane
from sync_worker.errors import Misconfigured, RemoteUnavailable, SyncError
from sync_worker.gateways.fence import Fence, under_no_lease
from sync_worker.gateways.onec.batches import Batches, Post
from sync_worker.gateways.onec.bodies import decode_json
from sync_worker.gateways.onec.problems import Answer, Call, is_session_gone, lost_answer, refusal_error
from sync_worker.gateways.onec.sessions import COOKIE, SessionCookies, session_headers

logger = logging.getLogger(__name__)

SERVICE_PATH = "hs/crm-exchange/v1"
USER_AGENT = "bitrix24-onec-sync"
POOL_SIZE = 16  # kept connections; how many are used at once is for the slots to say
PAGE_SIZE = 500


class Slot(Protocol):
    """One that is held."""

    @property
    def token(self) -> str: ...

    def lengthen(self, seconds: float) -> None:
        """Were the holder killed now, it would stay taken for so long. Errors: RateLimited where it is lost already."""


class Slots(Protocol):
    """The cap on calls at once, shared by all workers."""

    def hold(self, max_wait_seconds: float, lane: Lane) -> AbstractContextManager[Slot]:
        """Hold one while the block runs; live askers come first. Errors: RateLimited where none was free in time."""


class Absence(Protocol):
    """What all workers know of the base's being there."""

    def failed(self, message: str) -> bool:
        """True for the failure that settles it that the base is away."""

    def answered(self) -> None: ...

    def may_call(self) -> bool:
        """False for the caller that is to find out whether it is back. Errors: CircuitOpen, for all others."""


class AlwaysThere:
    """For a client whose calls tell nobody."""

    def failed(self, _message: str) -> bool:
        return False

    def answered(self) -> None: ...

    def may_call(self) -> bool:
        return True


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware and in UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long one call may wait for what. The first call after idle takes over 30 s (notes on 1C, 1.6).

    Whoever waits for a slot meanwhile has to outlast it, or one base that wakes up makes many tasks come again.
    """

    connect_seconds: float = 10
    read_seconds: float = 120
    slot_seconds: float = 90
    session_seconds: float = 30  # a session that nobody knows of lives for 20 s after its last call (notes on 1C, 1.2)


def no_trace() -> str | None:
    return None


def live_lane() -> Lane:
    return Lane.LIVE


def nobody_listens(_call: str) -> None:
    """What a call is told to where no story is written."""


class OnecClient:
    """One base. Thread-safe: tasks that run at once share it.

    `trace` gives the id that is sent as X-Trace-Id, such as a ContextVar's `get`, and `lane` says who waits for the
    call; `told` hears each call, such as "POST /orders"; `fence` gives what is asked right before the call leaves, and
    raises where the caller holds no longer what it works on. All four are asked in the caller's thread.

    Without `cookies` each call has a session of its own, and only the publication's own pool (reuseSessions="autouse")
    saves any.
    """

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        slots: Slots,
        clock: Clock,
        http: requests.Session | None = None,
        timeouts: Timeouts = Timeouts(),
        cookies: SessionCookies | None = None,
        trace: Callable[[], str | None] = no_trace,
        lane: Callable[[], Lane] = live_lane,
        told: Callable[[str], None] = nobody_listens,
        fence: Callable[[], Fence] = under_no_lease,
        absence: Absence = AlwaysThere(),  # noqa: B008  # it has no state
    ) -> None:
        self._root = f"{url.rstrip('/')}/{SERVICE_PATH}"
        # as bytes: requests would encode a Cyrillic login as latin-1, and 1C expects UTF-8
        self._auth = HTTPBasicAuth(user.encode(), password.encode())
        self._slots = slots
        self._clock = clock
        self._http = open_http() if http is None else http
        self._timeouts = timeouts
        self._cookies = cookies
        self._trace = trace
        self._lane = lane
        self._told = told
        self._fence = fence
        self.absence = absence
        self._batches = Batches(hold=self._hold, wait_seconds=timeouts.slot_seconds)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON object at `path`, such as /about.

        Errors: RateLimited (no slot), RemoteUnavailable, RemoteRejected, Misconfigured, and what the fence raises.
        """
        return self._run(Call(method="GET", path=path), query_text(params or {}), None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one JSON object and return the one that comes back; an empty one for 204.

        Errors: as `get`, and OutcomeUnknown where the answer was lost after sending.
        """
        return self._run(Call(method="POST", path=path), "", json_body(body))

    def send_item(self, path: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one item of an upsert, and return its result. What comes at the same moment leaves as one POST.

        Errors: as `post`; each item has its own.
        """
        self._told(f"POST {path}")
        return self._batches.send(path, item, lane=self._lane(), trace=self._trace(), fence=self._fence())

    def allow_items(self, max_items: int) -> None:
        """Say how many items the base takes in one POST (`limits.max_batch` of /about); before that it is one."""
        self._batches.allow(max_items)

    def list_all(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """All items of all pages. One that changes meanwhile is there once, in its newest state."""
        items: dict[str, dict[str, Any]] = {}
        after: str | None = None
        while True:
            paging = {"limit": str(PAGE_SIZE)} | ({"after": after} if after else {})
            page = self.get(path, {**params, **paging})
            items.update((item["ref"], item) for item in _read_items(path, page))
            after = page.get("next")
            if not after:
                return list(items.values())

    def close(self) -> None:
        """Close the kept connections. 1C ends idle sessions by itself."""
        self._http.close()

    def _run(self, call: Call, query: str, body: bytes | None) -> dict[str, Any]:
        self._told(f"{call.method} {call.path}")
        with self._slots.hold(self._timeouts.slot_seconds, self._lane()) as slot:
            answer = self._send_in_session(slot, call, query, body, trace=self._trace(), fence=self._fence())
        return self._read(call, answer)

    @contextmanager
    def _hold(self, lane: Lane, max_wait_seconds: float) -> Iterator[Post]:
        with self._slots.hold(max_wait_seconds, lane) as slot:
            yield partial(self._post_in_slot, slot)

    def _post_in_slot(
        self, slot: Slot, path: str, body: Mapping[str, Any], *, trace: str | None, fence: Fence
    ) -> dict[str, Any]:
        call = Call(method="POST", path=path)
        return self._read(call, self._send_in_session(slot, call, "", json_body(body), trace=trace, fence=fence))

    def _send_in_session(
        self, slot: Slot, call: Call, query: str, body: bytes | None, *, trace: str | None, fence: Fence
    ) -> Answer:
        """Send in a kept session where there is one. One that has ended is replaced once: the call was not done."""
        cookie = self._cookies.take(slot.token) if self._cookies else None
        try:
            if cookie is None:  # nobody knows of a new session until it has answered
                slot.lengthen(self._timeouts.session_seconds)
            fence()
        except SyncError:
            self._keep(cookie, slot)
            raise
        try:
            answer = self._send(call, query, body, self._headers(cookie, trace))
            if self._cookies and cookie and is_session_gone(answer):
                self._cookies.drop(cookie)
                cookie = None
                slot.lengthen(self._timeouts.session_seconds)
                answer = self._send(call, query, body, self._headers(None, trace))
        except requests.RequestException as error:
            self._keep(cookie, slot, was_cut=not was_never_sent(error))
            raise self._noted(network_error(call, error)) from None
        if self._cookies and answer.session:
            self._cookies.give_back(answer.session)
        else:
            self._keep(cookie, slot)
        return answer

    def _keep(self, cookie: str | None, slot: Slot, *, was_cut: bool = False) -> None:
        if self._cookies and cookie:
            self._cookies.give_back(cookie, slot=slot.token, was_cut=was_cut)

    def _send(self, call: Call, query: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Errors: those of requests."""
        reply = self._http.request(
            call.method,
            f"{self._root}{call.path}{query}",
            data=body,
            headers=dict(headers),
            auth=self._auth,
            timeout=(self._timeouts.connect_seconds, self._timeouts.read_seconds),
            allow_redirects=False,  # a followed POST would lose its body, and the password would go elsewhere
        )
        return Answer(
            status=reply.status_code,
            body=reply.content,
            retry_after=reply.headers.get("Retry-After"),
            session=reply.cookies.get(COOKIE),
        )

    def _headers(self, cookie: str | None, trace: str | None) -> dict[str, str]:
        return {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Content-Type": "application/json; charset=utf-8",
            **({"X-Trace-Id": trace} if trace else {}),
            **(session_headers(cookie) if self._cookies else {}),
        }

    def _noted(self, error: SyncError) -> SyncError:
        if isinstance(error, RemoteUnavailable) and self.absence.failed(str(error)):
            logger.error("1C is away; events wait, and one call looks now and then: %s", error)
        return error

    def _read(self, call: Call, answer: Answer) -> dict[str, Any]:
        if not 200 <= answer.status < 300:
            error = self._noted(refusal_error(call, answer, now=self._clock.now()))
            if not isinstance(error, RemoteUnavailable):
                self.absence.answered()
            raise error
        self.absence.answered()
        if answer.status == 204:
            return {}
        content = decode_json(answer.body)
        if not isinstance(content, dict):
            raise lost_answer(call, f"the answer is not what the service sends (HTTP {answer.status}, no JSON object)")
        return content


def open_http() -> requests.Session:
    """Pooled connections that threads may share. A shared cookie jar would put two calls into one 1C session."""
    http = requests.Session()
    http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=POOL_SIZE, max_retries=0)
    http.mount("https://", adapter)
    http.mount("http://", adapter)
    return http


def json_body(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def query_text(params: Mapping[str, str]) -> str:
    """`?name=value&…` with %20 for a space: 1C takes a + literally, and that is what `params=` would send."""
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())
    return f"?{pairs}" if pairs else ""


def network_error(call: Call, error: requests.RequestException) -> SyncError:
    """The error for a call that brought no answer. What was never sent may simply be sent again, a write too."""
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Misconfigured(f"{call}: the certificate of ONEC_URL is not trusted here")
    if was_never_sent(error):
        return RemoteUnavailable(f"{call}: cannot connect ({type(error).__name__})")
    return lost_answer(call, f"the answer was lost ({type(error).__name__})")


def was_never_sent(error: requests.RequestException) -> bool:
    """True where no connection was made. urllib3 says so by the class of the innermost reason."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _read_items(path: str, page: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = page.get("items")
    if not isinstance(items, list):
        raise RemoteUnavailable(f"1C GET {path}: the answer has no list of items")
    return items
