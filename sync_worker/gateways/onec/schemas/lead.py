"""Lead.fields -> the contract's Lead. 1C's leads are not read back: Bitrix24 owns all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.gateways.onec.schemas.shapes import refuse, show_fields

NULLABLE = frozenset(
    {"counterparty_ref", "contact_name", "source", "amount", "currency", "responsible", "comment", "url"}
)
NOT_NULL = frozenset({"title", "emails", "phones"})


def show_lead(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields are in the contract's words already; those it has not are left out.

    Errors: RemoteRejected (validation) without a title.
    """
    if not fields.get("title"):
        raise refuse("title", "1C needs one")
    return show_fields(fields, NULLABLE, NOT_NULL)
