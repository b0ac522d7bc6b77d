"""What handling an event came to. Nothing-to-do is an answer and no error."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    CREATED = "created"  # the other side has a new record
    UPDATED = "updated"  # something was written
    UNCHANGED = "unchanged"  # both sides agree already
    ECHO = "echo"  # the event came of our own write
    STALE = "stale"  # older than what was already handled
    SKIPPED = "skipped"  # the rules say that this record does not travel
    OFF = "off"  # the 1C base does not offer this entity
    PARKED = "parked"  # waits behind the record's dead letter
    COVERED = "covered"  # the record was read since, with success
    GATHERED = "gathered"  # waits a moment, so that a storm of the record's doorbells becomes one
