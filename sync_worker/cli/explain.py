"""`explain`: a dry run for one record: what would be written where, and which rule says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.markup import escape
from rich.table import Column, Table

from sync_worker.bootstrap import build_explainer
from sync_worker.cli.built import console, print_json
from sync_worker.cli.letter_page import MASKED_NOTE, conflict_table, value_text
from sync_worker.cli.letters_shown import advice_for
from sync_worker.cli.masking import encodable, hide, hide_in_text, printable
from sync_worker.cli.records import record_meant
from sync_worker.cli.story import TITLES
from sync_worker.domain.identity import RecordRef
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.link import Link
from sync_worker.domain.merge import Verdict
from sync_worker.errors import SyncError
from sync_worker.settings import load_settings
from sync_worker.sync.dry_run import NEW, Action
from sync_worker.sync.explain import Explanation
from sync_worker.sync.for_machines import record_for_machines

NOT_PERSONAL = frozenset(
    {"UF_CRM_1C_ID", "external_id", "xml_id", "stage", "kind", "currency", "not_duplicate_of"}
    | {"deal_id", "company_id", "contact_id", "counterparty_ref", "contact_ref"}
)
"""Fields that hold an id or a code: shown without --reveal."""


@click.command()
@click.argument("entity", metavar="ENTITY")
@click.argument("id_", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show values that may be personal data.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def explain(entity: str, id_: str, reveal: bool, as_json: bool) -> None:
    """Tell what would be written where if a record were looked at now, and which rule says so. Nothing is written.

    ENTITY is contact, company, counterparty, lead, deal, order or invoice. A number is an id in Bitrix24, a UUID one
    in 1C.

    \b
    Examples:
      sync-worker explain contact 42
      sync-worker explain order 6f9619ff-8b86-d011-b42d-00c04fc964ff
      sync-worker explain deal 7 --json
    """
    ref = record_meant(entity, id_)
    found = build_explainer(load_settings()).explain(ref)
    if as_json:
        print_json(encodable(for_machines(found, reveal=reveal)))
    else:
        show(found, reveal=reveal)


# --- for machines ----------------------------------------------------------------------------------------------------


def for_machines(found: Explanation, *, reveal: bool) -> dict[str, Any]:
    """The keys of design, part 5, and some more."""
    return {
        "record": record_for_machines(found.record),
        "link": link_for_machines(found.link),
        "state": found.state.value,
        "actions": [action_for_machines(action, reveal=reveal) for action in found.actions],
        "reasons": [reason_text(reason, found, reveal=reveal) for reason in found.reasons],
        "letters": [letter_in_short(letter) for letter in found.letters],
        "failures": [failure_for_machines(error, found, reveal=reveal) for error in found.failures],
        "conflicts": found.conflicts if reveal else hide(found.conflicts),
        "candidates": list(found.candidates),
        "merge": [verdict_for_machines(verdict) for verdict in found.verdicts],
    }


def link_for_machines(link: Link | None) -> dict[str, Any] | None:
    if link is None:
        return None
    return {
        "bitrix24": record_for_machines(link.bitrix24),
        "onec": record_for_machines(link.onec),
        "deleted_in": link.deleted_in.value if link.deleted_in else None,
    }


def action_for_machines(action: Action, *, reveal: bool) -> dict[str, Any]:
    changes = action.fields.items()
    return {
        "system": action.record.system.value,
        "operation": action.operation.value,
        "record": record_for_machines(action.record),
        "fields": {name: change_for_machines(name, change, reveal=reveal) for name, change in changes},
    }


def change_for_machines(name: str, change: tuple[Any, Any], *, reveal: bool) -> dict[str, Any]:
    before, after = change if is_shown(name, reveal=reveal) else hide(change)
    return {"from": before, "to": after}


def is_shown(name: str, *, reveal: bool) -> bool:
    return reveal or name in NOT_PERSONAL


def letter_in_short(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "entity": letter.entity,
        "cause": letter.cause,
        "advice": advice_for(letter.cause),
        "holds_back": letter.holds_back,
        "waiting": letter.waiting,
    }


def failure_for_machines(error: SyncError, found: Explanation, *, reveal: bool) -> dict[str, Any]:
    message = reason_text(str(error), found, reveal=reveal)
    return {"cause": error.cause, "message": message, "advice": error.advice}


def verdict_for_machines(verdict: Verdict) -> dict[str, Any]:
    lost = verdict.lost.value if verdict.lost else None
    return {"field": verdict.field, "owner": verdict.owner.value, "why": verdict.why.name.lower(), "lost": lost}


def reason_text(text: str, found: Explanation, *, reveal: bool) -> str:
    return text if reveal else hide_in_text(text, found.words)


# --- for people ------------------------------------------------------------------------------------------------------


def show(found: Explanation, *, reveal: bool) -> None:
    for line in head_lines(found):
        click.echo(line)
    click.echo("\nwould be written" if found.actions else "\nwould be written: nothing")
    if found.actions:
        console.print(action_table(found, reveal=reveal))
    if found.conflicts:
        click.echo("\nin conflict")
        console.print(conflict_table(found.conflicts, reveal=reveal))
    if found.candidates:
        click.echo("\ncandidates")
        for candidate in found.candidates:
            click.echo(f"  {candidate}")
    click.echo("\nwhy")
    for reason in found.reasons:
        click.echo(f"  - {printable(reason_text(reason, found, reveal=reveal))}")
    if not reveal:
        click.echo(f"\n{MASKED_NOTE}")


def head_lines(found: Explanation) -> Iterator[str]:
    yield f"{'record':10} {found.record}"
    yield f"{'partner':10} {partner_text(found.link, found.record)}"
    yield f"{'state':10} {found.state}"


def partner_text(link: Link | None, ref: RecordRef) -> str:
    if link is None:
        return "none is known"
    tombstone = f" (deleted in {TITLES[link.deleted_in.value]})" if link.deleted_in else ""
    return f"{link.other(ref)}{tombstone}"


def action_table(found: Explanation, *, reveal: bool) -> Table:
    """A line for each field; what is written is named on the first of its lines."""
    table = Table(Column("where", no_wrap=True), "does", Column("field", no_wrap=True), "from", "to", box=None)
    for action in found.actions:
        heads = [(f"{TITLES[action.record.system.value]} {record_text(action.record)}", action.operation.value)]
        for name, change in action.fields.items() or {"(all again)": (None, None)}.items():
            where, does = heads.pop() if heads else ("", "")
            cells = [value_text(value if is_shown(name, reveal=reveal) else hide(value)) for value in change]
            table.add_row(where, does, escape(name), *map(escape, cells))
    return table


def record_text(ref: RecordRef) -> str:
    return f"new {ref.type}" if ref.id.startswith(NEW) else ref.key
