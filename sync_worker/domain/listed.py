"""Records as a list names them: enough to tell whom each is linked to, and whether it is to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.rules import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One record of a list."""

    record: RecordRef
    names: RecordRef | None = None  # the other side's record that is written in it
    is_deleted: bool = False  # 1C: marked for deletion
    is_ours: bool = False  # Bitrix24: one of "my companies"
    company_id: str | None = None  # Bitrix24 contacts: the company they belong to
    kind: Kind | None = None  # 1C counterparties
    state: Mapping[str, Any] = field(default_factory=dict)  # 1C invoices: as in the contract, whole
    sequence: int = 0  # 1C
    version: str = ""  # 1C


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage:
    """Some records, and where to go on after them."""

    rows: tuple[Listed, ...]
    after: str | None  # None: these were the last
