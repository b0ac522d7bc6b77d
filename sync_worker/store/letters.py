"""Dead letters without Redis: their ids, names and text form, and how two of one record become one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from marshmallow import ValidationError

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import RecordRef, parse_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.store.newer import newer_event

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: sorts by value, and no letter is taken for another
_TIME_DIGITS, _RANDOM_DIGITS = 9, 6


def new_letter_id(at: datetime) -> str:
    """15 characters: the millisecond, so that ids sort by time, and 30 random bits."""
    milliseconds = int(at.timestamp() * 1000)
    return _digits(milliseconds, _TIME_DIGITS) + _digits(secrets.randbits(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (count - 1), -1, -5))


def name_of(entity: str, ref: RecordRef) -> str:
    """What a letter is found by. One record may have a letter for each kind of work."""
    return f"{entity} {ref}"


def names_of(letter: DeadLetter) -> list[str]:
    return [name_of(letter.entity, ref) for ref in (letter.record, letter.partner) if ref is not None]


def brought_up_to_date(filed: DeadLetter, again: DeadLetter) -> DeadLetter:
    """The filed letter after the same record failed again, perhaps in an event of the other side's record."""
    known = [ref for ref in (again.partner, again.record, filed.partner) if ref is not None]
    record = filed.record or again.record
    return replace(
        again,
        id=filed.id,
        record=record,
        partner=next((ref for ref in known if record is not None and ref.system is not record.system), None),
        event=_newer(filed.event, again.event),
        first_at=filed.first_at,
        last_at=max(filed.last_at, again.last_at),
        waiting=filed.waiting,
    )


def with_one_more_waiting(letter: DeadLetter, event: ChangeEvent) -> DeadLetter:
    return replace(letter, waiting=letter.waiting + 1, event=_newer(letter.event, event.dump()))


def _newer(filed: Mapping[str, Any], again: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event to replay; `again` where one of the two was kept because it cannot be read."""
    try:
        first, second = ChangeEvent.load(filed), ChangeEvent.load(again)
    except ValidationError:
        return again
    return filed if newer_event(first, second) is first else again


def dump_letter(letter: DeadLetter) -> str:
    """As JSON, in ASCII: a remote's words may hold half a character, which is no UTF-8."""
    values = {field.name: getattr(letter, field.name) for field in fields(letter)} | {
        "record": str(letter.record) if letter.record else None,
        "partner": str(letter.partner) if letter.partner else None,
        "details": dict(letter.details),
        "event": dict(letter.event),
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        # makes each writing another text: a swap that was repeated knows its own, see lua/swap_letter.lua
        "written": secrets.token_hex(4),
    }
    return json.dumps(values, separators=(",", ":"), default=str)


def load_letter(content: str) -> DeadLetter:
    values = json.loads(content)
    del values["written"]
    return DeadLetter(
        **values
        | {
            "record": parse_ref(values["record"]) if values["record"] else None,
            "partner": parse_ref(values["partner"]) if values["partner"] else None,
            "first_at": datetime.fromisoformat(values["first_at"]),
            "last_at": datetime.fromisoformat(values["last_at"]),
        }
    )
