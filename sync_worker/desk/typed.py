"""What a person decided in the form of a letter's page. The names of its inputs are made here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sync_worker.desk.asked import read_text
from sync_worker.desk.shown import is_addresses
from sync_worker.domain.identity import RecordRef
from sync_worker.domain.letter import Choice, DeadLetter, Decision
from sync_worker.domain.rules import Owner
from sync_worker.entities.contact import ADDRESS_PARTS
from sync_worker.entities.typed import ADDRESS_KINDS, read_typed
from sync_worker.sync.office import NotPossible, choose_side, choose_value, options, owner_rules

OTHER = "other"
NEW = "new"  # in the place of a candidate
NAMED = "named"  # the record that the input of this name says

Typed = Callable[[str], str]
"""The value of an input by its name; blank where it is not there."""


def side_input(field: str) -> str:
    return f"side.{field}"


def value_input(field: str, kind: str = "", part: str = "") -> str:
    return ".".join(piece for piece in ("value", field, kind, part) if piece)


def always_input(field: str) -> str:
    return f"always.{field}"


def read_decision(letter: DeadLetter, typed: Typed) -> Decision:
    """Errors: NotPossible."""
    partner = typed(NAMED) if typed("partner") == NAMED else typed("partner")
    return Decision(
        fields={
            field: _read_choice(letter, field, typed) for field in options(letter).fields if typed(side_input(field))
        },
        pick=_read_ref(partner) if partner not in ("", NEW) else None,
        create=typed("partner") == NEW,
        reopen=bool(typed("reopen")),
    )


def read_rules(letter: DeadLetter, typed: Typed) -> str:
    """The lines for sync.toml of the fields whose choice is to be made always. An edited value makes no rule."""
    owners = {
        field: Owner(typed(side_input(field)))
        for field in sorted(options(letter).fields)
        if typed(always_input(field)) and typed(side_input(field)) in (Owner.BITRIX24, Owner.ONEC)
    }
    return owner_rules(owners) if owners else ""


def refuse_changed(letter: DeadLetter, seen: str) -> None:
    """A choice counts for the values that the person saw. Errors: NotPossible."""
    if seen != letter.last_at.isoformat():
        raise NotPossible(f"letter {letter.id} has failed anew since you opened it; look at it again")


def _read_choice(letter: DeadLetter, field: str, typed: Typed) -> Choice:
    side = typed(side_input(field))
    if side in (Owner.BITRIX24, Owner.ONEC):
        return choose_side(letter, field, Owner(side))
    if side != OTHER:
        raise NotPossible(f"there is no side {side}")
    try:
        return choose_value(letter, field, read_typed(field, _typed_text(letter, field, typed)))
    except ValueError as fault:
        raise NotPossible(str(fault)) from fault


def _typed_text(letter: DeadLetter, field: str, typed: Typed) -> str:
    """As `read_typed` wants it: a list's lines with commas between them, addresses as JSON."""
    values = options(letter).fields[field]
    if is_addresses(values):
        return json.dumps([address for kind in ADDRESS_KINDS if (address := _address(field, kind, typed))])
    text = typed(value_input(field))
    if any(isinstance(value, list) for value in values.values()):
        return ",".join(line for line in text.splitlines() if line.strip())
    return text


def _address(field: str, kind: str, typed: Typed) -> Mapping[str, str]:
    parts = {part: typed(value_input(field, kind, part)) for part in ADDRESS_PARTS}
    filled = {part: text for part, text in parts.items() if text}
    return {"kind": kind, **filled} if filled else {}


def _read_ref(text: str) -> RecordRef:
    try:
        return read_text(text)
    except ValueError as fault:
        raise NotPossible(f"{text} is no name of a record; it looks like: company 7") from fault
