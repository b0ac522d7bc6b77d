"""What was about to be made when nobody knows whether it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sync_worker.domain.identity import EntityKind, RecordRef
from sync_worker.domain.merge import Baseline, is_blank


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A partner of `source` is about to be made. Written before it is asked for, gone once their link is saved."""

    entity: EntityKind
    source: RecordRef
    at: datetime  # aware; when it was about to be sent, or when its answer was lost
    sent: Mapping[str, Any] = field(default_factory=dict)  # the values that it is made with; none of one-way records


def agreed_by_making(sent: Mapping[str, Any], made: Mapping[str, Any]) -> Baseline:
    """What both sides agreed on when one was made from the other: whoever differs from it has been changed since.

    What the new record does not hold yet was not agreed: a card gets its requisite only after its link.
    """
    held = {name for name, value in made.items() if not is_blank(value) or is_blank(sent.get(name))}
    kept = {name: value for name, value in sent.items() if name in held}
    return Baseline(bitrix24=kept, onec=kept)
