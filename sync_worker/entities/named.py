"""Which record a person means by "contact 42" or "order 6f9619ff-..."."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, onec_ref

# entity -> what a number of it names in Bitrix24, and what a UUID names in 1C; None: it has no such id
_NAMED: Mapping[str, tuple[RecordType | None, RecordType]] = {
    "contact": (RecordType.CONTACT, RecordType.COUNTERPARTY),
    "company": (RecordType.COMPANY, RecordType.COUNTERPARTY),
    "counterparty": (None, RecordType.COUNTERPARTY),
    "lead": (RecordType.LEAD, RecordType.LEAD),
    "deal": (RecordType.DEAL, RecordType.ORDER),
    "order": (None, RecordType.ORDER),
    "invoice": (RecordType.INVOICE, RecordType.INVOICE),
}
RECORD_ENTITIES = tuple(_NAMED)
_INSTEAD = {"counterparty": "contact or company", "order": "deal"}


def read_record(entity: str, id_: str) -> RecordRef:
    """The record that is meant: a number is Bitrix24's, a UUID is 1C's.

    Errors: ValueError says what the id of such an entity looks like.
    """
    if entity not in _NAMED:
        raise ValueError(f"there is no entity {entity!r}; it is one of {', '.join(RECORD_ENTITIES)}")
    in_bitrix24, in_onec = _NAMED[entity]
    text = id_.strip()
    if text.isascii() and text.isdecimal():
        if in_bitrix24 is None:
            raise ValueError(f"{entity} {text}: its id in 1C is a UUID; by a number say {_INSTEAD[entity]} {text}")
        return bitrix24_ref(in_bitrix24, int(text))
    if _is_uuid(text):
        return onec_ref(in_onec, text)
    wanted = "a UUID (1C)" if in_bitrix24 is None else "a number (Bitrix24) or a UUID (1C)"
    raise ValueError(f"{text!r} is no id of a record: {entity} has {wanted}")


def _is_uuid(text: str) -> bool:
    """In 1C's own spelling, with hyphens."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
