"""1C's queue of registered changes: read, handed over, confirmed (contracts: /changes).

Reading repeats until the cursor is confirmed, so a reader that stops midway loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.drift import ChangesPage, OnecChange
from sync_worker.domain.identity import RecordType, onec_ref
from sync_worker.domain.values import text_or_none
from sync_worker.errors import RemoteUnavailable
from sync_worker.gateways.onec.about import CHANGES, OnecCapabilities
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.schemas.shapes import is_onec_id

_DELETED = "deleted"
_TYPES = {
    "counterparty.changed": RecordType.COUNTERPARTY,
    "counterparty.deleted": RecordType.COUNTERPARTY,
    "invoice.changed": RecordType.INVOICE,
    "invoice.deleted": RecordType.INVOICE,
    "order.status_changed": RecordType.ORDER,
    "order.changed": RecordType.ORDER,
    "order.deleted": RecordType.ORDER,
}


class OnecChanges:
    """Port: OnecQueue (sync/sweep_ports.py)."""

    def __init__(self, *, client: OnecClient, capabilities: OnecCapabilities) -> None:
        self._client = client
        self._capabilities = capabilities

    def missing(self) -> str | None:
        """Why there is no such queue; None where the base offers it. Errors: those of a first /about."""
        about = self._capabilities.about()
        if CHANGES in about.capabilities:
            return None
        return f"the 1C base ({about.configuration}) does not offer {CHANGES}, so nobody can ask what events were lost"

    def page(self, *, limit: int) -> ChangesPage:
        """The oldest changes that were not confirmed, at most `limit` (1 to 500). Errors: those of the client."""
        answer = self._client.get("/changes", {"limit": str(limit)})
        events, cursor = answer.get("events"), answer.get("cursor")
        if not isinstance(events, list) or not isinstance(cursor, str):
            raise RemoteUnavailable("1C GET /changes: the answer has no events or no cursor")
        read = [(raw, read_change(raw)) for raw in events]
        return ChangesPage(
            changes=tuple(change for _, change in read if change is not None),
            unreadable=tuple(
                raw if isinstance(raw, Mapping) else {"event": raw} for raw, change in read if change is None
            ),
            cursor=cursor,
            has_more=bool(answer.get("more")),
        )

    def confirm(self, cursor: str) -> None:
        """Have everything up to `cursor` forgotten; a change made since stays. Once more is harmless."""
        self._client.post("/changes/confirm", {"cursor": cursor})


def read_change(raw: Any) -> OnecChange | None:
    """An event's head; None where it is none. Its state is for the flow to judge, as that of a posted event is."""
    if not isinstance(raw, Mapping) or raw.get("type") not in _TYPES or not is_onec_id(str(raw.get("ref")).lower()):
        return None
    is_deleted, content = raw["type"].endswith(_DELETED), raw.get("data")
    if not is_deleted and not isinstance(content, Mapping):
        return None
    try:
        return OnecChange(
            ref=onec_ref(_TYPES[raw["type"]], raw["ref"]),
            data=None if is_deleted else content,
            sequence=int(raw["sequence"]),
            version=str(raw["version"]),
            external_id=text_or_none(raw.get("external_id")),
            event_id=str(raw["id"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
