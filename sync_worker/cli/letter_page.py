"""One letter as a person needs it: what happened, both sides beside each other, and what to type next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Column, Table

from sync_worker.cli.built import console
from sync_worker.cli.letters_shown import advice_for, is_under_way, message_of, moment, whole
from sync_worker.cli.masking import hide, hide_values, known_values, printable
from sync_worker.domain.identity import System
from sync_worker.domain.letter import DeadLetter
from sync_worker.entities.contact import address_line
from sync_worker.sync.office import Options, options, told
from sync_worker.telemetry import MASK

SIDES = ("baseline", "bitrix24", "onec")
OWN_PLACE = ("fields", "candidates")  # details that the page shows in places of their own
MASKED_NOTE = "Values that may be personal data are masked; --reveal shows them."


def show_letter(letter: DeadLetter, *, reveal: bool, now: datetime) -> None:
    """Print the whole page."""
    for line in head_lines(letter, reveal=reveal, now=now):
        click.echo(line)
    offered = options(letter)
    if offered.fields:
        click.echo()
        console.print(conflict_table(offered.fields, reveal=reveal))
    if offered.candidates:
        click.echo("\ncandidates")
        for candidate in offered.candidates:
            click.echo(f"  {candidate}")
    click.echo("\nwhat can be done")
    for command, meaning in commands_for(letter):
        click.echo(f"  {command}\n      {meaning}")
    if letter.deeds:
        click.echo("\nwho did what")
    for deed in letter.deeds:
        click.echo(f"  {printable(f'{moment(deed.at)}  {deed.by}  {deed.act}  {deed.note}')}")
    if not reveal and whole(letter, reveal=False, now=now) != whole(letter, reveal=True, now=now):
        click.echo(f"\n{MASKED_NOTE}")


def head_lines(letter: DeadLetter, *, reveal: bool, now: datetime) -> Iterator[str]:
    yield _line("letter", f"{letter.id}, {letter.entity}")
    yield _line("happened", printable(message_of(letter, reveal=reveal)))
    yield _line("cause", letter.cause)
    yield _line("next step", advice_for(letter.cause))
    yield _line("record", str(letter.record or "none could be read"))
    if letter.partner:
        yield _line("partner", str(letter.partner))
    yield _line("tries", f"{letter.attempts}, from {moment(letter.first_at)} to {moment(letter.last_at)}")
    yield _line("waiting", waiting_text(letter))
    if letter.decision:
        yield _line("decided", f"{told(letter.decision)} (not carried out yet)")
    if is_under_way(letter, now) and letter.sent_at:
        yield _line("replay", f"under way since {moment(letter.sent_at)}" + (f", run {letter.run}" * bool(letter.run)))
    yield _line("trace", f"{letter.trace or '-'}, version {letter.code_version or '-'}")
    details = letter.details if reveal else hide_values(letter.details, known_values(letter))
    for name, value in details.items():
        if name not in OWN_PLACE:
            yield _line(name, plain(value))


def waiting_text(letter: DeadLetter) -> str:
    if not letter.holds_back:
        return "nothing: it is a notice, and the record's later events go on"
    return f"{letter.waiting or 'no'} later events of this record, parked behind it"


def conflict_table(fields: Mapping[str, Mapping[str, Any]], *, reveal: bool) -> Table:
    table = Table(
        Column("field", no_wrap=True), "last agreed", "Bitrix24", "1C", box=None, padding=(0, 2, 0, 0), expand=False
    )
    for name, values in sorted(fields.items()):
        cells = (values.get(side) for side in SIDES)
        table.add_row(name, *(escape(value_text(cell if reveal else hide(cell))) for cell in cells))
    return table


def value_text(value: Any) -> str:
    """A field's value, one item a line; `(blank)` for none."""
    if isinstance(value, (list, tuple)):
        return "\n".join(value_text(item) for item in value) or "(blank)"
    if isinstance(value, Mapping):  # an address
        if value.get("kind") == MASK:
            return MASK
        return printable(f"{value.get('kind', '')}: {address_line(value)}")
    return printable(str(value)) if value not in (None, "") else "(blank)"


def commands_for(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    """(what to type, what it does), as the letter offers it."""
    offered, resolve = options(letter), f"sync-worker dead resolve {letter.id}"
    yield from field_commands(offered, resolve)
    for candidate in offered.candidates:
        yield f"{resolve} --pick {candidate}", "this candidate is the partner"
    if offered.names_in is not None:
        form = "UUID" if offered.names_in is System.ONEC else "company:ID"
        yield f"{resolve} --pick {form}", "this record takes the place of the one that is gone"
    if offered.can_create:
        yield (
            f"{resolve} --create",
            "none of the candidates is: make a new record" if offered.candidates else ("begin anew with a new record"),
        )
    if offered.can_reopen:
        yield f"{resolve} --reopen", "the closed deal may be moved"
    if offered.can_replay:
        yield f"sync-worker dead replay {letter.id}", "after the cause was mended: try again"
    reason = shlex.quote("why it is given up")
    yield f"sync-worker dead discard {letter.id} --reason {reason}", "give this event up, for good"


def field_commands(offered: Options, resolve: str) -> Iterator[tuple[str, str]]:
    names = sorted(offered.fields)
    if not names:
        return
    first = names[0]
    yield resolve, "asks field by field"
    yield f"{resolve} --take bitrix24", "Bitrix24's value for every field; or onec"
    if len(names) > 1:
        mixed = " ".join(f"--take {name}=bitrix24" for name in names)
        yield f"{resolve} {mixed}", "a side for each field: bitrix24 or onec"
    others = "".join(f" --take {name}=bitrix24" for name in names[1:])
    yield f"{resolve} --set {first}=VALUE{others}", f"another value of {first} for both sides"
    yield f"{resolve} --take onec --always", "and never ask again: writes the owner into sync.toml"


def plain(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _line(name: str, text: str) -> str:
    return f"{name:10} {text}"
