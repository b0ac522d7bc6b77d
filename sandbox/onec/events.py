"""Changes made by hand become events: registered for /changes, and handed to the outbox in the state of the moment."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

from sandbox.onec.changes import CONTENT, STATUS, Registration
from sandbox.onec.records import Stored
from sandbox.onec.store import Store

_NAMES = {"counterparties": "counterparty", "orders": "order", "invoices": "invoice"}
CHANGES_CURSOR = "changes"


def name_event(stored: Stored, kinds: Collection[str], capabilities: Collection[str]) -> str | None:
    """The type of the one event for these kinds of change; None where the base offers none for them."""
    name = _NAMES.get(stored.type)
    if name is None:
        return None
    if stored.type in capabilities:
        if stored.deleted:
            return f"{name}.deleted"
        if stored.type != "orders" or CONTENT in kinds or "statuses" not in capabilities:
            return f"{name}.changed"
    status_moved = stored.type == "orders" and STATUS in kinds and not stored.deleted
    return "order.status_changed" if status_moved and "statuses" in capabilities else None


class Announcer:
    """Turns writes made by hand into events. Call it under the store's lock, right after the write."""

    def __init__(self, store: Store, *, capabilities: Collection[str], send: Callable[[dict[str, Any]], None]) -> None:
        self._store = store
        self._capabilities = capabilities
        self._send = send

    def announce(self, stored: Stored, kinds: Collection[str]) -> None:
        """Register the change and post the object's state, where the base offers events of it."""
        if name_event(stored, kinds, self._capabilities) is None:
            return
        registration = self._store.changes.register(
            stored.type,
            stored.ref,
            kinds=kinds,
            place=stored.sequence,
            event_id=str(uuid.uuid4()),
            at=self._store.now(),
        )
        event = self._show(registration)
        if event is not None:
            self._send(event)

    def page(self, limit: int) -> dict[str, Any]:
        """The oldest unconfirmed changes, each object in its newest state, and the cursor that confirms them."""
        with self._store.lock:
            shown = ((registration, self._show(registration)) for registration in self._store.changes)
            waiting = list(islice(((entry, event) for entry, event in shown if event is not None), limit + 1))
            taken = waiting[:limit]
            place = taken[-1][0].place if taken else self._store.sequence
            return {
                "events": [event for _, event in taken],
                "cursor": self._store.cursors.seal(CHANGES_CURSOR, place),
                "more": len(waiting) > len(taken),
            }

    def confirm(self, cursor: str) -> bool:
        """Forget everything up to the cursor; False where it is not one of ours."""
        with self._store.lock:
            place = self._store.cursors.open(CHANGES_CURSOR, cursor)
            if place is None:
                return False
            self._store.changes.confirm(place)
            return True

    def _show(self, registration: Registration) -> dict[str, Any] | None:
        stored = self._store.get(registration.type, registration.ref)
        event_type = name_event(stored, registration.places, self._capabilities) if stored else None
        if stored is None or event_type is None:
            return None
        event = {
            "id": registration.event_id,
            "type": event_type,
            "occurred_at": self._store.format_time(registration.occurred_at),
            "ref": stored.ref,
            "version": stored.version,
            "sequence": stored.sequence,
            "external_id": stored.external_id,
        }
        state = self._store.show_event_state(stored, event_type)
        return event if state is None else {**event, "data": state}
