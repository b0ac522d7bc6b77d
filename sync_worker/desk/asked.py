"""What was asked for in an address or a form, as the office wants to hear it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, parse_ref
from sync_worker.domain.letter import Selection
from sync_worker.entities.named import read_record

PAGE_LETTERS = 50
MOST_LETTERS = 500  # of a page for machines
TRAIL = 20  # so many pages back; an address has an end
FIRST = "-"  # the first page, in a trail

_CARD = re.compile(r"/crm/(contact|company|deal|lead)/details/([0-9]+)")


def selection(cause: str, entity: str, group: str) -> Selection:
    """Blank ones let everything through."""
    return Selection(cause=cause or None, entity=entity or None, group=group or None)


def narrows(wanted: Selection) -> bool:
    """False where it would mean every letter there is."""
    return bool(wanted.ids or wanted.cause or wanted.entity or wanted.group)


def read_text(text: str) -> RecordRef:
    """Of "contact 42", "deal:7", "bitrix24:contact:42", "order 6f96..." or a card's address. Errors: ValueError."""
    if card := _CARD.search(text):
        return bitrix24_ref(RecordType(card[1]), int(card[2]))
    words = text.replace(":", " ").split()
    if len(words) == 3:
        return parse_ref(":".join(words).lower())
    if len(words) != 2:
        raise ValueError(f"no record: {text!r}")
    return read_record(words[0].lower(), words[1])


def next_trail(trail: Sequence[str], after: str) -> list[str]:
    """The pages gone through, for the way back."""
    return [*trail, after or FIRST][-TRAIL:]


def way_back(trail: Sequence[str]) -> tuple[str, list[str]] | None:
    """The page before, by its cursor, with its own trail; None on the first page."""
    if not trail:
        return None
    return ("" if trail[-1] == FIRST else trail[-1]), list(trail[:-1])
