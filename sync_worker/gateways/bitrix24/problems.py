"""Bitrix24's errors -> what happens next. The table is data; the client applies it.

The code counts, compared without regard to case; the HTTP status is the fallback, and the text only where the code is
empty, as it is in most old CRM methods. Source: reference/bitrix24, 1.3 (system and method codes), read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sync_worker.errors import (
    LinkBroken,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    RemoteRejected,
    RemoteUnavailable,
    ShutOut,
    SyncError,
)

OPERATING_WAIT_SECONDS = 60  # one bucket of the ten-minute window
OPERATING_LIMIT = "operation_time_limit"
_NO_REST = "commercial plans"
_NO_SUCH_TYPE = ("smart process not found", "смарт-процесс не найден")
_FIELD_ERROR = "crm_field_error_"
_REQUIRED = f"{_FIELD_ERROR}required"
# crm.item.* has a code for it; the old methods say it in the portal's language, under ERROR_CORE or no code at all
_SAYS_REQUIRED = re.compile(r"\bis required\b|обязательн|не заполнен|необходимо заполнить", re.IGNORECASE)
_QUOTED = re.compile(r"[\"«“']([^\"»”']+)[\"»”']")


def _rate_limited(text: str, _code: str) -> SyncError:
    return RateLimited(text, retry_after_seconds=5)


def _method_exhausted(text: str, _code: str) -> SyncError:
    return RateLimited(text, retry_after_seconds=OPERATING_WAIT_SECONDS)


def _misconfigured(text: str, _code: str) -> SyncError:
    return Misconfigured(text)


def _gone(text: str, _code: str) -> SyncError:
    """NOT_FOUND is also said of a whole type of items that is switched off; no record is gone for that."""
    if any(words in text.lower() for words in _NO_SUCH_TYPE):
        return Misconfigured(f"{text}: switch smart invoices on, or set invoices.kind in sync.toml")
    return LinkBroken(text)


def _passing(text: str, _code: str) -> SyncError:
    return RemoteUnavailable(text)


def _shut_out(text: str, _code: str) -> SyncError:
    return ShutOut(text)


def _denied(text: str, code: str) -> SyncError:
    """No REST on this plan, or, with other words, no right to this one record."""
    return ShutOut(text) if _NO_REST in text.lower() else RemoteRejected(text, code=code)


def _moved(text: str, _code: str) -> SyncError:
    return ShutOut(f"{text}: the portal's address has changed; put the new one into B24_WEBHOOK_URL")


BY_CODE: Mapping[str, Callable[[str, str], SyncError]] = {
    "query_limit_exceeded": _rate_limited,
    OPERATING_LIMIT: _method_exhausted,
    "overload_limit": _shut_out,  # blocked by support: no retry helps, a person has to call them
    "internal_server_error": _passing,
    "error_unexpected_answer": _passing,
    "no_auth_found": _shut_out,
    "invalid_credentials": _misconfigured,  # with 401 the webhook's secret is wrong; else a right is missing
    "access_denied": _denied,
    "expired_token": _shut_out,
    "insufficient_scope": _misconfigured,
    "user_access_error": _shut_out,
    "allowed_only_intranet_user": _misconfigured,
    "wrong_auth_type": _misconfigured,
    "payment_required": _shut_out,
    "portal_deleted": _shut_out,
    "invalid_request": _shut_out,
    "error_method_not_found": _misconfigured,
    "error_manifest_is_not_available": _misconfigured,
    "not_found": _gone,
    "owner_not_found": _gone,
}

BY_STATUS: Mapping[int, Callable[[str, str], SyncError]] = {
    301: _moved,
    302: _moved,
    307: _moved,
    308: _moved,
    401: _shut_out,
    403: _misconfigured,
    404: _shut_out,  # a method that is not there has a code
    429: _method_exhausted,
}


def problem_error(method: str, status: int, problem: Mapping[str, Any], *, is_write: bool) -> SyncError:
    """The error that an answer means. `problem` is {"error", "error_description"}, or {} for a body that is no JSON."""
    code = str(problem.get("error") or "").strip()
    description = str(problem.get("error_description") or "").strip()
    text = f"Bitrix24 {method}: {description or code or f'HTTP {status}'}" + (
        f" [{code}]" if code and description else ""
    )
    if status == 401 and code.lower() == "invalid_credentials":
        return ShutOut(text)
    if make := BY_CODE.get(code.lower()):
        return _unknown_if_written(make(text, code), is_write=is_write)
    if _says_missing(description):
        return LinkBroken(text)
    if make := BY_STATUS.get(status):
        return make(text, code)
    if status >= 500:
        return _unknown_if_written(RemoteUnavailable(text), is_write=is_write)
    return RemoteRejected(text, code=code, field=_named_fields(code, description))


def is_required_field(refusal: RemoteRejected) -> bool:
    """True where a field has to be filled before the portal takes the record, or lets it stand at this stage."""
    return _is_required(refusal.code, str(refusal))


def _is_required(code: str, text: str) -> bool:
    return code.lower() == _REQUIRED or (code.lower() in ("", "error_core") and bool(_SAYS_REQUIRED.search(text)))


def _named_fields(code: str, description: str) -> str | None:
    """The fields that a refusal names, as people see them on the card: The "Comments" field is required."""
    if not (code.lower().startswith(_FIELD_ERROR) or _is_required(code, description)):
        return None
    return ", ".join(dict.fromkeys(name.strip() for name in _QUOTED.findall(description))) or None


def _unknown_if_written(error: SyncError, *, is_write: bool) -> SyncError:
    """A server error says nothing of whether a write was done before it."""
    return OutcomeUnknown(str(error)) if is_write and type(error) is RemoteUnavailable else error


def _says_missing(description: str) -> bool:
    """The old methods have no code for a missing record, only these texts (reference 1.3, 5.10)."""
    text = description.lower().rstrip(". ")
    return text in ("not found", "element not found") or text.endswith("is not found")


def is_operating_limit(problem: Mapping[str, Any]) -> bool:
    """True where a method's running time is spent, and nothing else is the matter."""
    return str(problem.get("error") or "").lower() == OPERATING_LIMIT
