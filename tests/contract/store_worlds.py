"""What the store suites share: each store over memory and over Redis, and a few records to put into them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sync_worker.contract import Change, ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.letter import DeadLetter

STORES = ("memory", "redis")
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
OTHER_UUID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"

CONTACT = bitrix24_ref(RecordType.CONTACT, 42)
COMPANY = bitrix24_ref(RecordType.COMPANY, 42)
COUNTERPARTY = onec_ref(RecordType.COUNTERPARTY, UUID)
OTHER_COUNTERPARTY = onec_ref(RecordType.COUNTERPARTY, OTHER_UUID)


def eventually(condition: Callable[[], bool], *, within_seconds: float = 20) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def doorbell(record: RecordRef = CONTACT, *, seconds: float = 0, trace: str = "t", attempts: int = 0) -> ChangeEvent:
    return ChangeEvent(entity=EntityKind.CONTACT, record=record, seen_at=at(seconds), trace=trace, attempts=attempts)


def onec_event(sequence: int, *, seconds: float = 0, record: RecordRef = COUNTERPARTY) -> ChangeEvent:
    state = OnecState(
        data={"name": f"ООО «Ромашка {sequence}»"},
        sequence=sequence,
        version=f"v{sequence}",
        external_id=None,
        event_id=f"e{sequence}",
    )
    return ChangeEvent(
        entity=EntityKind.CONTACT,
        record=record,
        change=Change.CHANGED,
        seen_at=at(seconds),
        trace=f"t{sequence}",
        onec=state,
    )


def letter(**changed: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "id": "",
        "entity": EntityKind.CONTACT.value,
        "record": CONTACT,
        "partner": None,
        "cause": "field_conflict",
        "message": "both sides changed: name",
        "details": {"fields": {"name": {"baseline": "а", "bitrix24": "б", "onec": "в"}}},
        "event": doorbell().dump(),
        "attempts": 1,
        "first_at": NOON,
        "last_at": NOON,
        "trace": "t",
        "code_version": "0.1.0",
    }
    return DeadLetter(**values | changed)
