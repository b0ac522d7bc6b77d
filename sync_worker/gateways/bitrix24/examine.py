"""What `doctor` looks at on the portal, and what `setup` makes there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sync_worker.domain.rules import Rules
from sync_worker.entities.results import Finding
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.commands import Batch, Command
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD

MARKED_TYPES = ("contact", "company", "lead", "deal")
NEEDED_SCOPES = ("crm", "user")
MAX_CLOCK_SECONDS = 60

EVENTS = (
    "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE", "ONCRMCONTACTDELETE",
    "ONCRMCOMPANYADD", "ONCRMCOMPANYUPDATE", "ONCRMCOMPANYDELETE",
    "ONCRMREQUISITEADD", "ONCRMREQUISITEUPDATE", "ONCRMREQUISITEDELETE",
    "ONCRMADDRESSREGISTER", "ONCRMADDRESSUNREGISTER",
    "ONCRMLEADADD", "ONCRMLEADUPDATE", "ONCRMLEADDELETE",
    "ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE",
    "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE",
)  # fmt: skip
"""What the outgoing webhook has to subscribe to."""


class Clock(Protocol):
    def now(self) -> datetime: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Bitrix24Examiner:
    """Port: Examiner. Everything in one request."""

    client: Bitrix24Client
    clock: Clock
    rules: Rules

    def examine(self) -> list[Finding]:
        try:
            batch = self.client.batch(_questions(self.rules))
        except SyncError as error:
            advice = "check B24_WEBHOOK_URL (Developer resources > Inbound webhook) and that the portal can be reached"
            return [Finding(check="Bitrix24 answers", ok=False, found=str(error), advice=advice)]
        return [
            _check_user(batch),
            _check_scopes(batch),
            _check_clock(batch, self.clock.now()),
            _check_leads(batch),
            *(_check_field(batch, type_) for type_ in MARKED_TYPES),
            *_check_stages(batch, self.rules),
            *_check_lead_statuses(batch, self.rules.qualified_lead_statuses),
            *_check_presets(batch, self.rules),
        ]


def _questions(rules: Rules) -> dict[str, Command]:
    questions = {
        "profile": Command(method="profile"),
        "scope": Command(method="scope"),
        "time": Command(method="server.time"),
        "mode": Command(method="crm.settings.mode.get"),
        "presets": Command(method="crm.requisite.preset.list"),
        "leads": _stages_of("STATUS"),
    }
    for type_ in MARKED_TYPES:
        params = {"filter": {"FIELD_NAME": ONEC_ID_FIELD}}
        questions[f"field_{type_}"] = Command(method=f"crm.{type_}.userfield.list", params=params)
    for category in rules.pipelines:
        questions[f"stages_{category}"] = _stages_of(f"DEAL_STAGE_{category}" if category else "DEAL_STAGE")
    return questions


def _stages_of(entity_id: str) -> Command:
    return Command(method="crm.status.list", params={"filter": {"ENTITY_ID": entity_id}, "order": {"SORT": "ASC"}})


def _answer(batch: Batch, key: str) -> Any:
    """A refused question has no answer; the check that asked it says so."""
    return None if key in batch.errors else batch.results.get(key)


def _check_user(batch: Batch) -> Finding:
    profile = _answer(batch, "profile") or {}
    is_admin = bool(profile.get("ADMIN"))
    who = f"user {profile.get('ID')}, {'administrator' if is_admin else 'no administrator'}" if profile else "nobody"
    return Finding(
        check="Bitrix24 user of the webhook",
        ok=is_admin,
        found=who,
        advice="let a CRM administrator make the inbound webhook: it creates fields and must see every record",
    )


def _check_scopes(batch: Batch) -> Finding:
    scopes: Collection[str] = _answer(batch, "scope") or ()
    missing = [scope for scope in NEEDED_SCOPES if scope not in scopes]
    return Finding(
        check="Bitrix24 scopes",
        ok=not missing,
        found=f"missing: {', '.join(missing)}" if missing else ", ".join(NEEDED_SCOPES),
        advice="edit the inbound webhook and tick CRM (crm) and Users (user)",
    )


def _check_clock(batch: Batch, now: datetime) -> Finding:
    text = _answer(batch, "time")
    off_seconds = abs((datetime.fromisoformat(text) - now).total_seconds()) if text else 0.0
    return Finding(
        check="Bitrix24 clock",
        ok=off_seconds <= MAX_CLOCK_SECONDS,
        found=f"{off_seconds:.0f} s apart" if text else "not told",
        advice="set this machine's clock by NTP; sweeps by modification time would miss changes",
    )


def _check_leads(batch: Batch) -> Finding:
    is_simple = str(_answer(batch, "mode")) == "2"
    return Finding(
        check="Bitrix24 CRM mode",
        ok=True,
        found="simple: there are no leads, so none will travel" if is_simple else "with leads",
    )


def _check_field(batch: Batch, type_: str) -> Finding:
    found = _answer(batch, f"field_{type_}") or []
    return Finding(
        check=f"Bitrix24 {ONEC_ID_FIELD} of {type_}",
        ok=bool(found),
        found="there" if found else "not there: refs cannot be written back, and every look-up costs more",
        advice="run `sync-worker setup`",
    )


def _check_stages(batch: Batch, rules: Rules) -> list[Finding]:
    findings = []
    for category, pipeline in rules.pipelines.items():
        known = {str(row["STATUS_ID"]) for row in _answer(batch, f"stages_{category}") or []}
        unknown = sorted((pipeline.send_at | set(pipeline.stages.values())) - known)
        findings.append(
            Finding(
                check=f"Bitrix24 stages of pipeline {category}",
                ok=not unknown,
                found=f"not on the portal: {', '.join(unknown)}" if unknown else f"{len(known)} stages, all known",
                advice=f"put stages of this pipeline into sync.toml; it has: {', '.join(sorted(known)) or 'none'}",
            )
        )
    return findings


def _check_lead_statuses(batch: Batch, qualified: frozenset[str]) -> list[Finding]:
    known = {str(row["STATUS_ID"]) for row in _answer(batch, "leads") or []}
    unknown = sorted(qualified - known)
    return [
        Finding(
            check="Bitrix24 lead statuses",
            ok=not unknown,
            found=f"not on the portal: {', '.join(unknown)}" if unknown else ", ".join(sorted(qualified)),
            advice=f"put the portal's statuses into leads.qualified; it has: {', '.join(sorted(known)) or 'none'}",
        )
    ]


def _check_presets(batch: Batch, rules: Rules) -> list[Finding]:
    names: Mapping[str, str] = {str(row["ID"]): str(row["NAME"]) for row in _answer(batch, "presets") or []}
    return [
        Finding(
            check=f"Bitrix24 requisite preset of a {kind}",
            ok=str(preset) in names,
            found=names.get(str(preset), f"no preset {preset}"),
            advice=f"counterparties.requisite_preset in sync.toml; the portal has: {names}",
        )
        for kind, preset in rules.counterparties.presets.items()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalSetup:
    """Makes what the exchange needs on the portal. Safe to run again."""

    client: Bitrix24Client
    rules: Rules

    def missing_fields(self) -> list[str]:
        """The record types that have no UF_CRM_1C_ID yet."""
        params = {"filter": {"FIELD_NAME": ONEC_ID_FIELD}}
        batch = self.client.batch(
            {type_: Command(method=f"crm.{type_}.userfield.list", params=params) for type_ in MARKED_TYPES}
        )
        return [type_ for type_ in MARKED_TYPES if not batch.get(type_)]

    def create_field(self, type_: str) -> None:
        """Needs CRM administrator rights. Errors: RemoteRejected, Misconfigured."""
        self.client.call(
            f"crm.{type_}.userfield.add",
            fields={
                "FIELD_NAME": ONEC_ID_FIELD,
                "USER_TYPE_ID": "string",
                "XML_ID": ONEC_ID_FIELD,
                "LABEL": "1С: идентификатор",
                "EDIT_FORM_LABEL": {"ru": "1С: идентификатор", "en": "1C id"},
                "LIST_COLUMN_LABEL": {"ru": "1С: идентификатор", "en": "1C id"},
                "LIST_FILTER_LABEL": {"ru": "1С: идентификатор", "en": "1C id"},
                "SHOW_FILTER": "E",  # found by exact match
                "EDIT_IN_LIST": "N",  # no person has to write it
            },
        )

    def events(self) -> tuple[str, ...]:
        """The events that the outgoing webhook has to send, by the invoices' kind too."""
        if self.rules.invoices.is_smart:
            return EVENTS
        smart = ("ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE")
        return (*(event for event in EVENTS if event not in smart), "ONCRMINVOICEUPDATE", "ONCRMINVOICEDELETE")
