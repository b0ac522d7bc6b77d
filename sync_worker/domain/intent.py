"""What was about to be made when nobody knows whether it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sync_worker.domain.identity import EntityKind, RecordRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A partner of `source` is about to be made. Written before it is asked for, gone once their link is saved."""

    entity: EntityKind
    source: RecordRef
    at: datetime  # aware; when it was about to be sent, or when its answer was lost
