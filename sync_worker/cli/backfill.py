"""`backfill`: the first load, at the workers' pace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from sync_worker.app import app
from sync_worker.bootstrap import BudgetSources, build_backfill, build_budget
from sync_worker.cli.budget import span
from sync_worker.cli.built import console, print_json
from sync_worker.cli.standing import ask_rabbitmq, waiting_by_lane
from sync_worker.cli.waiting import STILL_NOTE
from sync_worker.contract import Lane
from sync_worker.domain.estimate import Backlog, Estimate, estimate, handled_by_lane
from sync_worker.settings import load_settings
from sync_worker.sync.backfill import Backfill, BackfillReport

ESTIMATE_EVERY = 20  # steps: it asks Redis for all figures
STILL_STEPS = 60  # looks at the queues of half a second each, in which nothing moved


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=None, help="At most so many records in this run.")
@click.option("--no-wait", is_flag=True, help="Return when all is in the queues; the workers do the rest.")
@click.option("--restart", is_flag=True, help="Forget how far an earlier run was, and begin at the beginning.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def backfill(*, limit: int | None, no_wait: bool, restart: bool, as_json: bool) -> None:
    """Send every record that the rules let travel and that has no partner yet: the first load.

    Companies, contacts and 1C's counterparties, qualified leads, deals at a stage that sends them, 1C's open invoices.
    The workers do it, behind live work and no faster than they can. May be stopped at any moment, Ctrl-C too: the
    next run goes on where this was.
    """
    sources = build_budget(load_settings())
    job = build_backfill(load_settings(), send_task=app.send_task, waiting=lambda: bulk_waiting(sources))
    if restart:
        job.forget()
    try:
        with shown(sources, is_quiet=as_json) as show:
            report = run(job, limit=limit, no_wait=no_wait, show=show)
    except KeyboardInterrupt:
        click.echo("\nstopped; `sync-worker backfill` goes on where this was", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json:
        print_json(for_machines(report))
    else:
        show_report(report)


def run(job: Backfill, *, limit: int | None, no_wait: bool, show: Callable[[BackfillReport], None]) -> BackfillReport:
    report = job.run(limit=limit, on_step=show)
    if not no_wait:
        job.await_quiet(report, on_step=show)
    return report


def bulk_waiting(sources: BudgetSources) -> int:
    """Events of the bulk lane, and parked ones: while a system is away they wait there, and more must not follow."""
    queues = sources.queues.waiting() if sources.queues else ask_rabbitmq()
    return waiting_by_lane(queues)[Lane.BULK] + sources.parked.count()


@contextmanager
def shown(sources: BudgetSources, *, is_quiet: bool) -> Iterator[Callable[[BackfillReport], None]]:
    """A bar at a terminal, on stderr, and the estimate beside it; a word where nothing moves."""
    screen = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    steps, still, last = 0, 0, (0, 0, 0)
    with Progress(*columns, console=screen, disable=is_quiet or not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        found = Estimate()

        def show(report: BackfillReport) -> None:
            nonlocal steps, still, last, found
            now = (report.total, report.waiting, sum(report.seen.values()))
            still = still + 1 if now == last and report.waiting else 0
            last = now
            if still and still % STILL_STEPS == 0:
                click.echo(STILL_NOTE, err=True)
            if not bar.disable and steps % ESTIMATE_EVERY == 0:
                found = time_left(sources, report)
            steps += 1
            whole = report.total + report.left
            bar.update(task, total=whole or None, completed=report.total - report.waiting)
            bar.update(task, description=progress_text(report, found))

        yield show


def time_left(sources: BudgetSources, report: BackfillReport) -> Estimate:
    """Until what waits, and what is still to be sent out of Bitrix24, is through."""
    waiting = {Lane.BULK: report.waiting + report.left}
    handled = handled_by_lane(sources.tally.events())
    backlog = Backlog(waiting=waiting, handled=handled, live_share=sources.live_share)
    return estimate(backlog, sources.governor.report())


def progress_text(report: BackfillReport, found: Estimate) -> str:
    text = f"{report.source or 'all'}: {report.total} sent, {report.waiting} wait, about {report.left} to come"
    return f"{text}, {span(found.seconds)}" if found.lanes else text


def for_machines(report: BackfillReport) -> dict[str, Any]:
    return {**asdict(report), "total": report.total}


def show_report(report: BackfillReport) -> None:
    table = Table("", Column("records seen", justify="right"), Column("sent", justify="right"), "", box=None)
    for name in {**report.seen, **report.off}:
        table.add_row(name, str(report.seen.get(name, 0)), str(report.published.get(name, 0)), report.off.get(name, ""))
    console.print(table)
    if not report.is_over:
        click.echo("\nAs many as were asked for; `sync-worker backfill` goes on with the rest.")
    if report.waiting:
        click.echo(f"\n{report.waiting} wait in the queues; `sync-worker budget` says how long they will.")
    elif report.total:
        click.echo("\nWhat could not be sent is in `sync-worker dead list`.")
