"""How records stand in what we print."""

from __future__ import annotations

from sync_worker.domain.identity import RecordRef


def short_name(ref: RecordRef | None) -> str:
    """`type:id`, a UUID by its first part: for a column. Its form tells the system."""
    if ref is None:
        return "-"
    return ref.key if ref.id.isdecimal() else f"{ref.type}:{ref.id.partition('-')[0]}…"
