"""What the one-way flows share."""

from __future__ import annotations

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import LinkBroken
from sync_worker.sync.ports import Links


def gone(ref: RecordRef, links: Links) -> Outcome:
    """Deleting on one side never deletes on the other: a tombstone, and a person sees it."""
    link = links.find(ref)
    if link is None or link.deleted_in:
        return Outcome.SKIPPED
    links.save(link.bury(ref.system))
    raise LinkBroken(f"{ref} was deleted; {link.other(ref)} was left as it is")
