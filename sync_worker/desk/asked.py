"""What was asked for in an address or a form, as the office wants to hear it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, onec_ref, parse_ref
from sync_worker.domain.letter import Selection

PAGE_LETTERS = 50
MOST_LETTERS = 500  # of a page for machines
TRAIL = 20  # so many pages back; an address has an end
FIRST = "-"  # the first page, in a trail

# by a number it is Bitrix24's, by a UUID 1C's; None: there is none there
_NAMED: Mapping[str, tuple[RecordType | None, RecordType | None]] = {
    "contact": (RecordType.CONTACT, RecordType.COUNTERPARTY),
    "company": (RecordType.COMPANY, RecordType.COUNTERPARTY),
    "counterparty": (None, RecordType.COUNTERPARTY),
    "requisite": (RecordType.REQUISITE, None),
    "lead": (RecordType.LEAD, RecordType.LEAD),
    "deal": (RecordType.DEAL, RecordType.ORDER),
    "order": (None, RecordType.ORDER),
    "invoice": (RecordType.INVOICE, RecordType.INVOICE),
}
RECORD_WORDS = tuple(_NAMED)
_CARD = re.compile(r"/crm/(contact|company|deal|lead)/details/([0-9]+)")


def selection(cause: str, entity: str, group: str) -> Selection:
    """Blank ones let everything through."""
    return Selection(cause=cause or None, entity=entity or None, group=group or None)


def narrows(wanted: Selection) -> bool:
    """False where it would mean every letter there is."""
    return bool(wanted.ids or wanted.cause or wanted.entity or wanted.group)


def read_record(text: str) -> RecordRef:
    """Of "contact 42", "deal:7", "bitrix24:contact:42", "order 6f96..." or a card's address. Errors: ValueError."""
    if card := _CARD.search(text):
        return bitrix24_ref(RecordType(card[1]), int(card[2]))
    words = text.replace(":", " ").split()
    if len(words) == 3:
        return parse_ref(":".join(words).lower())
    if len(words) != 2 or words[0].lower() not in _NAMED:
        raise ValueError(f"no record: {text!r}")
    in_bitrix24, in_onec = _NAMED[words[0].lower()]
    id_ = words[1]
    if id_.isascii() and id_.isdecimal() and in_bitrix24:
        return bitrix24_ref(in_bitrix24, int(id_))
    if in_onec and len(id_) == len(str(uuid.UUID(id_))):
        return onec_ref(in_onec, id_)
    raise ValueError(f"no id of a {words[0]}: {id_!r}")


def next_trail(trail: Sequence[str], after: str) -> list[str]:
    """The pages gone through, for the way back."""
    return [*trail, after or FIRST][-TRAIL:]


def way_back(trail: Sequence[str]) -> tuple[str, list[str]] | None:
    """The page before, by its cursor, with its own trail; None on the first page."""
    if not trail:
        return None
    return ("" if trail[-1] == FIRST else trail[-1]), list(trail[:-1])
