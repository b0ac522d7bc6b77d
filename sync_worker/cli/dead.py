"""`dead`: the dead letters, listed, shown and replayed."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from sync_worker.cli.built import console, print_json, the_worker
from sync_worker.domain.letter import DeadLetter
from sync_worker.telemetry import MASK

json_option = click.option("--json", "as_json", is_flag=True, help="For a machine.")
PERSONAL = ("fields", "raw")  # details that may hold names, phones or addresses


@click.group()
def dead() -> None:
    """Events that wait for a person."""


@dead.command("list")
@click.option("--cause", default=None, help="Only letters of this cause, such as field_conflict.")
@click.option("--after", default=None, help="The `next` of the page before.")
@click.option("--limit", default=100, show_default=True)
@json_option
def list_letters(cause: str | None, after: str | None, limit: int, as_json: bool) -> None:
    """List the dead letters, oldest first."""
    letters, following = the_worker().letters.page(cause=cause, after=after, limit=limit)
    if as_json:
        print_json({"letters": [summary(letter) for letter in letters], "next": following})
        return
    if not letters:
        click.echo("no dead letters")
        return
    table = Table("id", "entity", "record", "cause", "message", "tries", "waiting", "last", box=None)
    for letter in letters:
        table.add_row(
            letter.id,
            letter.entity,
            str(letter.record or "-"),
            letter.cause,
            escape(letter.message),
            str(letter.attempts),
            str(letter.waiting),
            f"{letter.last_at:%Y-%m-%d %H:%M}",
        )
    console.print(table)
    if following:
        click.echo(f"more: --after {following}")


@dead.command()
@click.argument("letter_id")
@click.option("--reveal", is_flag=True, help="Show values that may be personal data.")
@json_option
def show(letter_id: str, reveal: bool, as_json: bool) -> None:
    """Show one letter with everything that is known of it."""
    letter = _get(letter_id)
    details = dict(letter.details) if reveal else masked(letter.details)
    whole = {**summary(letter), "trace": letter.trace, "code_version": letter.code_version, "details": details}
    if as_json:
        print_json(whole)
        return
    for name, value in whole.items():
        click.echo(f"{name:14} {value}")


@dead.command()
@click.argument("letter_ids", nargs=-1)
@click.option("--cause", default=None, help="All letters of this cause.")
@json_option
def replay(letter_ids: tuple[str, ...], cause: str | None, as_json: bool) -> None:
    """Send letters round again. Each goes when its event has an outcome, and stays when it fails again."""
    if not letter_ids and not cause:
        raise click.UsageError("name letters, or a --cause")
    worker = the_worker()
    wanted = [_get(letter_id) for letter_id in letter_ids]
    after: str | None = None
    while cause:
        page, after = worker.letters.page(cause=cause, after=after)
        wanted += page
        if after is None:
            break
    refused = []
    for letter in wanted:
        try:
            worker.replay(letter)
        except ValueError as error:
            refused.append(str(error))
    if as_json:
        print_json({"replayed": len(wanted) - len(refused), "refused": refused})
    else:
        click.echo(f"{len(wanted) - len(refused)} sent round again")
    if refused:
        raise click.ClickException("\n".join(refused))


def summary(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    return {
        "id": letter.id,
        "entity": letter.entity,
        "record": {"system": record.system.value, "type": record.type.value, "id": record.id} if record else None,
        "ref": str(letter.partner) if letter.partner else None,
        "cause": letter.cause,
        "message": letter.message,
        "candidates": letter.details.get("candidates", []),
        "attempts": letter.attempts,
        "waiting": letter.waiting,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
    }


def masked(details: Any) -> dict[str, Any]:
    """The names of the fields stay; their values need --reveal."""
    return {name: _blank(value) if name in PERSONAL else value for name, value in details.items()}


def _blank(value: Any) -> Any:
    return {name: _blank(inner) for name, inner in value.items()} if isinstance(value, dict) else MASK


def _get(letter_id: str) -> DeadLetter:
    letter = the_worker().letters.get(letter_id)
    if letter is None:
        raise click.ClickException(f"there is no letter {letter_id}")
    return letter
