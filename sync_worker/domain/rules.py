"""The rules of one exchange, as a bookkeeper and a sales manager agreed on them in sync.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from sync_worker.domain.identity import System


class Owner(StrEnum):
    """Whose value of a field wins."""

    BITRIX24 = "bitrix24"
    ONEC = "onec"
    SHARED = "shared"  # neither: two different changes are a conflict

    @property
    def system(self) -> System | None:
        return None if self is Owner.SHARED else System(self.value)


class Kind(StrEnum):
    """What a counterparty is in law."""

    COMPANY = "company"
    SOLE_TRADER = "sole_trader"
    PERSON = "person"


class Contacts(StrEnum):
    """Which Bitrix24 contacts become counterparties."""

    ALL = "all"
    WITHOUT_COMPANY = "without_company"
    NONE = "none"


class InvoiceKind(StrEnum):
    SMART = "smart"
    LEGACY = "legacy"


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterpartyRules:
    owners: Mapping[str, Owner]  # field -> whose value wins
    contacts: Contacts = Contacts.ALL
    companies: bool = True
    fill_blank: bool = True  # an owned field that was never filled may be filled by the other side
    presets: Mapping[Kind, int] = field(default_factory=dict)  # requisite preset of the portal by kind


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineRules:
    """One deal pipeline that syncs. Stage codes carry the pipeline's prefix, as the portal writes them."""

    category: int
    send_at: frozenset[str]
    stages: Mapping[str, str]  # 1C order status -> stage
    ignore_statuses: frozenset[str] = frozenset()
    reopen_closed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceRules:
    kind: InvoiceKind = InvoiceKind.SMART
    category: int = 0  # smart invoice category; 0 = the portal's default one
    stages: Mapping[str, str] = field(default_factory=dict)  # invoice state in 1C -> bare stage code

    @property
    def is_smart(self) -> bool:
        return self.kind is InvoiceKind.SMART


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetRules:
    live_share: Decimal = Decimal("0.3")
    operating_limit_seconds: int = 480
    requests_per_second: float | None = None  # a self-hosted portal's own limit; None = by B24_PLAN
    burst: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileRules:
    every_minutes: int = 15
    overlap_minutes: int = 10
    full_check_hours: int = 24
    max_changes: int = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Everything that sync.toml says."""

    counterparties: CounterpartyRules
    qualified_lead_statuses: frozenset[str]
    pipelines: Mapping[int, PipelineRules]
    invoices: InvoiceRules
    budget: BudgetRules
    reconcile: ReconcileRules
    total_tolerance: Decimal = Decimal("0.01")
    comment_on_create: bool = True
    max_age_hours: int = 24  # then a record that still can't be written becomes a dead letter


def stage_code(category: int, code: str) -> str:
    """The code as the portal writes it: a bare code of pipeline 1 becomes `C1:CODE`; pipeline 0 has no prefix."""
    return code if category == 0 or ":" in code else f"C{category}:{code}"
