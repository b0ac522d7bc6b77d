"""Which entity is what: written out by hand, so that a missing piece is a failing test and not a silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sync_worker.domain.identity import EntityKind, RecordType, System


@dataclass(frozen=True, kw_only=True, slots=True)
class EntitySpec:
    """One kind of work: who starts it, and what it is called on each side."""

    entity: EntityKind
    bitrix24_types: tuple[RecordType, ...]
    onec_type: RecordType
    starts_in: tuple[System, ...]
    capability: str  # the name in 1C's `about.capabilities`


REGISTRY: Mapping[EntityKind, EntitySpec] = {
    EntityKind.CONTACT: EntitySpec(
        entity=EntityKind.CONTACT,
        bitrix24_types=(RecordType.CONTACT, RecordType.COMPANY),
        onec_type=RecordType.COUNTERPARTY,
        starts_in=(System.BITRIX24, System.ONEC),
        capability="counterparties",
    ),
    EntityKind.LEAD: EntitySpec(
        entity=EntityKind.LEAD,
        bitrix24_types=(RecordType.LEAD,),
        onec_type=RecordType.LEAD,
        starts_in=(System.BITRIX24,),
        capability="leads",
    ),
    EntityKind.DEAL: EntitySpec(
        entity=EntityKind.DEAL,
        bitrix24_types=(RecordType.DEAL,),
        onec_type=RecordType.ORDER,
        starts_in=(System.BITRIX24,),
        capability="orders",
    ),
    EntityKind.INVOICE: EntitySpec(
        entity=EntityKind.INVOICE,
        bitrix24_types=(RecordType.INVOICE,),
        onec_type=RecordType.INVOICE,
        starts_in=(System.ONEC,),
        capability="invoices",
    ),
    EntityKind.STATUS: EntitySpec(
        entity=EntityKind.STATUS,
        bitrix24_types=(RecordType.DEAL,),
        onec_type=RecordType.ORDER,
        starts_in=(System.ONEC,),
        capability="statuses",
    ),
}
