"""The chat that alerts are sent to: one POST of JSON a message (port Receiver of sync/alerts.py).

The address is a secret: no message here holds it, and exceptions of `requests`, whose texts do, are not chained.
"""

from __future__ import annotations

from collections.abc import Mapping

import requests

from sync_worker.errors import RemoteRejected, RemoteUnavailable

TIMEOUT_SECONDS = 5.0  # to connect, and between two pieces of the answer
_BUSY = 429


class AlertWebhook:
    def __init__(self, url: str, *, http: requests.Session, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._http = http
        self._timeout_seconds = timeout_seconds

    def post(self, message: Mapping[str, str | int]) -> None:
        """Hand over one message.

        Errors: RemoteUnavailable for no answer, 5xx and 429; RemoteRejected for every other answer but 2xx, with its
        status as the code. A redirect is one: it would take the message to another address, maybe in the clear.
        """
        status = self._send(message)
        if status == _BUSY or status >= requests.codes.internal_server_error:
            raise RemoteUnavailable(f"the alert webhook answered {status}")
        if not requests.codes.ok <= status < requests.codes.multiple_choices:
            raise RemoteRejected(f"the alert webhook answered {status}: see to ALERT_WEBHOOK_URL", code=str(status))

    def _send(self, message: Mapping[str, str | int]) -> int:
        """The answer's status; its body is not read."""
        try:
            with self._http.post(
                self._url,
                json=dict(message),
                timeout=self._timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return answer.status_code
        except requests.RequestException as error:
            reason = type(error).__name__
        raise RemoteUnavailable(f"the alert webhook gave no answer: {reason}")
