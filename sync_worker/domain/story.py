"""What happened to one record: an entry for each event, decision and write, so that a person can follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StoryEntry:
    """One thing that happened.

    Shape of `facts` (JSON-able; what does not apply is left out):
        entity, lane, change, from: the event
        calls: names of the calls that were made, in order, such as "crm.contact.update" or "POST /counterparties"
        wrote: {"bitrix24": [fields], "onec": [fields]}
        lost: [{"field", "system", "value", "kept"}]: values of the side that does not own them, put right. Personal
        cause, message, letter: a failure, and the letter that came of it
        by, note: a person's deed
    """

    at: datetime
    what: str  # an Outcome, "failed", "dead_letter", "given_up", or an Act
    trace: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
