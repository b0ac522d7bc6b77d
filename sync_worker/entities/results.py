"""What the two sides report back: of one write, and of their own health."""

from __future__ import annotations

from dataclasses import dataclass

from sync_worker.domain.identity import RecordRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Upserted:
    """What 1C made of one item."""

    ref: RecordRef
    created: bool
    number: str | None
    version: str | None
    sequence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that `doctor` looked at."""

    check: str
    ok: bool
    found: str
    advice: str = ""
