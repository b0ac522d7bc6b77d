"""The portal's offline queue, and what lets a local application in: said between gateway, store and flow. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PAGE = 50  # rows that the portal hands out at once


@dataclass(frozen=True, kw_only=True, slots=True)
class OfflineRow:
    """One event of one object; the portal brings a row up to date until somebody takes it."""

    id: str
    message_id: str
    code: str  # in upper case; blank where the row names no event
    fields: Mapping[str, Any]  # FIELDS of its data: ids only; empty where there are none
    raw: Mapping[str, Any]  # as it came, less what may authenticate
    process_id: str = ""  # who has reserved it; blank where nobody has


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """Rows that wait on the portal, hidden, until they are cleared under this id."""

    process_id: str
    rows: tuple[OfflineRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """What was last found out about the portal's side of it."""

    at: datetime
    codes: tuple[str, ...]  # bound, or known not to be on this portal
    can_reserve: bool  # else a row that is handed out is gone from the portal


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why the queue is not read, and when that is tried next."""

    message: str
    again_at: datetime
    gap_seconds: float
    needs_person: bool  # else it only waits


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What a local application is let in with. Not for any log: `repr` hides them."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)  # good for one renewal, which brings the next one
    expires_at: datetime
