"""What the base posts to the ingress: signed, one event a message, again and again until the answer is 202."""

from __future__ import annotations

import hashlib
import heapq
import hmac
import itertools
import json
import threading
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from sandbox.faults import FaultPlan

LARGEST_MESSAGE_BYTES = 1024 * 1024
_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 2.0


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """`webhook-signature` after Standard Webhooks: HMAC-SHA256 over "id.timestamp.body"."""
    key = b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


@dataclass(kw_only=True, slots=True)
class Message:
    """One event on its way. The bytes and the message's id are the same at every attempt."""

    event: dict[str, Any]
    body: bytes
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    state: str = "waiting"  # waiting | delivered | lost | left_to_changes
    sendings_left: int = 1
    deliveries: list[dict[str, Any]] = field(default_factory=list)

    def show(self) -> dict[str, Any]:
        head = {name: self.event[name] for name in ("id", "type", "ref", "sequence", "external_id", "occurred_at")}
        return {
            **head,
            "webhook_id": self.id,
            "state": self.state,
            "deliveries": list(self.deliveries),
            "event": self.event,
        }


_Heap = list[tuple[float, int, Message]]  # (due at, serial number, message)


class Outbox:
    """Keeps the messages and sends them from one thread, those that are due first."""

    def __init__(
        self,
        *,
        url: str | None,
        secret: str,
        delay_seconds: float,
        retry_seconds: float,
        faults: FaultPlan,
        clock: Callable[[], float],
    ) -> None:
        self._url = url
        self._secret = secret
        self._delay_seconds = delay_seconds
        self._retry_seconds = retry_seconds
        self._faults = faults
        self._clock = clock
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._waiting: _Heap = []
        self._serial = itertools.count()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def point_at(self, url: str | None) -> None:
        """Send to this address from now on, what waits too."""
        with self._changed:
            self._url = url
            self._changed.notify_all()

    def put(self, event: dict[str, Any]) -> None:
        """Take an event as it is now; faults decide here whether it is lost, doubled or held back."""
        body = json.dumps({"events": [event]}, ensure_ascii=False).encode("utf-8", "replace")
        message = Message(event=event, body=body)
        delay_seconds = self._delay_seconds
        if len(body) > LARGEST_MESSAGE_BYTES:
            message.state = "left_to_changes"
        elif self._faults.draw("event_loss", event["type"]):
            message.state = "lost"
        if self._faults.draw("event_repeat", event["type"]):
            message.sendings_left = 2
        if shuffle := self._faults.draw("event_shuffle", event["type"]):
            delay_seconds += shuffle.seconds
        with self._changed:
            self._messages.append(message)
            if message.state == "waiting":
                self._push(self._waiting, message, delay_seconds)
            self._changed.notify_all()

    def show(self) -> list[dict[str, Any]]:
        with self._changed:
            return [message.show() for message in self._messages]

    def clear(self) -> None:
        with self._changed:
            self._messages, self._waiting = [], []

    def start(self) -> None:
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="onec-outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=_STOP_SECONDS)

    def _run(self) -> None:
        with requests.Session() as http:
            http.trust_env = False  # no proxy stands between two local servers
            while (due := self._wait_for_due()) is not None:
                message, url, heap = due
                self._settle(heap, message, self._post(http, url, message))

    def _wait_for_due(self) -> tuple[Message, str, _Heap] | None:
        """The message whose time has come, where it goes, and the heap it is from; None when the outbox stops."""
        with self._changed:
            while not self._stopped:
                rest_seconds = self._waiting[0][0] - time.monotonic() if self._waiting and self._url else None
                if self._url and rest_seconds is not None and rest_seconds <= 0:
                    return heapq.heappop(self._waiting)[2], self._url, self._waiting
                self._changed.wait(rest_seconds)
            return None

    def _push(self, heap: _Heap, message: Message, delay_seconds: float) -> None:
        heapq.heappush(heap, (time.monotonic() + delay_seconds, next(self._serial), message))

    def _post(self, http: requests.Session, url: str, message: Message) -> int | None:
        """The answer's status, None where there was none."""
        at = self._clock()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at)),
            "webhook-signature": sign(self._secret, message_id=message.id, timestamp=int(at), body=message.body),
        }
        status, error = None, None
        try:
            status = http.post(
                url, data=message.body, headers=headers, timeout=_ANSWER_SECONDS, allow_redirects=False
            ).status_code
        except requests.RequestException as failure:
            error = type(failure).__name__
        message.deliveries.append({"at": at, "status": status, "error": error})
        return status

    def _settle(self, heap: _Heap, message: Message, status: int | None) -> None:
        """Put the message back where it has to go again; after `clear` that heap is nobody's any more."""
        with self._changed:
            if status != 202:
                self._push(heap, message, self._retry_seconds)
                return
            message.state = "delivered"
            message.sendings_left -= 1
            if message.sendings_left:
                self._push(heap, message, 0.0)
