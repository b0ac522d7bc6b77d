"""A lead or an order as 1C has it. The exchange only sends them; this is for telling what would change in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.entities.status import OrderStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Shape of `fields`: as Lead.fields and Deal.fields, in the contract's words."""

    ref: RecordRef
    external_id: str | None  # the Bitrix24 record that 1C links it to
    fields: Mapping[str, Any]
    number: str | None
    version: str
    sequence: int
    is_deleted: bool = False  # marked for deletion
    status: OrderStatus | None = None  # of orders
