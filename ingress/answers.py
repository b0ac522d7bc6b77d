"""What the ingress answers when it does not take a request: one JSON shape for every error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify
from werkzeug.exceptions import HTTPException

MAX_BODY_BYTES = 1024 * 1024  # contracts: larger than 1 MiB is 413
RETRY_AFTER_SECONDS = 10  # with a 503; 1C sends the same again, Bitrix24 never does

_ADVICE = {
    400: ("bad_request", "the request could not be read; send it whole, and as HTTP says"),
    404: ("not_found", "there is nothing here; the addresses are listed in /openapi.json"),
    405: ("method_not_allowed", "this address does not take that method; see the Allow header"),
    413: ("too_large", f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer events at once"),
}


class Refusal(Exception):
    """The request is not taken; `message` says what is wrong and what to do about it."""

    def __init__(self, status: int, error: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = dict(headers or {})


def unreadable(message: str) -> Refusal:
    return Refusal(400, "unreadable", message)


def unauthorized(message: str) -> Refusal:
    return Refusal(401, "unauthorized", message)


def wrong_content_type(expected: str) -> Refusal:
    return Refusal(415, "unsupported_media_type", f"the body must be sent as {expected}")


def queue_unavailable() -> Refusal:
    return Refusal(
        503,
        "queue_unavailable",
        "neither the queue nor the spool can take it, so it was not accepted; send the same again after Retry-After",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def answer_refusal(refusal: Refusal) -> Response:
    response = jsonify(error=refusal.error, message=refusal.message)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response


def answer_http_error(error: HTTPException) -> Response:
    """Werkzeug's own errors (404, 405, 413, 500 ...) in our shape, with their headers kept."""
    status = error.code or 500
    name, advice = _ADVICE.get(status, ("internal", "this is a fault of ours; it was logged"))
    response = jsonify(error=name, message=advice)
    response.status_code = status
    response.headers.extend(_extra_headers(error))
    return response


def _extra_headers(error: HTTPException) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in error.get_headers() if name.lower() != "content-type"]
