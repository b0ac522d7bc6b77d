"""Deal.fields -> the contract's Order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.gateways.onec.schemas.shapes import refuse, show_fields

NULLABLE = frozenset({"contact_ref", "responsible", "ship_on", "comment", "url"})
NOT_NULL = frozenset({"title", "counterparty_ref", "amount", "currency", "rows"})


def show_order(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields are in the contract's words already; those it has not are left out.

    Errors: RemoteRejected (validation) without a counterparty.
    """
    if not fields.get("counterparty_ref"):
        raise refuse("counterparty_ref", "an order needs a counterparty; name a company or a contact in the deal")
    return show_fields(fields, NULLABLE, NOT_NULL)
