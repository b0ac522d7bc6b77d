"""The OAuth server as far as a local application needs it: renewal of its tokens. A portal of the sandbox has its own.

Each renewal makes a new pair; a refresh token is good for one. Nobody says what becomes of the one before: here it is
worth nothing any more, which is the harder case for the application.
Source: settings/oauth/auto-renewal.md and error-codes.md, read 2026-11.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Any

from sandbox.portal.clock import PortalClock
from sandbox.portal.errors import RestError, expired
from sandbox.portal.settings import ApplicationSettings, PortalSettings


class OAuthServer:
    """One local application's tokens. Thread-safe."""

    def __init__(self, settings: PortalSettings, clock: PortalClock) -> None:
        self._portal = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._ends_at: dict[str, float] = {}  # access token -> Unix time
        self.refresh_token = settings.application.refresh_token
        self.renewals = 0
        self.refusals = 0

    @property
    def application(self) -> ApplicationSettings:
        return self._portal.application

    def answer(self, params: Mapping[str, str], *, portal_url: str) -> tuple[int, dict[str, Any]]:
        """Status and body for /oauth/token/."""
        error = self._fault(params)
        if error:
            self.refusals += 1
            return 400, {"error": error[0], "error_description": error[1]}
        return 200, self._renew(portal_url)

    def _fault(self, params: Mapping[str, str]) -> tuple[str, str] | None:
        if params.get("grant_type") != "refresh_token":
            return "invalid_request", "The grant type was not specified in the request"
        known = (self.application.client_id, self.application.client_secret)
        if (params.get("client_id"), params.get("client_secret")) != known:
            return "invalid_client", "Invalid client"
        if params.get("refresh_token") != self.refresh_token:
            return "invalid_grant", "Invalid refresh token"
        return None

    def _renew(self, portal_url: str) -> dict[str, Any]:
        with self._lock:
            self.renewals += 1
            access, self.refresh_token = secrets.token_hex(20), secrets.token_hex(20)
            ends_at = self._clock.real() + self.application.token_seconds
            self._ends_at[access] = ends_at
            return {
                "access_token": access,
                "client_endpoint": f"{portal_url}/rest/",
                "domain": "oauth.bitrix24.tech",
                "expires": int(ends_at),
                "expires_in": int(self.application.token_seconds),
                "member_id": self._portal.member_id,
                "refresh_token": self.refresh_token,
                "scope": "crm",
                "server_endpoint": "https://oauth.bitrix24.tech/rest/",
                "status": "L",
                "user_id": self.application.user_id,
            }

    @property
    def issued(self) -> tuple[str, ...]:
        """All access tokens so far."""
        return tuple(self._ends_at)

    def user_of(self, access_token: str) -> int:
        """Whom a call with this token is made as. Errors: RestError."""
        with self._lock:
            ends_at = self._ends_at.get(access_token)
        if ends_at is None:
            raise RestError("NO_AUTH_FOUND", "Wrong authorization data", status=401)
        if ends_at <= self._clock.real():
            raise expired()
        return self.application.user_id

    def expire(self) -> None:
        """End every access token now, before its time: nobody is told."""
        with self._lock:
            self._ends_at = dict.fromkeys(self._ends_at, 0.0)

    def revoke(self) -> None:
        """Take the application's authorisation away: neither tokens nor renewal."""
        with self._lock:
            self._ends_at.clear()
            self.refresh_token = secrets.token_hex(20)
