"""A local application's tokens: the access token while it lasts, and its renewal, which uses up the refresh token.

The portal's OAuth server is asked only when a token is over; asked "just in case" it would block the application.
Each renewal brings another refresh token, so that one is kept before anything is done with the new access token.
Nothing here names a token, a key or the address that holds them: not in a log, an error, or an error's context.
Source: settings/oauth/auto-renewal.md and error-codes.md, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from sync_worker.domain.offline import Tokens
from sync_worker.errors import Misconfigured, RemoteUnavailable, StoreUnavailable, SyncError
from sync_worker.gateways.bitrix24.transport import NoReplyError, TokenTransport

EARLY = timedelta(seconds=30)  # so much before its end a token is taken for over: the clocks differ
AUTHORISE_ANEW = (
    "authorise the local application anew and put its refresh token into B24_OAUTH_REFRESH_TOKEN (docs/operations.md)"
)
_CAUSES = {
    "invalid_grant": f"no refresh token is valid any more: {AUTHORISE_ANEW}",
    "invalid_client": "the application is not known: check B24_OAUTH_CLIENT_ID and B24_OAUTH_CLIENT_SECRET, and that"
    " it is still installed",
    "payment_required": "the portal's subscription has ended",
}


class TokenKeeper(Protocol):
    """Where tokens outlive the process. Errors: StoreUnavailable."""

    def read(self) -> Tokens | None:
        """The newest ones; None where none are kept, or others were given in the settings since."""

    def save(self, tokens: Tokens) -> None: ...


class Clock(Protocol):
    def now(self) -> datetime: ...


class _GrantRefusedError(Exception):
    """This refresh token is not valid; another may be."""


class OAuthSession:
    """One application on one portal. Its processes share what the keeper keeps."""

    def __init__(
        self,
        *,
        transport: TokenTransport,
        client_id: str,
        client_secret: str,
        first_refresh_token: str,
        keeper: TokenKeeper,
        alone: Callable[[], AbstractContextManager[None]],
        clock: Clock,
    ) -> None:
        """`alone` keeps other processes out: of two that renew at once one would lose the refresh token."""
        self._transport = transport
        self._client_id = client_id
        self._client_secret = client_secret
        self._first = first_refresh_token
        self._keeper = keeper
        self._alone = alone
        self._clock = clock
        self._unsaved: Tokens | None = None  # renewed while the keeper was away

    def access_token(self) -> str:
        """One that should still be good. Errors: as `renew`."""
        kept = self._keeper.read() if self._unsaved is None else None
        return kept.access if kept is not None and not self._is_over(kept) else self.renew(None)

    def renew(self, refused: str | None) -> str:
        """Another one than `refused`. Errors: Misconfigured, RemoteUnavailable, StoreUnavailable, RecordBusy."""
        with self._alone():
            self._save_what_is_not()
            kept = self._keeper.read()
            if kept is not None and kept.access != refused and not self._is_over(kept):
                return kept.access  # somebody has renewed it meanwhile
            tokens = self._renewed(kept)
            self._keep(tokens)
            return tokens.access

    def _is_over(self, tokens: Tokens) -> bool:
        return tokens.expires_at - EARLY <= self._clock.now()

    def _save_what_is_not(self) -> None:
        if self._unsaved is not None:
            self._keeper.save(self._unsaved)
            self._unsaved = None

    def _keep(self, tokens: Tokens) -> None:
        try:
            self._keeper.save(tokens)
        except StoreUnavailable:
            self._unsaved = tokens  # the one before is used up: this must not be lost
            raise

    def _renewed(self, kept: Tokens | None) -> Tokens:
        """With the newest refresh token, and where that is not valid with the one of the settings."""
        for refresh_token in dict.fromkeys([kept.refresh if kept else self._first, self._first]):
            try:
                return self._ask(refresh_token)
            except _GrantRefusedError:
                continue
        raise Misconfigured(_said(_CAUSES["invalid_grant"]))

    def _ask(self, refresh_token: str) -> Tokens:
        params = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "refresh_token": refresh_token,
        }
        try:
            reply = self._transport.get(params)
        except NoReplyError as failure:
            raise RemoteUnavailable(_said(str(failure))) from None
        error = str(reply.body.get("error") or "").lower()
        if error == "invalid_grant":
            raise _GrantRefusedError
        if error or reply.status >= 300:
            raise _refusal(reply.status, error)
        return self._read(reply.body)

    def _read(self, body: Mapping[str, Any]) -> Tokens:
        access, refresh = body.get("access_token"), body.get("refresh_token")
        if not isinstance(access, str) or not isinstance(refresh, str) or not access or not refresh:
            raise RemoteUnavailable(_said("the answer holds no tokens"))
        return Tokens(access=access, refresh=refresh, expires_at=self._clock.now() + _lifetime(body.get("expires_in")))


def _lifetime(seconds: Any) -> timedelta:
    """An hour, as documented, where it is not told."""
    try:
        return timedelta(seconds=float(seconds))
    except (TypeError, ValueError, OverflowError):
        return timedelta(hours=1)


def _refusal(status: int, error: str) -> SyncError:
    if status >= 500 or status == 429 or not error:
        return RemoteUnavailable(_said(error or f"HTTP {status}"))
    return Misconfigured(_said(_CAUSES.get(error, f"{error}; check B24_OAUTH_CLIENT_ID and B24_OAUTH_CLIENT_SECRET")))


def _said(text: str) -> str:
    return f"Bitrix24's OAuth server: {text}"
