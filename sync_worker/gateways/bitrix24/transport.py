"""HTTP to the portal, and nothing else: what came back, or why nothing did.

Nothing above this module sees an URL or a `requests` type. The webhook's URL is a secret, so exceptions of `requests`
(whose text holds it) are neither chained nor left behind as a context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

CONNECT_SECONDS = 10
READ_SECONDS = 70  # the portal cuts a request at 60 s
TOKEN_SECONDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the portal answered."""

    status: int
    body: Mapping[str, Any]  # {} for a body that is no JSON object

    @property
    def problem(self) -> bool:
        return "error" in self.body or "result" not in self.body


class NoReplyError(Exception):
    """No answer came. `was_sent` False: not even a write can have happened."""

    def __init__(self, text: str, *, was_sent: bool) -> None:
        super().__init__(text)
        self.was_sent = was_sent


class Transport:
    """One webhook. Thread-safe."""

    def __init__(self, *, webhook_url: str, http: requests.Session) -> None:
        self._base = webhook_url.rstrip("/")
        self._http = http

    def post(self, method: str, params: Mapping[str, Any]) -> Reply:
        """Errors: NoReplyError."""
        try:
            reply = self._http.post(
                f"{self._base}/{method}",
                json=params,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,  # a renamed portal answers 302, and a followed POST would lose its body
            )
        except requests.exceptions.RequestException as error:
            failure = _failure(error)
        else:
            return Reply(status=reply.status_code, body=_json_object(reply))
        # raised out here, where nothing is being handled: else the secret URL would stay behind in __context__
        raise failure


class TokenTransport:
    """The OAuth server, as far as tokens are renewed. Its address holds all secrets: see the module."""

    def __init__(self, *, server: str, http: requests.Session) -> None:
        self._url = f"{server.rstrip('/')}/oauth/token/"
        self._http = http

    def get(self, params: Mapping[str, str]) -> Reply:
        """Errors: NoReplyError."""
        try:
            reply = self._http.get(
                self._url, params=params, timeout=(CONNECT_SECONDS, TOKEN_SECONDS), allow_redirects=False
            )
        except requests.exceptions.RequestException as error:
            failure = _failure(error)
        else:
            return Reply(status=reply.status_code, body=_json_object(reply))
        raise failure  # out here, as above


def _json_object(reply: requests.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _failure(error: requests.exceptions.RequestException) -> NoReplyError:
    name = type(error).__name__
    if isinstance(error, requests.exceptions.ConnectTimeout) or _never_sent(error):
        return NoReplyError(f"cannot connect ({name})", was_sent=False)
    return NoReplyError(name, was_sent=True)


def _never_sent(error: requests.exceptions.RequestException) -> bool:
    """True where no connection was made."""
    text = repr(error)
    return any(sign in text for sign in ("NewConnectionError", "NameResolutionError", "CERTIFICATE_VERIFY_FAILED"))
