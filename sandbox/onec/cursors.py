"""Opaque cursors: a place in an ordered list that only this base, in this life, can have given out."""

from __future__ import annotations

import hashlib
import hmac
import secrets


class Cursors:
    """Seals places and opens them again. A new instance knows none of the old cursors."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def seal(self, kind: str, place: int) -> str:
        return f"{place:x}-{self._mark(kind, place)}"

    def open(self, kind: str, cursor: str) -> int | None:
        """The place, or None where this base never gave out such a cursor for this kind of list."""
        head, _, mark = cursor.partition("-")
        try:
            place = int(head, 16)
        except ValueError:
            return None
        known = (
            place >= 0 and f"{place:x}" == head and hmac.compare_digest(mark.encode(), self._mark(kind, place).encode())
        )
        return place if known else None

    def _mark(self, kind: str, place: int) -> str:
        return hmac.new(self._key, f"{kind}/{place}".encode(), hashlib.sha256).hexdigest()[:20]
