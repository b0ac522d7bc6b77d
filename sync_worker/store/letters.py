"""Dead letters without Redis: their ids, names, words, groups and text form, and how two of one record become one."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from marshmallow import ValidationError

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import RecordRef, parse_ref
from sync_worker.domain.letter import Act, Choice, DeadLetter, Decision, Deed
from sync_worker.store.newer import newer_event

MOST_WORDS = 20  # a record that fails for years is found by what it was called lately
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: sorts by value, and no letter is taken for another
_TIME_DIGITS, _RANDOM_DIGITS = 9, 6
_GROUP_DIGITS = 12  # hexadecimal, of a hash: with a million groups two are the same once in 500 stores
_WORD_DIGITS = 12  # the same; what is found is compared with the word itself


# --- what it is called -----------------------------------------------------------------------------------------------


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
    return [name_of(letter.entity, ref) for ref in _refs_of(letter)]


def _refs_of(letter: DeadLetter) -> list[RecordRef]:
    return [ref for ref in (letter.record, letter.partner) if ref is not None]


def group_title(letter: DeadLetter) -> str:
    """What all letters of its group have in common, as JSON: [entity, cause, topic]."""
    return _as_json([letter.entity, letter.cause, letter.topic])


def group_id(title: str) -> str:
    return _short_hash(title, _GROUP_DIGITS)


# --- what it is searched by ------------------------------------------------------------------------------------------


def folded(word: str) -> str:
    """Words that differ in case or in blanks around them are one."""
    return word.strip().casefold()


def has_word(letter: DeadLetter, word: str) -> bool:
    return folded(word) in _words_of(letter)


def word_hashes(letter: DeadLetter) -> list[str]:
    return sorted({word_hash(word) for word in _words_of(letter)})


def word_hash(word: str) -> str:
    """What a word stands as in an index, so that no e-mail stands there.

    Of what has colons the last part only: so "42", "contact:42" and "bitrix24:contact:42" take one entry, not three.
    Whoever finds a letter by it asks `has_word` which of them was meant.
    """
    return _short_hash(folded(word).rpartition(":")[2], _WORD_DIGITS)


def _words_of(letter: DeadLetter) -> set[str]:
    names = (name for ref in _refs_of(letter) for name in (ref.id, ref.key, str(ref)))
    return {folded(word) for word in (*names, letter.trace, *letter.words)} - {""}


def _short_hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


# --- two of one record -----------------------------------------------------------------------------------------------


def brought_up_to_date(filed: DeadLetter, again: DeadLetter) -> DeadLetter:
    """The filed letter after the same record failed again, perhaps in an event of the other side's record.

    It waits for a person anew: what was decided was carried out, or tried. What was done with it stays on it.
    """
    moved = _has_moved(filed, again)
    known = [ref for ref in (again.partner, again.record, filed.partner) if ref is not None]
    record = again.record if moved else filed.record or again.record
    partner = next((ref for ref in known if record is not None and ref.system is not record.system), None)
    return replace(
        again,
        id=filed.id,
        record=record,
        partner=again.partner if moved else partner,
        event=again.event if moved else _newer(filed.event, again.event),
        first_at=filed.first_at,
        last_at=max(filed.last_at, again.last_at),
        waiting=filed.waiting,
        words=tuple(dict.fromkeys((*filed.words, *again.words)))[-MOST_WORDS:],
        decision=None,
        sent_at=None,
        run="",
        deeds=filed.deeds,
    )


def _has_moved(filed: DeadLetter, again: DeadLetter) -> bool:
    """True where it is about another record now: a merged card's heir, or the partner that a person has picked."""
    if filed.record is None or again.record is None or filed.record in (again.record, again.partner):
        return False
    return again.partner is not None or again.record.system is filed.record.system


def with_one_more_waiting(letter: DeadLetter, event: ChangeEvent) -> DeadLetter:
    return replace(letter, waiting=letter.waiting + 1, event=_newer(letter.event, event.dump()))


def refuse_another(before: DeadLetter, after: DeadLetter) -> None:
    """ValueError where `after` is no later form of `before`, but a letter of something else."""
    fixed = ("id", "entity", "record", "partner", "first_at")
    if moved := [name for name in fixed if getattr(before, name) != getattr(after, name)]:
        raise ValueError(f"a change of letter {before.id} may not touch its {', '.join(moved)}")


def _newer(filed: Mapping[str, Any], again: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event to replay; `again` where one of the two was kept because it cannot be read."""
    try:
        first, second = ChangeEvent.load(filed), ChangeEvent.load(again)
    except ValidationError:
        return again
    return filed if newer_event(first, second) is first else again


# --- as text ---------------------------------------------------------------------------------------------------------

_OPTIONAL = ("topic", "words", "holds_back", "decision", "sent_at", "run", "deeds")  # left out where they say nothing
_BLANK = {field.name: field.default for field in fields(DeadLetter)}


def dump_letter(letter: DeadLetter) -> str:
    values = {field.name: getattr(letter, field.name) for field in fields(letter)}
    blank = [name for name in _OPTIONAL if values[name] == _BLANK[name]]
    values |= {
        "record": _dump_ref(letter.record),
        "partner": _dump_ref(letter.partner),
        "details": dict(letter.details),
        "event": dict(letter.event),
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "decision": _dump_decision(letter.decision) if letter.decision else None,
        "sent_at": letter.sent_at.isoformat() if letter.sent_at else None,
        "deeds": [dump_deed(deed) for deed in letter.deeds],
        # makes each writing another text: a swap that was repeated knows its own, see lua/swap_letter.lua
        "written": secrets.token_hex(4),
    }
    return _as_json({name: value for name, value in values.items() if name not in blank})


def load_letter(content: str) -> DeadLetter:
    """What `dump_letter` wrote: in this version, in an older one with fewer fields, or in a newer one with more."""
    values: dict[str, Any] = json.loads(content)
    known = {name: value for name, value in values.items() if name in _BLANK}
    return DeadLetter(**{name: _READ[name](value) if name in _READ else value for name, value in known.items()})


def dump_deed(deed: Deed) -> dict[str, Any]:
    """JSON-able; what is blank is left out."""
    values = {field.name: getattr(deed, field.name) for field in fields(deed)}
    values |= {"at": deed.at.isoformat(), "record": _dump_ref(deed.record)}
    return {name: value for name, value in values.items() if value}


def load_deed(values: Mapping[str, Any]) -> Deed:
    read = {
        "at": datetime.fromisoformat(values["at"]),
        "act": Act(values["act"]),
        "record": _load_ref(values.get("record")),
    }
    return Deed(**{**values, **read})


def _dump_decision(decision: Decision) -> dict[str, Any]:
    return {
        "fields": {
            name: {"value": choice.value, "bitrix24": choice.bitrix24, "onec": choice.onec}
            for name, choice in decision.fields.items()
        },
        "pick": _dump_ref(decision.pick),
        "create": decision.create,
        "reopen": decision.reopen,
    }


def _load_decision(values: Mapping[str, Any]) -> Decision:
    choices = {name: Choice(**choice) for name, choice in values["fields"].items()}
    return Decision(**{**values, "fields": choices, "pick": _load_ref(values["pick"])})


def _dump_ref(ref: RecordRef | None) -> str | None:
    return str(ref) if ref else None


def _load_ref(text: str | None) -> RecordRef | None:
    return parse_ref(text) if text else None


_READ: Mapping[str, Callable[[Any], Any]] = {
    "record": _load_ref,
    "partner": _load_ref,
    "first_at": datetime.fromisoformat,
    "last_at": datetime.fromisoformat,
    "words": tuple,
    "decision": _load_decision,
    "sent_at": datetime.fromisoformat,
    "deeds": lambda deeds: tuple(load_deed(deed) for deed in deeds),
}
"""What a field's value is made of again; the others are JSON's own."""


def _as_json(value: Any) -> str:
    """Half the size where it is Russian, and in ASCII where it has to be: half a character is no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text if _is_utf8(text) else json.dumps(value, separators=(",", ":"), default=str)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
