"""The portal's offline queue: which changes were made, by id, for an application that asks.

Rows are reserved (`clear` 0) and cleared when they are in safety, where the plan has that; else they are looked at
first, and then taken for good. Reserved rows stay on the portal, hidden, for 30 days.
Source: reference/bitrix24.md 3.15 and 4.5; tests/samples/bitrix24/event.offline.*.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.doorbell import positive_id
from sync_worker.domain.offline import PAGE, OfflineRow, Reserved
from sync_worker.errors import RemoteRejected, RemoteUnavailable
from sync_worker.gateways.bitrix24.application import ApplicationClient

_KEPT = ("ID", "TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "MESSAGE_ID")  # EVENT_ADDITIONAL may hold who was let in
_BY_ID = {"ID": "ASC"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Offline:
    """Ports: OfflineQueue, Subscriptions (sync/offline_ports.py). Errors of all: those of the client."""

    client: ApplicationClient

    # --- what is listened to -----------------------------------------------------------------------------------------

    def can_reserve(self) -> bool:
        """A self-hosted portal answers with neither Y nor N, and has it."""
        answer = self.client.call("feature.get", CODE="rest_offline_extended")
        return not isinstance(answer, Mapping) or str(answer.get("value")).upper() != "N"

    def bound(self) -> frozenset[str]:
        rows = self.client.call("event.get")
        if not isinstance(rows, list):
            raise RemoteUnavailable("Bitrix24 event.get: the answer is no list")
        named = [row for row in rows if isinstance(row, Mapping) and str(row.get("offline")) in ("1", "True", "Y")]
        return frozenset(str(row.get("event")).upper() for row in named)

    def bind(self, code: str) -> bool:
        """False where this portal has no such event."""
        try:
            self.client.call("event.bind", event=code, event_type="offline")
        except RemoteRejected as refusal:
            if refusal.code.upper() != "ERROR_EVENT_NOT_FOUND":
                raise
            return False
        return True

    # --- rows --------------------------------------------------------------------------------------------------------

    def reserve(self) -> Reserved:
        """The next rows; none of them is handed out to anybody else until they are cleared."""
        answer = self.client.call("event.offline.get", clear=0, limit=PAGE)
        rows = _rows("event.offline.get", answer)
        process_id = answer.get("process_id")
        if rows and not (isinstance(process_id, str) and process_id):
            raise RemoteUnavailable("Bitrix24 event.offline.get: rows without a process_id")
        return Reserved(process_id=str(process_id or ""), rows=rows)

    def reserved(self) -> list[Reserved]:
        """Rows that were reserved and not cleared, some of them, by who has reserved them."""
        wanted = {">PROCESS_ID": "", "ERROR": 0}
        answer = self.client.call("event.offline.list", filter=wanted, order=_BY_ID)
        found: dict[str, list[OfflineRow]] = {}
        for row in _rows("event.offline.list", answer):
            if row.process_id:
                found.setdefault(row.process_id, []).append(row)
        return [Reserved(process_id=process_id, rows=tuple(rows)) for process_id, rows in found.items()]

    def clear(self, process_id: str, rows: Sequence[OfflineRow]) -> None:
        self.client.call("event.offline.clear", process_id=process_id, id=[row.id for row in rows])

    def mark_failed(self, process_id: str, rows: Sequence[OfflineRow]) -> None:
        """They stay on the portal, and come no more."""
        self.client.call("event.offline.error", process_id=process_id, message_id=[row.message_id for row in rows])

    def look(self) -> tuple[OfflineRow, ...]:
        """The oldest rows that nobody has reserved; they stay where they are."""
        answer = self.client.call("event.offline.list", filter={"=PROCESS_ID": "", "ERROR": 0}, order=_BY_ID)
        return tuple(row for row in _rows("event.offline.list", answer) if not row.process_id)

    def remove(self, rows: Sequence[OfflineRow]) -> None:
        """Take what was looked at off the portal: there is nothing else up to its last id."""
        upto = {"<=ID": max(int(row.id) for row in rows)}
        self.client.call("event.offline.get", clear=1, filter=upto, order=_BY_ID, limit=len(rows))

    def failed(self) -> int:
        """How many rows are marked as failed, up to a page."""
        return len(_rows("event.offline.list", self.client.call("event.offline.list", filter={"ERROR": 1})))


def _rows(method: str, answer: Any) -> tuple[OfflineRow, ...]:
    """Errors: RemoteUnavailable where the answer is no list: it must not be taken for an empty one."""
    rows = answer.get("events") if isinstance(answer, Mapping) else answer
    if not isinstance(rows, list):
        raise RemoteUnavailable(f"Bitrix24 {method}: the answer has no list of rows")
    return tuple(_row(method, row) for row in rows)


def _row(method: str, row: Any) -> OfflineRow:
    id_ = positive_id(row.get("ID")) if isinstance(row, Mapping) else None
    if id_ is None:
        raise RemoteUnavailable(f"Bitrix24 {method}: a row without an ID")
    data = row.get("EVENT_DATA")
    fields = data.get("FIELDS") if isinstance(data, Mapping) else None
    return OfflineRow(
        id=id_,
        message_id=str(row.get("MESSAGE_ID") or ""),
        code=str(row.get("EVENT_NAME") or "").strip().upper(),
        fields=dict(fields) if isinstance(fields, Mapping) else {},
        raw={name: row[name] for name in _KEPT if name in row},
        process_id=str(row.get("PROCESS_ID") or ""),
    )
