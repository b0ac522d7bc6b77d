"""The contract's OrderStatus and OrderState -> OrderStatus: a status is taken from either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.identity import RecordRef, parse_external_id
from sync_worker.domain.values import text_or_none
from sync_worker.entities.status import OrderStatus


def order_status_from_state(
    ref: RecordRef, *, data: Mapping[str, Any] | None, sequence: int, external_id: str | None, is_deleted: bool = False
) -> OrderStatus:
    """Out of an order event's state. No `data` means that the order was marked for deletion."""
    return OrderStatus(
        order=ref,
        sequence=sequence,
        status=text_or_none((data or {}).get("status")),
        deal=parse_external_id(external_id),
        is_deleted=is_deleted or data is None,
    )
