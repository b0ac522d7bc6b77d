"""Comparing and hiding the shared secrets of the callers."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

_SECRET_NAMES = frozenset({"auth", "secret", "application_token", "access_token", "refresh_token"})
MASK = "***"


def matches_any(candidate: str, secrets: Iterable[str]) -> bool:
    """Whether `candidate` is one of `secrets`, in a time that depends neither on which one nor on where they differ."""
    given = candidate.encode("utf-8", "replace")
    found = False
    for secret in secrets:
        # no short cut: every configured secret is compared
        found |= hmac.compare_digest(given, secret.encode())
    return found


def without_secrets(value: Any, secrets: tuple[str, ...]) -> Any:
    """`value` less everything that authenticates: the auth block, tokens by name, and known secrets in any text."""
    if isinstance(value, Mapping):
        return {
            _masked(key, secrets): without_secrets(inner, secrets)
            for key, inner in value.items()
            if key.lower() not in _SECRET_NAMES
        }
    return _masked(value, secrets) if isinstance(value, str) else value


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
