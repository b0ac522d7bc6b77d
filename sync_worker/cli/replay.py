"""`dead replay`: letters go round again, one or many, and how far that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from sync_worker.cli.built import console, print_json, the_office
from sync_worker.cli.letters_shown import moment
from sync_worker.cli.operator import operator
from sync_worker.cli.resolve import WAIT_SECONDS, ending_for_machines, tell_ending, tell_still
from sync_worker.cli.selections import filter_options, read_selection
from sync_worker.cli.waiting import await_fate, follow
from sync_worker.domain.letter import ReplayRun, Selection
from sync_worker.sync.office import DeadLetterOffice, NotPossible

NOBODY_LEFT = "no letters to replay"


@click.command()
@click.argument("letter_ids", nargs=-1, metavar="[ID]...")
@filter_options
@click.option("--all", "everything", is_flag=True, help="All letters that there are.")
@click.option("--runs", is_flag=True, help="List the replays of many letters, newest first.")
@click.option("--cancel", default=None, metavar="RUN", help="Stop a replay: what was not sent yet stays as it is.")
@click.option("--no-wait", is_flag=True, help="Leave it to the workers.")
@click.option("--reveal", is_flag=True, help="Show values that may be personal data.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def replay(
    *,
    letter_ids: tuple[str, ...],
    cause: str | None,
    entity: str | None,
    group: str | None,
    everything: bool,
    runs: bool,
    cancel: str | None,
    no_wait: bool,
    reveal: bool,
    as_json: bool,
) -> None:
    """Send letters round again. Each goes when its event has an outcome, and stays when it fails again.

    Many letters go at a bounded pace, behind live work. Ctrl-C stops the looking, not the replay.

    \b
    Examples:
      sync-worker dead replay ID
      sync-worker dead replay --cause no_counterparty
      sync-worker dead replay --group 3f2a91 --no-wait
      sync-worker dead replay --runs
      sync-worker dead replay --cancel 20261102-090000-1f3a
    """
    office = the_office()
    selection = read_selection(office, ids=letter_ids, cause=cause, entity=entity, group=group)
    if sum((bool(cancel), runs, everything, selection != Selection())) != 1:
        raise click.UsageError("name letters, or say which by --cause, --entity, --group or --all; or --runs, --cancel")
    if runs:
        return show_runs(office.replays.page(), as_json=as_json)
    if cancel:
        return tell_run(office.cancel(cancel, by=operator()), as_json=as_json)
    if len(selection.ids) == 1:
        return replay_one(office, selection.ids[0], no_wait=no_wait, reveal=reveal, as_json=as_json)
    return replay_many(office, selection, no_wait=no_wait, as_json=as_json)


def replay_one(office: DeadLetterOffice, letter_id: str, *, no_wait: bool, reveal: bool, as_json: bool) -> None:
    sent = office.replay_one(letter_id, by=operator())
    ending = None if no_wait else await_fate(office, sent, seconds=WAIT_SECONDS, on_still=tell_still)
    if as_json:
        print_json({"id": sent.id} | ending_for_machines(ending, reveal))
    elif ending is None:
        click.echo("sent round again")
    tell_ending(ending, reveal=reveal, is_quiet=as_json)


def replay_many(office: DeadLetterOffice, selection: Selection, *, no_wait: bool, as_json: bool) -> None:
    for letter_id in selection.ids:
        office.get(letter_id)  # a mistyped id is told before anything is sent
    if not selection.ids and not office.letters.count(selection):
        print_json({"run": None}) if as_json else click.echo(NOBODY_LEFT)
        return
    run = office.replay(selection, by=operator())
    if not no_wait:
        run = watched(office, run, is_quiet=as_json)
    tell_run(run, as_json=as_json)
    if run.is_over and run.failed:
        raise NotPossible(f"{run.failed} of {run.total} letters are back; `sync-worker dead list` says why")


def watched(office: DeadLetterOffice, run: ReplayRun, *, is_quiet: bool) -> ReplayRun:
    """The run when it is over. Errors: click.exceptions.Exit after Ctrl-C, with the replay going on."""
    try:
        if not is_quiet:
            click.echo(f"replay {run.id}: {run.total} letters")
        with progress_of(run, is_quiet=is_quiet) as show:
            return follow(office, run, on_step=show, on_still=tell_still)
    except KeyboardInterrupt:
        click.echo(f"\nthe replay goes on; `sync-worker dead replay --cancel {run.id}` stops it", err=True)
        raise click.exceptions.Exit(1) from None


@contextmanager
def progress_of(run: ReplayRun, *, is_quiet: bool) -> Iterator[Callable[[ReplayRun], None]]:
    """A bar at a terminal, on stderr; nothing elsewhere."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=is_quiet or not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=run.total)

        def show(run: ReplayRun) -> None:
            bar.update(task, completed=run.total - run.pending - run.under_way, description=counts_text(run))

        yield show


# --- runs ------------------------------------------------------------------------------------------------------------


def run_for_machines(run: ReplayRun) -> dict[str, Any]:
    return {
        **asdict(run),
        "at": run.at.isoformat(),
        "cancelled_at": run.cancelled_at.isoformat() if run.cancelled_at else None,
        "is_over": run.is_over,
    }


def tell_run(run: ReplayRun, *, as_json: bool) -> None:
    if as_json:
        print_json({"run": run_for_machines(run)})
    else:
        click.echo(f"replay {run.id}, {state_of(run)}: {counts_text(run)}")


def state_of(run: ReplayRun) -> str:
    if run.cancelled_at:
        return f"cancelled by {run.cancelled_by}"
    return "over" if run.is_over else "goes on"


def counts_text(run: ReplayRun) -> str:
    lost = 0 if run.cancelled_at else run.total - sum((run.pending, run.under_way, run.closed, run.failed, run.skipped))
    counts = {
        "settled": run.closed,
        "back": run.failed,
        "gone or sent by somebody else": run.skipped,
        "under way": run.under_way,
        "to be sent": run.pending,
        "heard of no more": lost,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count > 0) or "none"


def show_runs(runs: list[ReplayRun], *, as_json: bool) -> None:
    if as_json:
        print_json({"runs": list(map(run_for_machines, runs))})
        return
    if not runs:
        click.echo("no replays of many letters lately")
        return
    table = Table(Column("replay", no_wrap=True), "started", "by", "letters", "", "which", box=None)
    for run in runs:
        state = f"{state_of(run)}: {counts_text(run)}"
        cells = (run.id, moment(run.at), run.by, str(run.total), state, selection_text(run.selection))
        table.add_row(*map(escape, cells))
    console.print(table)


def selection_text(selection: Selection) -> str:
    filters = {"cause": selection.cause, "entity": selection.entity, "group": selection.group}
    named = " ".join(f"{name} {value}" for name, value in filters.items() if value)
    return named or (f"{len(selection.ids)} by id" if selection.ids else "all")
