"""`rebuild`: links from what is written in both systems, after our own state was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from sync_worker.bootstrap import build_rebuild
from sync_worker.cli.built import console, print_json
from sync_worker.settings import load_settings
from sync_worker.sync.rebuild import Contradiction, RebuildReport, RebuildStep, Verdict

MOST_SHOWN = 50  # rows of the table; --json has more
SAID = {
    Verdict.MISSING: "is not there",
    Verdict.MARKED: "is marked for deletion in 1C",
    Verdict.NAMES_ANOTHER: "names another",
    Verdict.SEVERAL: "more than one name it, or each other",
    Verdict.LINKED_ELSEWHERE: "one of the two is linked elsewhere already",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def rebuild(as_json: bool) -> None:
    """Make links from the ids that are written in both systems, after Redis was lost.

    Writes links only, and only where both sides say the same, or one does and nothing speaks against it. A link that
    is there stays as it is. May be run while `up` runs, and again: after a stop it goes on where it was.
    """
    job = build_rebuild(load_settings())
    try:
        with shown(is_quiet=as_json) as show:
            report = job.run(show)
    except KeyboardInterrupt:
        click.echo("\nstopped; `sync-worker rebuild` goes on where this was", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        print_json(for_machines(report))
    else:
        show_report(report)


@contextmanager
def shown(*, is_quiet: bool) -> Iterator[Callable[[RebuildStep], None]]:
    """How far it is, at a terminal, on stderr. There is no end to be told: neither side says how many it has."""
    screen = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=screen, disable=is_quiet or not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: RebuildStep) -> None:
            bar.update(task, description=f"{step.kind}: {step.doing}, {step.records} records")

        yield show


def for_machines(report: RebuildReport) -> dict[str, Any]:
    return {
        "kinds": {
            kind.value: {
                "saved": found.saved,
                "known": found.known,
                "contradictions": {verdict.value: count for verdict, count in found.refused.items()},
                "seen": {system.value: count for system, count in found.seen.items()},
                **({"off": found.off} if found.off else {}),
            }
            for kind, found in report.kinds.items()
        },
        "contradictions": list(map(contradiction_for_machines, report.contradictions)),
        "unlisted": report.refused - len(report.contradictions),
    }


def contradiction_for_machines(one: Contradiction) -> dict[str, Any]:
    other = {"other": str(one.other)} if one.other else {}
    return {"record": str(one.record), "names": str(one.names), "why": one.verdict.value, **other}


def show_report(report: RebuildReport) -> None:
    table = Table("", Column("links made", justify="right"), Column("there before", justify="right"),
                  Column("contradictions", justify="right"), "", box=None)  # fmt: skip
    for kind, found in report.kinds.items():
        figures = (found.saved, found.known, found.refused.total())
        table.add_row(kind.value, *map(str, figures), escape(found.off))
    console.print(table)
    if report.contradictions:
        click.echo()
        console.print(contradictions_table(report))
        click.echo("\nNothing was written for these: the next event of each record is looked at by the usual rules.")


def contradictions_table(report: RebuildReport) -> Table:
    table = Table("record", "names", "but that", "", box=None)
    for one in report.contradictions[:MOST_SHOWN]:
        table.add_row(str(one.record), str(one.names), SAID[one.verdict], str(one.other or ""))
    if report.refused > MOST_SHOWN:
        table.add_row(f"and {report.refused - MOST_SHOWN} more", "", "", "")
    return table
