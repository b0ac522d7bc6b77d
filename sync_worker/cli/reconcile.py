"""`reconcile`: one sweep now, what it found, and what became of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click
from rich.markup import escape
from rich.table import Column, Table

from sync_worker.app import app
from sync_worker.bootstrap import build_reconciler
from sync_worker.cli.built import console, print_json
from sync_worker.cli.operator import operator
from sync_worker.cli.waiting import POLL_SECONDS, STILL_NOTE, STILL_SECONDS
from sync_worker.contract import ChangeEvent, EntityKind
from sync_worker.domain.drift import SweepState, Swept
from sync_worker.errors import RecordBusy
from sync_worker.settings import load_settings
from sync_worker.sync.reconcile import Reconciler, Report

GIVE_UP_SECONDS = 60  # so long nothing moved: what is left is parked for longer, or no worker runs
BUSY_SECONDS = 600  # so long another sweep is waited for


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A sweep, and which of its events had come to nothing when the waiting ended."""

    report: Report
    unanswered: tuple[ChangeEvent, ...] | None  # None: nobody waited

    @property
    def is_well(self) -> bool:
        states = {part.state for part in self.report.parts}
        return not (states & {SweepState.HELD, SweepState.FAILED} or self.unanswered)


@click.command()
@click.option("--release", is_flag=True, help="Hand over what is held: you have looked, and it is right.")
@click.option("--no-wait", is_flag=True, help="Leave what was found to the workers.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def reconcile(*, release: bool, no_wait: bool, as_json: bool) -> None:
    """Look on both sides for what no event has announced, and have it synced. Prints the drift.

    A sweep that finds more than reconcile.max_changes, or a portal that looks empty, stops and asks: look, then
    --release. Ctrl-C stops the looking, not the work.

    \b
    Examples:
      sync-worker reconcile
      sync-worker reconcile --json --no-wait
      sync-worker reconcile --release
    """
    reconciler = build_reconciler(load_settings(), send_task=app.send_task)
    if release and not reconciler.release(by=operator()):
        tell("nothing is held")
    report = sweep_in_turn(reconciler)
    unanswered = None if no_wait else tuple(await_answers(reconciler, report.events))
    ended = Ended(report=report, unanswered=unanswered)
    if as_json:
        print_json(for_machines(ended))
    else:
        show(ended)
    if not ended.is_well:
        raise click.exceptions.Exit(1)


def sweep_in_turn(reconciler: Reconciler) -> Report:
    """One sweep, after the one that runs already. Errors: RecordBusy where that takes too long."""
    give_up_at = reconciler.clock.now().timestamp() + BUSY_SECONDS
    has_told = False
    while True:
        try:
            return reconciler.sweep()
        except RecordBusy:
            if reconciler.clock.now().timestamp() > give_up_at:
                raise
        if not has_told:
            tell("another sweep runs; this one begins when it ends")
            has_told = True
        reconciler.clock.sleep(POLL_SECONDS)


def await_answers(
    reconciler: Reconciler, events: Iterable[ChangeEvent], *, give_up_seconds: float = GIVE_UP_SECONDS
) -> list[ChangeEvent]:
    """Look until each has come to something, or nothing moves for long. Returns those that have not."""
    left, moved_at, has_told = list(events), reconciler.clock.now(), False
    while left:
        before, left = left, reconciler.unanswered(left)
        now = reconciler.clock.now()
        if len(left) < len(before):
            moved_at, has_told = now, False
        still_seconds = (now - moved_at).total_seconds()
        if not left or still_seconds >= give_up_seconds:
            break
        if still_seconds >= STILL_SECONDS and not has_told:
            tell(STILL_NOTE)
            has_told = True
        reconciler.clock.sleep(POLL_SECONDS)
    return left


def tell(text: str) -> None:
    click.echo(text, err=True)


# --- for machines ----------------------------------------------------------------------------------------------------


def for_machines(ended: Ended) -> dict[str, Any]:
    report = ended.report
    return {
        "at": report.at.isoformat(),
        "swept": [part_for_machines(part) for part in report.parts],
        "drift": {entity.value: report.drift.get(entity, 0) for entity in EntityKind},
        "held": {
            source: {"reason": one.reason, "found": one.found, "at": one.at.isoformat()}
            for source, one in report.held.items()
        }
        or None,
        "handed_over": len(report.events),
        "under_way": None if ended.unanswered is None else [str(event.record) for event in ended.unanswered],
    }


def part_for_machines(part: Swept) -> dict[str, Any]:
    return {
        "source": part.source,
        "state": part.state.value,
        "seen": part.seen,
        "rung": part.rung,
        "drift": {entity.value: count for entity, count in part.drift.items()},
        "message": part.message,
    }


# --- for people ------------------------------------------------------------------------------------------------------

SHOWN = {
    "contact": "Bitrix24 contacts",
    "company": "Bitrix24 companies",
    "requisite": "Bitrix24 requisites",
    "lead": "Bitrix24 leads",
    "deal": "Bitrix24 deals",
    "invoice": "Bitrix24 invoices",
    "onec": "1C's registered changes",
    "gone": "linked, not listed any more",
    "orphans": "marked with a 1C ref, not linked",
    "intents": "about to be made, not linked",
}


def show(ended: Ended) -> None:
    """The sources, the drift, and what a person has to do."""
    report = ended.report
    table = Table("swept", Column("seen", justify="right"), Column("handed over", justify="right"), "", box=None)
    for part in report.parts:
        state = "" if part.state is SweepState.DONE else f"{part.state}: {part.message}"
        table.add_row(*map(escape, (SHOWN.get(part.source, part.source), str(part.seen), str(part.rung), state)))
    console.print(table)
    drift = ", ".join(f"{entity} {report.drift.get(entity, 0)}" for entity in EntityKind)
    click.echo(f"drift: {drift}")
    _show_unanswered(ended.unanswered, click.echo)
    if report.held:
        click.echo("look at what is held; where it is right: `sync-worker reconcile --release`")


def _show_unanswered(unanswered: tuple[ChangeEvent, ...] | None, say: Callable[[str], None]) -> None:
    if unanswered:
        shown = ", ".join(str(event.record) for event in unanswered[:5])
        say(f"{len(unanswered)} are still under way, such as {shown}; `sync-worker story` tells why")
