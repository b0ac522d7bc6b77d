"""One item to 1C and its result. A refused item was not done: its code says what happens next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordType, onec_ref
from sync_worker.domain.values import text_or_none
from sync_worker.errors import (
    AmbiguousMatch,
    LinkBroken,
    OrderLocked,
    OutcomeUnknown,
    RemoteRejected,
    RemoteUnavailable,
    SyncError,
    VersionMoved,
)
from sync_worker.gateways.onec.bodies import mask_text
from sync_worker.gateways.onec.client import OnecClient

RESOURCES: Mapping[RecordType, str] = {
    RecordType.COUNTERPARTY: "/counterparties",
    RecordType.LEAD: "/leads",
    RecordType.ORDER: "/orders",
    RecordType.INVOICE: "/invoices",
}

DONE = ("created", "updated", "unchanged")


@dataclass(frozen=True, kw_only=True, slots=True)
class UpsertResult:
    """What 1C says of one item that was done."""

    ref: str
    outcome: str  # one of DONE
    number: str | None
    version: str | None
    sequence: int  # 0 where 1C names none


def upsert_one(client: OnecClient, type_: RecordType, item: Mapping[str, Any]) -> UpsertResult:
    """Send one item, keyed by its external_id: the same sent twice makes nothing twice.

    Errors: those of the call; AmbiguousMatch, VersionMoved, LinkBroken, OrderLocked, RemoteRejected for the item.
    """
    return _read_result(type_, client.send_item(RESOURCES[type_], item))


def _read_result(type_: RecordType, result: Mapping[str, Any]) -> UpsertResult:
    outcome, ref = result.get("outcome"), result.get("ref")
    if outcome == "rejected":
        raise item_error(type_, result.get("error") or {})
    if outcome not in DONE or not ref:
        raise OutcomeUnknown(f"1C {RESOURCES[type_]}: the result names no outcome or no ref")
    return UpsertResult(
        ref=ref,
        outcome=outcome,
        number=text_or_none(result.get("number")),
        version=result.get("version"),
        sequence=result.get("sequence") or 0,
    )


def item_error(type_: RecordType, error: Mapping[str, Any]) -> SyncError:
    """The contract's UpsertResult.error -> what happens next."""
    code, field = str(error.get("code") or "rejected"), error.get("field")
    text = f"1C {type_}: {mask_text(str(error.get('message') or ''))} [{code}{f' {field}' if field else ''}]"
    if code == "duplicate":
        refs = (str(onec_ref(type_, ref)) for ref in error.get("candidates") or ())
        return AmbiguousMatch(text, candidates=tuple(refs))
    if code == "locked" and type_ is RecordType.ORDER:
        return OrderLocked(text, code=code, field=field)
    if code == "deleted" or (code == "not_found" and field in (None, "ref")):
        return LinkBroken(text)
    if code == "version_conflict":
        return VersionMoved(text)
    if code == "internal":
        return RemoteUnavailable(text)
    return RemoteRejected(text, code=code, field=field)
