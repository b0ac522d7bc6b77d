"""A lead: sent to 1C once it is qualified, and followed after that. Bitrix24 owns all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import RecordRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """A Bitrix24 lead.

    Shape of `fields`, as 1C takes them (contracts: Lead): title, contact_name, emails, phones, source, amount
    (decimal text), currency, responsible, comment, url.
    """

    ref: RecordRef
    status: str  # STATUS_ID
    fields: Mapping[str, Any] = field(default_factory=dict)
    counterparty: RecordRef | None = None  # the lead's company, else its contact
    onec_id: str | None = None  # what UF_CRM_1C_ID says


def qualifies(lead: Lead, qualified_statuses: frozenset[str]) -> bool:
    return lead.status in qualified_statuses
