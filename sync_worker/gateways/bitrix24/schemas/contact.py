"""A contact or company with its requisite and addresses <-> CounterpartyRecord."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType
from sync_worker.domain.rules import Kind
from sync_worker.domain.values import (
    join_name,
    multiline_or_none,
    normalise_code,
    normalise_email,
    normalise_phone,
    split_name,
    text_or_none,
)
from sync_worker.entities.contact import CounterpartyRecord, canonical_addresses
from sync_worker.gateways.bitrix24.directories import User
from sync_worker.gateways.bitrix24.query import Result
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD, ORIGINATOR
from sync_worker.gateways.bitrix24.schemas.multifield import changed_entries, new_entries, read_kinds, read_values

ENTITY_TYPE_ID = {RecordType.CONTACT: 3, RecordType.COMPANY: 4}
REQUISITE_TYPE_ID = 8
ADDRESS_KINDS = ("actual", "legal", "postal")
REQUISITE_FIELDS = ("full_name", "inn", "kpp", "ogrn")  # ours that live in the requisite and not in the card

_LEGAL, _REGISTERED, _ACTUAL, _POSTAL = 6, 4, 1, 8
_ADDRESS_PART = {
    "POSTAL_CODE": "postal_code",
    "COUNTRY": "country",
    "PROVINCE": "region",
    "CITY": "city",
    "ADDRESS_1": "street",
    "ADDRESS_2": "unit",
}
_TOWN = ("COUNTRY", "PROVINCE", "CITY")


def read_counterparty(
    ref: RecordRef,
    card: Mapping[str, Any],
    requisite: Mapping[str, Any] | None,
    addresses: Sequence[Mapping[str, Any]],
    *,
    responsible: User | None,
    sole_trader_preset: int | None,
) -> CounterpartyRecord:
    """Build the record out of crm.contact.get / crm.company.get, crm.requisite.list and crm.address.list rows."""
    kind = kind_of(ref, requisite, sole_trader_preset)
    fields: dict[str, Any] = {
        "inn": normalise_code((requisite or {}).get("RQ_INN")),
        "addresses": read_addresses(ref.type, kind, addresses),
    }
    if kind is not Kind.PERSON:  # a person has neither a full name of its own nor these codes
        fields["full_name"] = text_or_none((requisite or {}).get("RQ_COMPANY_FULL_NAME"))
        fields["kpp"] = normalise_code((requisite or {}).get("RQ_KPP"))
        fields["ogrn"] = normalise_code((requisite or {}).get(_ogrn_field(kind)))
    native = {"card": card, "requisite": requisite, "addresses": list(addresses)}
    return replace(
        read_card(ref, card, remembered=fields, kind=kind, responsible=responsible), native=native, is_whole=True
    )


def read_card(
    ref: RecordRef,
    card: Mapping[str, Any],
    *,
    remembered: Mapping[str, Any],
    kind: Kind,
    responsible: User | None,
) -> CounterpartyRecord:
    """Build the record out of crm.contact.get / crm.company.get; what is not in the card comes from `remembered`."""
    on_card = {
        "name": _name(ref, card),
        "emails": read_values(card.get("EMAIL"), normalise_email),
        "phones": read_values(card.get("PHONE"), normalise_phone),
        "comment": multiline_or_none(card.get("COMMENTS")),
        "responsible": responsible.email if responsible else None,
    }
    return CounterpartyRecord(
        ref=ref,
        kind=kind,
        fields={**remembered, **on_card},
        value_kinds=read_kinds(card.get("EMAIL"), normalise_email) | read_kinds(card.get("PHONE"), normalise_phone),
        responsible_name=responsible.name if responsible else None,
        other_ref=_onec_id(card),
        is_ours=card.get("IS_MY_COMPANY") == "Y",
        company_id=_id_or_none(card.get("COMPANY_ID")),
        is_whole=False,
    )


def kind_of(ref: RecordRef, requisite: Mapping[str, Any] | None, sole_trader_preset: int | None) -> Kind:
    """A sole trader by the requisite's preset or a 12-digit ИНН (design, part 6)."""
    if requisite is not None:
        inn = normalise_code(requisite.get("RQ_INN")) or ""
        if str(requisite.get("PRESET_ID")) == str(sole_trader_preset) or len(inn) == 12:
            return Kind.SOLE_TRADER
    return Kind.COMPANY if ref.type is RecordType.COMPANY else Kind.PERSON


def _name(ref: RecordRef, card: Mapping[str, Any]) -> str | None:
    if ref.type is RecordType.COMPANY:
        return text_or_none(card.get("TITLE"))
    return join_name(card.get("LAST_NAME"), card.get("NAME"), card.get("SECOND_NAME"))


def _ogrn_field(kind: Kind) -> str:
    return "RQ_OGRNIP" if kind is Kind.SOLE_TRADER else "RQ_OGRN"


def _id_or_none(value: object) -> str | None:
    text = text_or_none(value)
    return None if text in (None, "0") else text


def _onec_id(card: Mapping[str, Any]) -> str | None:
    """The 1C ref; on a portal without our field ORIGIN_ID has to do (see `partner_fields`)."""
    return text_or_none(card[ONEC_ID_FIELD]) if ONEC_ID_FIELD in card else origin_id(card)


def origin_id(card: Mapping[str, Any]) -> str | None:
    """The id that the record had where it came from, if that was 1C."""
    return text_or_none(card.get("ORIGIN_ID")) if card.get("ORIGINATOR_ID") == ORIGINATOR else None


def partner_fields(card: Mapping[str, Any], onec_id: str) -> dict[str, Any]:
    """The fields that name the 1C partner.

    Where ours is missing it is ignored, and ORIGIN_ID is remembered instead. An ORIGIN_ID that names another 1C record
    goes with the link, or the card would be found as that one's partner for ever.
    """
    is_stale = origin_id(card) not in (None, onec_id)
    origin = {"ORIGINATOR_ID": ORIGINATOR, "ORIGIN_ID": onec_id} if is_stale or ONEC_ID_FIELD not in card else {}
    return {ONEC_ID_FIELD: onec_id, **origin}


def address_types(owner_type: RecordType, kind: Kind, address_kind: str) -> tuple[int, ...]:
    """The portal's address types that are this kind of address, best first.

    Of people the registered address is a legal one as well (design, part 6), and a person's foremost.
    """
    if address_kind != "legal":
        return (_ACTUAL,) if address_kind == "actual" else (_POSTAL,)
    if kind is Kind.COMPANY:
        return (_LEGAL,)
    is_person = kind is Kind.PERSON and owner_type is RecordType.CONTACT
    return (_REGISTERED, _LEGAL) if is_person else (_LEGAL, _REGISTERED)


def read_addresses(owner_type: RecordType, kind: Kind, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One address a kind: of several types that may be it, the best that has any text."""
    by_type = {int(row["TYPE_ID"]): row for row in rows}
    return canonical_addresses(
        [
            {"kind": address_kind, **_address_parts(by_type[type_id])}
            for address_kind in ADDRESS_KINDS
            for type_id in address_types(owner_type, kind, address_kind)
            if type_id in by_type
        ]
    )


def _address_parts(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {ours: text_or_none(row.get(theirs)) for theirs, ours in _ADDRESS_PART.items()}


def has_text(row: Mapping[str, Any]) -> bool:
    """False for an address that was emptied: its key stays."""
    return any(_address_parts(row).values())


def card_fields(ref_type: RecordType, changes: Mapping[str, Any], *, responsible_id: str | None) -> dict[str, Any]:
    """The fields of crm.contact.* / crm.company.* for our changed fields; phones and e-mails come apart."""
    fields: dict[str, Any] = {}
    if "name" in changes and ref_type is RecordType.COMPANY:
        fields["TITLE"] = changes["name"]
    elif "name" in changes:
        last, first, second = split_name(changes["name"])
        fields |= {"LAST_NAME": last or "", "NAME": first or "", "SECOND_NAME": second or ""}
    if "comment" in changes:
        fields["COMMENTS"] = changes["comment"] or ""
    if responsible_id is not None:
        fields["ASSIGNED_BY_ID"] = responsible_id
    return fields


def new_card(record: CounterpartyRecord, ref_type: RecordType, *, responsible_id: str | None) -> dict[str, Any]:
    """The fields of crm.contact.add / crm.company.add for a record that comes from 1C."""
    fields = {name: value for name, value in record.fields.items() if value}
    return {
        **card_fields(ref_type, fields, responsible_id=responsible_id),
        "PHONE": new_entries(fields.get("phones", []), record.value_kinds),
        "EMAIL": new_entries(fields.get("emails", []), record.value_kinds),
        "ORIGINATOR_ID": ORIGINATOR,
        "ORIGIN_ID": record.ref.id,
        ONEC_ID_FIELD: record.ref.id,
    }


def changed_multifields(
    current: CounterpartyRecord, changes: Mapping[str, Any], kinds: Mapping[str, str]
) -> dict[str, Any]:
    card = current.native["card"]
    fields: dict[str, Any] = {}
    if "phones" in changes:
        fields["PHONE"] = changed_entries(card.get("PHONE"), changes["phones"], kinds, normalise_phone)
    if "emails" in changes:
        fields["EMAIL"] = changed_entries(card.get("EMAIL"), changes["emails"], kinds, normalise_email)
    return fields


def requisite_fields(kind: Kind, changes: Mapping[str, Any]) -> dict[str, Any]:
    names = {"full_name": "RQ_COMPANY_FULL_NAME", "inn": "RQ_INN", "kpp": "RQ_KPP", "ogrn": _ogrn_field(kind)}
    return {theirs: changes[ours] or "" for ours, theirs in names.items() if ours in changes}


def new_requisite(
    owner: RecordRef, kind: Kind, preset: int, name: str | None, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of crm.requisite.add; its NAME is what the portal lists it under."""
    fields = {
        "ENTITY_TYPE_ID": ENTITY_TYPE_ID[owner.type],
        "ENTITY_ID": owner.id,
        "PRESET_ID": preset,
        "NAME": name or "Реквизиты",
        "ACTIVE": "Y",
        **requisite_fields(kind, changes),
    }
    if kind is Kind.PERSON or owner.type is RecordType.CONTACT:
        last, first, second = split_name(name)
        return fields | {"RQ_LAST_NAME": last or "", "RQ_FIRST_NAME": first or "", "RQ_SECOND_NAME": second or ""}
    return fields | {"RQ_COMPANY_NAME": name or ""}


def address_fields(
    type_id: int, address: Mapping[str, Any], requisite_id: str | Result, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The whole address: when any text of it is sent, the portal forgets those that are not.

    `before`: the row that stands there. Its district, which 1C has not, stays as long as the town does.
    """
    fields = {theirs: address.get(ours) or "" for theirs, ours in _ADDRESS_PART.items()}
    old = before or {}
    is_same_town = any(fields.values()) and all(
        text_or_none(old.get(name)) == text_or_none(fields[name]) for name in _TOWN
    )
    district = {"REGION": old["REGION"]} if is_same_town and old.get("REGION") else {}
    return {
        "TYPE_ID": type_id,
        "ENTITY_TYPE_ID": REQUISITE_TYPE_ID,
        "ENTITY_ID": requisite_id,
        **fields,
        **district,
    }
