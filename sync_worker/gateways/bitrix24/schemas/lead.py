"""A Bitrix24 lead -> Lead, its fields as 1C takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.values import (
    decimal_or_zero,
    join_name,
    money_text,
    multiline_or_none,
    normalise_email,
    normalise_phone,
    text_or_none,
)
from sync_worker.entities.lead import Lead
from sync_worker.gateways.bitrix24.directories import User
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD
from sync_worker.gateways.bitrix24.schemas.multifield import read_kinds, read_values


def read_lead(ref: RecordRef, card: Mapping[str, Any], *, responsible: User | None, card_url: str) -> Lead:
    """Build it out of crm.lead.get."""
    title = text_or_none(card.get("TITLE"))
    contact_name = join_name(card.get("LAST_NAME"), card.get("NAME"), card.get("SECOND_NAME"))
    return Lead(
        ref=ref,
        status=str(card.get("STATUS_ID") or ""),
        fields={
            "title": title or contact_name or f"Лид {ref.id}",
            "contact_name": contact_name,
            "emails": _with_kinds(card.get("EMAIL"), normalise_email, ("work", "home")),
            "phones": _with_kinds(card.get("PHONE"), normalise_phone, ("work", "mobile", "home", "fax")),
            "source": text_or_none(card.get("SOURCE_ID")),
            "amount": money_text(decimal_or_zero(card.get("OPPORTUNITY"))),
            "currency": text_or_none(card.get("CURRENCY_ID")),
            "responsible": person(responsible),
            "comment": multiline_or_none(card.get("COMMENTS")),
            "url": card_url,
        },
        counterparty=party(card),
        onec_id=text_or_none(card.get(ONEC_ID_FIELD)),
    )


def person(user: User | None) -> dict[str, str | None] | None:
    """The responsible manager as the contract's Person."""
    return {"email": user.email, "name": user.name} if user else None


def party(card: Mapping[str, Any]) -> RecordRef | None:
    """Whom the card names: its company where there is one, else its contact."""
    return party_ref(RecordType.COMPANY, card.get("COMPANY_ID")) or party_ref(
        RecordType.CONTACT, card.get("CONTACT_ID")
    )


def party_ref(type_: RecordType, id_: object) -> RecordRef | None:
    """None, "", "0" and 0 all mean nobody (reference 5.5)."""
    text = text_or_none(id_)
    return None if text in (None, "0") else bitrix24_ref(type_, text)


def _with_kinds(entries: Any, normalise: Any, allowed: tuple[str, ...]) -> list[dict[str, str]]:
    kinds = read_kinds(entries, normalise)
    return [
        {"value": value, "kind": kinds[value] if kinds.get(value) in allowed else "other"}
        for value in read_values(entries, normalise)
    ]
