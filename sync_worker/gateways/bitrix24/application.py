"""The portal as a local application calls it: by OAuth, one call at a time, within the budget that all calls share.

What befalls these calls is their own: an application that is shut out says nothing of the webhook, so nothing here
opens the circuit, which holds back all work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sync_worker.domain.budget import Permit
from sync_worker.domain.identity import Lane
from sync_worker.errors import CircuitOpen, Misconfigured, RateLimited, RemoteRejected, ShutOut, SyncError
from sync_worker.gateways.bitrix24.answers import lost_answer, read_answers, spent_by_method, whole_error
from sync_worker.gateways.bitrix24.commands import Command, Group
from sync_worker.gateways.bitrix24.joining import Request, arrange
from sync_worker.gateways.bitrix24.oauth import AUTHORISE_ANEW, OAuthSession
from sync_worker.gateways.bitrix24.problems import is_operating_limit
from sync_worker.gateways.bitrix24.throttle import Governor
from sync_worker.gateways.bitrix24.transport import NoReplyError, Reply, Transport

LONGEST_WAIT_SECONDS = 30.0  # for the budget; the queue can wait on the portal
_STALE = frozenset({"expired_token", "no_auth_found", "invalid_token"})  # another access token may do


class ApplicationClient:
    """One local application on one portal."""

    def __init__(
        self,
        *,
        transport: Transport,
        session: OAuthSession,
        governor: Governor,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._session = session
        self._governor = governor
        self._sleep = sleep

    def call(self, method: str, **params: Any) -> Any:
        """Return the `result` of one method, whose repetition does no harm.

        Errors: Misconfigured, RateLimited, CircuitOpen, RemoteUnavailable, RemoteRejected, StoreUnavailable; RecordBusy
        while another process renews the tokens.
        """
        request = arrange([Group(commands={"one": Command(method=method, params=params)})])
        token = self._session.access_token()
        reply = self._send(request, token)
        if _code(reply) in _STALE:
            reply = self._send(request, self._session.renew(token))
        if reply.problem:
            raise _own(whole_error(method, reply, is_write=False))
        return reply.body["result"]

    def _send(self, request: Request, token: str) -> Reply:
        ((_, command),) = request.commands.items()
        permit = self._permit(request)
        try:
            reply = self._transport.post(command.method, {**command.params, "auth": token})
        except NoReplyError as failure:
            self._governor.settle(permit, Lane.LIVE, {}, is_lost=failure.was_sent, is_failed=True)
            lost = lost_answer(command.method, failure, is_write=False)
        else:
            self._settle(request, permit, reply)
            return reply
        raise lost

    def _permit(self, request: Request) -> Permit:
        """Errors: CircuitOpen, RateLimited; nothing has left then."""
        methods, waited, is_paid = request.methods(), 0.0, False
        while True:
            permit = self._governor.take(Lane.LIVE, methods, is_batch=False, is_paid=is_paid)
            if permit.wait_seconds <= 0:
                break
            if waited > LONGEST_WAIT_SECONDS and not permit.is_reserved:
                raise RateLimited("live work has taken what there was", retry_after_seconds=5)
            self._sleep(permit.wait_seconds)
            waited, is_paid = waited + permit.wait_seconds, permit.is_reserved
        if permit.is_probe:  # whether the portal takes the webhook's calls again, ours would not tell
            self._governor.settle(permit, Lane.LIVE, {}, is_failed=True)
            raise CircuitOpen("Bitrix24 is shut to us; the application waits for the webhook")
        if not permit.allowed:
            seconds = max(permit.blocked_seconds.values(), default=1.0)
            raise RateLimited(f"the running time of {', '.join(methods)} is spent", retry_after_seconds=seconds)
        return permit

    def _settle(self, request: Request, permit: Permit, reply: Reply) -> None:
        if not reply.problem:
            answers = read_answers(request, reply)
            self._governor.settle(permit, Lane.LIVE, spent_by_method(request, reply, answers))
            return
        (method,) = request.methods()
        error = whole_error(method, reply, is_write=False)
        if isinstance(error, RateLimited) and not is_operating_limit(reply.body):
            self._governor.refused(Lane.LIVE)
        spent_out = [method] if is_operating_limit(reply.body) else []
        self._governor.settle(permit, Lane.LIVE, {}, refused=spent_out, is_failed=True)


def _code(reply: Reply) -> str:
    return str(reply.body.get("error") or "").lower()


def _own(error: SyncError) -> SyncError:
    """What shuts the application out, in words about the application."""
    if isinstance(error, ShutOut):
        return Misconfigured(f"{error}: the local application is not let in; {AUTHORISE_ANEW}")
    if isinstance(error, RemoteRejected) and error.code.lower() == "access_denied":
        return Misconfigured(f"{error}: an administrator has to authorise the local application; {AUTHORISE_ANEW}")
    return error
