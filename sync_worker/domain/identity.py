"""Who is who: systems, kinds of work, and names of records on either side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class System(StrEnum):
    """One of the two sides of the exchange."""

    BITRIX24 = "bitrix24"
    ONEC = "onec"


class EntityKind(StrEnum):
    """One kind of work: it has a queue, a task and a flow of its own.

    `CONTACT` is the counterparty's kind: Bitrix24 contacts and companies (with their requisites and addresses) and
    1C контрагенты all travel through it.
    """

    CONTACT = "contact"
    LEAD = "lead"
    DEAL = "deal"
    INVOICE = "invoice"
    STATUS = "status"


class Lane(StrEnum):
    """Who goes first when the budget is short."""

    LIVE = "live"  # somebody waits for it; a share of the budget is kept for this lane
    BULK = "bulk"  # replay, backfill and sweeps


class RecordType(StrEnum):
    """What a record is in its own system; ids are unique only within a type."""

    CONTACT = "contact"
    COMPANY = "company"
    REQUISITE = "requisite"
    LEAD = "lead"
    DEAL = "deal"
    INVOICE = "invoice"  # a smart or an old invoice, as the settings say
    COUNTERPARTY = "counterparty"
    ORDER = "order"


PARTNER_TYPE: Mapping[RecordType, RecordType] = MappingProxyType(
    {
        RecordType.CONTACT: RecordType.COUNTERPARTY,
        RecordType.COMPANY: RecordType.COUNTERPARTY,
        RecordType.LEAD: RecordType.LEAD,
        RecordType.DEAL: RecordType.ORDER,
        RecordType.INVOICE: RecordType.INVOICE,
    }
)
"""Bitrix24's type -> 1C's type that it is linked to."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class RecordRef:
    """The name of one record: enough to find it, and nothing of its content."""

    system: System
    type: RecordType
    id: str  # Bitrix24: a decimal number; 1C: a lower-case UUID

    def __str__(self) -> str:
        return f"{self.system}:{self.type}:{self.id}"

    @property
    def key(self) -> str:
        """`type:id`, unique within the system."""
        return f"{self.type}:{self.id}"

    @property
    def external_id(self) -> str:
        """How 1C names a Bitrix24 record, such as `b24:contact:42` (contracts: ExternalId)."""
        return f"b24:{self.type}:{self.id}"


def parse_ref(text: str) -> RecordRef:
    """Read what `str(ref)` wrote. ValueError where it is no ref."""
    system, type_, id_ = text.split(":", 2)
    return RecordRef(system=System(system), type=RecordType(type_), id=id_)


def bitrix24_ref(type_: RecordType, id_: str | int) -> RecordRef:
    return RecordRef(system=System.BITRIX24, type=type_, id=str(id_))


def onec_ref(type_: RecordType, id_: str) -> RecordRef:
    return RecordRef(system=System.ONEC, type=type_, id=id_.lower())


def parse_external_id(external_id: str | None) -> RecordRef | None:
    """The Bitrix24 record that 1C's `b24:company:7` names; None where there is none or it is no such name."""
    parts = (external_id or "").split(":")
    if len(parts) != 3 or parts[0] != "b24" or not parts[2].isdecimal():
        return None
    try:
        return bitrix24_ref(RecordType(parts[1]), parts[2])
    except ValueError:
        return None
