"""What the portal refuses, in its own words: an HTTP status, a code (often empty, or the number 0), a sentence."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class RestError(Exception):
    """One refusal, as the caller sees it. `code` is a string, or the number 0 in requisite and address methods."""

    def __init__(self, code: str | int, description: str, *, status: int = 400) -> None:
        super().__init__(f"{status} {code!r} {description}")
        self.code = code
        self.description = description
        self.status = status

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.description}


class CutConnectionError(Exception):
    """A fault: the caller's connection ends here without an answer."""


class SpoiledAnswerError(Exception):
    """A fault: the work was done, and the caller gets a web page instead of the answer."""


class LostResultError(Exception):
    """A fault: the work was done, and nothing is said of how: no `result`, no `error`."""


class ProxyPageError(Exception):
    """A fault: the proxy before the portal answers with a page of its own."""

    def __init__(self, status: HTTPStatus) -> None:
        self.title = f"{status.value} {status.phrase}"
        super().__init__(self.title)
        self.status = status.value


class RenamedError(Exception):
    """A fault: the portal has another address by now, and says so by a redirect."""


class RequestTooLongError(Exception):
    """The request ran for more than its 60 seconds and was cut; what it did before stays done."""


def query_limit() -> RestError:
    return RestError("QUERY_LIMIT_EXCEEDED", "Too many requests", status=503)


def operation_time_limit() -> RestError:
    return RestError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit", status=429)


def overloaded() -> RestError:
    return RestError("OVERLOAD_LIMIT", "REST API is blocked due to overload", status=503)


def expired() -> RestError:
    """A webhook past its expiry date.

    local-webhooks.md says only "an authorization error" (read 2026-08); this is the table's one about time.
    """
    return RestError("expired_token", "The access token provided has expired", status=401)


def unlicensed() -> RestError:
    return RestError("ACCESS_DENIED", "REST API is available only on commercial plans", status=403)


def internal() -> RestError:
    return RestError("INTERNAL_SERVER_ERROR", "Internal server error", status=500)


def unexpected_answer() -> RestError:
    return RestError("ERROR_UNEXPECTED_ANSWER", "Server returned an unexpected response", status=500)


def method_not_found() -> RestError:
    return RestError("ERROR_METHOD_NOT_FOUND", "Method not found!", status=404)


def bad_credentials(status: int) -> RestError:
    return RestError("INVALID_CREDENTIALS", "Invalid request credentials", status=status)


def not_for_batch() -> RestError:
    return RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", status=405)


def batch_too_long() -> RestError:
    return RestError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")


def application_only() -> RestError:
    return RestError(
        "WRONG_AUTH_TYPE",
        "Current authorization type is denied for this method Application context required",
        status=403,
    )


def classic(description: str) -> RestError:
    """A refusal of the old CRM methods: their code is empty."""
    return RestError("", description)


def business(description: str) -> RestError:
    """A refusal by the CRM's own checks in the old methods."""
    return RestError("ERROR_CORE", description)


def missing_item() -> RestError:
    return RestError("NOT_FOUND", "Element not found")


def missing_parameter(name: str) -> RestError:
    """crm.item.*, product rows and the timeline say it with the code 100."""
    return RestError("100", f"Could not find value for parameter {{{name}}}")


def invalid_value(title: str) -> RestError:
    return RestError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value of field "{title}"')


def required_value(title: str) -> RestError:
    return RestError("CRM_FIELD_ERROR_REQUIRED", f'The "{title}" field is required')
