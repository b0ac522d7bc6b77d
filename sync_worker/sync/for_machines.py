"""Letters and groups as JSON, for commands and the tab alike: its keys are what others rely on (design, part 5)."""

from __future__ import annotations

from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.letter import DeadLetter, Group


def record_for_machines(ref: RecordRef | None) -> dict[str, Any] | None:
    return {"system": ref.system.value, "type": ref.type.value, "id": ref.id} if ref else None


def letter_for_machines(letter: DeadLetter) -> dict[str, Any]:
    """A letter as it stands in a list: without the values of a conflict."""
    return {
        "id": letter.id,
        "entity": letter.entity,
        "record": record_for_machines(letter.record),
        "ref": str(letter.partner) if letter.partner else None,
        "cause": letter.cause,
        "topic": letter.topic,
        "message": letter.message,
        "candidates": list(letter.details.get("candidates") or ()),
        "attempts": letter.attempts,
        "waiting": letter.waiting,
        "holds_back": letter.holds_back,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "sent_at": letter.sent_at.isoformat() if letter.sent_at else None,
        "run": letter.run or None,
    }


def group_for_machines(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "entity": group.entity,
        "cause": group.cause,
        "topic": group.topic,
        "count": group.count,
    }
