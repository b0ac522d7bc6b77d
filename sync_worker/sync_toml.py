"""sync.toml: the rules of one exchange, checked whole. Keys are those of sync.example.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, validate
from marshmallow import fields as ma

from sync_worker.domain.rules import (
    BudgetRules,
    Contacts,
    CounterpartyRules,
    InvoiceKind,
    InvoiceRules,
    Kind,
    Owner,
    PipelineRules,
    ReconcileRules,
    Rules,
    stage_code,
)
from sync_worker.entities.contact import DEFAULT_OWNERS

INVOICE_STATES = ("issued", "partly_paid", "paid", "cancelled")


class _Table(Schema):
    """An unknown key is a fault: a typo in sync.toml must not become a silent default."""

    error_messages = {"unknown": "unknown key"}  # noqa: RUF012  # marshmallow's own way


class _Presets(_Table):
    company = ma.Integer(strict=True, load_default=1)
    sole_trader = ma.Integer(strict=True, load_default=3)
    person = ma.Integer(strict=True, load_default=5)


class _Counterparties(_Table):
    contacts = ma.Enum(Contacts, by_value=True, load_default=Contacts.ALL)
    companies = ma.String(validate=validate.OneOf(["all", "none"]), load_default="all")
    fill_blank = ma.Boolean(load_default=True)
    requisite_preset = ma.Nested(_Presets, load_default=lambda: _Presets().load({}))


_Owners = _Table.from_dict(
    {name: ma.Enum(Owner, by_value=True, load_default=owner) for name, owner in DEFAULT_OWNERS.items()}
)


class _OwnersTable(_Table):
    counterparty = ma.Nested(_Owners, load_default=lambda: _Owners().load({}))


class _Leads(_Table):
    qualified = ma.List(ma.String(), load_default=lambda: ["CONVERTED"])


class _Pipeline(_Table):
    category = ma.Integer(strict=True, required=True, validate=validate.Range(min=0))
    send_at = ma.List(ma.String(), required=True, validate=validate.Length(min=1))
    ignore_statuses = ma.List(ma.String(), load_default=list)
    reopen_closed = ma.Boolean(load_default=False)
    stages = ma.Dict(keys=ma.String(), values=ma.String(), load_default=dict)


class _Orders(_Table):
    total_tolerance = ma.Decimal(load_default=Decimal("0.01"), validate=validate.Range(min=0))
    comment_on_create = ma.Boolean(load_default=True)


_InvoiceStages = _Table.from_dict(
    {state: ma.String(load_default=code) for state, code in zip(INVOICE_STATES, "NSPD", strict=True)}
)


class _Invoices(_Table):
    kind = ma.Enum(InvoiceKind, by_value=True, load_default=InvoiceKind.SMART)
    category = ma.Integer(strict=True, load_default=0)
    stages = ma.Nested(_InvoiceStages, load_default=lambda: _InvoiceStages().load({}))


class _Reconcile(_Table):
    every_minutes = ma.Integer(strict=True, load_default=15, validate=validate.Range(min=1))
    overlap_minutes = ma.Integer(strict=True, load_default=10, validate=validate.Range(min=1))
    full_check_hours = ma.Integer(strict=True, load_default=24, validate=validate.Range(min=1))
    max_changes = ma.Integer(strict=True, load_default=500, validate=validate.Range(min=1))


class _Budget(_Table):
    live_share = ma.Decimal(load_default=Decimal("0.3"), validate=validate.Range(min=0, max=Decimal("0.9")))
    operating_limit = ma.Integer(strict=True, load_default=480, validate=validate.Range(min=1))
    requests_per_second = ma.Float(load_default=None, allow_none=True, validate=validate.Range(min=0.1))
    burst = ma.Integer(strict=True, load_default=None, allow_none=True, validate=validate.Range(min=1))


class _Retry(_Table):
    max_age_hours = ma.Integer(strict=True, load_default=24, validate=validate.Range(min=1))


def _defaults(schema: type[Schema]) -> Any:
    return lambda: schema().load({})


class _SyncToml(_Table):
    counterparties = ma.Nested(_Counterparties, load_default=_defaults(_Counterparties))
    owners = ma.Nested(_OwnersTable, load_default=_defaults(_OwnersTable))
    leads = ma.Nested(_Leads, load_default=_defaults(_Leads))
    pipelines = ma.List(ma.Nested(_Pipeline), load_default=list)
    orders = ma.Nested(_Orders, load_default=_defaults(_Orders))
    invoices = ma.Nested(_Invoices, load_default=_defaults(_Invoices))
    reconcile = ma.Nested(_Reconcile, load_default=_defaults(_Reconcile))
    budget = ma.Nested(_Budget, load_default=_defaults(_Budget))
    retry = ma.Nested(_Retry, load_default=_defaults(_Retry))


def load_rules(path: Path) -> tuple[Rules | None, list[str]]:
    """The rules in `path`, and every fault of it. Rules are None where there are faults."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _rules(_SyncToml().load(table)), []
    except FileNotFoundError:
        return None, [f"{path}: not found; copy sync.example.toml to {path} and adapt it (or set SYNC_CONFIG)"]
    except OSError as error:
        return None, [f"{path}: cannot be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return None, [f"{path}: not readable as TOML: {error}"]
    except ValidationError as error:
        return None, [f"{path}: {where}: {text}" for where, text in _flat(error.messages)]


def _flat(messages: Any, prefix: str = "") -> list[tuple[str, str]]:
    """marshmallow's nested messages as (dotted key, text)."""
    if isinstance(messages, dict):
        inner = ((f"{prefix}.{key}" if prefix else str(key), value) for key, value in messages.items())
        return [pair for name, value in inner for pair in _flat(value, name)]
    return [(prefix, str(text)) for text in messages]


def _rules(table: Mapping[str, Any]) -> Rules:
    counterparties, budget, reconcile = table["counterparties"], table["budget"], table["reconcile"]
    categories = [pipeline["category"] for pipeline in table["pipelines"]]
    if repeated := sorted({category for category in categories if categories.count(category) > 1}):
        raise ValidationError({"pipelines": [f"category {category} stands there twice" for category in repeated]})
    return Rules(
        counterparties=CounterpartyRules(
            owners=table["owners"]["counterparty"],
            contacts=counterparties["contacts"],
            companies=counterparties["companies"] == "all",
            fill_blank=counterparties["fill_blank"],
            presets={Kind(name): preset for name, preset in counterparties["requisite_preset"].items()},
        ),
        qualified_lead_statuses=frozenset(table["leads"]["qualified"]),
        pipelines={pipeline["category"]: _pipeline(pipeline) for pipeline in table["pipelines"]},
        invoices=InvoiceRules(**table["invoices"]),
        budget=BudgetRules(
            live_share=budget["live_share"],
            operating_limit_seconds=budget["operating_limit"],
            requests_per_second=budget["requests_per_second"],
            burst=budget["burst"],
        ),
        reconcile=ReconcileRules(**reconcile),
        total_tolerance=table["orders"]["total_tolerance"],
        comment_on_create=table["orders"]["comment_on_create"],
        max_age_hours=table["retry"]["max_age_hours"],
    )


def _pipeline(table: Mapping[str, Any]) -> PipelineRules:
    category = table["category"]
    return PipelineRules(
        category=category,
        send_at=frozenset(stage_code(category, code) for code in table["send_at"]),
        stages={status: stage_code(category, code) for status, code in table["stages"].items()},
        ignore_statuses=frozenset(table["ignore_statuses"]),
        reopen_closed=table["reopen_closed"],
    )
