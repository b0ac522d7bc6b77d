"""How records are named in a command, and in what we print."""

from __future__ import annotations

from sync_worker.domain.identity import RecordRef
from sync_worker.entities.named import read_record
from sync_worker.sync.office import NotPossible


def record_meant(entity: str, id_: str) -> RecordRef:
    """The record that a command's two words name. Errors: NotPossible says what such an id looks like."""
    try:
        return read_record(entity, id_)
    except ValueError as error:
        raise NotPossible(str(error)) from None


def short_name(ref: RecordRef | None) -> str:
    """`type:id`, a UUID by its first part: for a column. Its form tells the system."""
    if ref is None:
        return "-"
    return ref.key if ref.id.isdecimal() else f"{ref.type}:{ref.id.partition('-')[0]}…"
