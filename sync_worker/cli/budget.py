"""`budget`: what of Bitrix24's budget is used and left, what waits, and how long that will take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from sync_worker.bootstrap import build_budget
from sync_worker.cli.built import console, print_json
from sync_worker.cli.standing import Standing, quotient, take_stock
from sync_worker.contract import UPKEEP_QUEUE, EntityKind, Lane, queue_name
from sync_worker.domain.budget import BudgetReport, Circuit, LaneUse, MethodUse
from sync_worker.domain.estimate import ENOUGH_EVENTS, REQUESTS, Estimate, LaneEstimate, Range
from sync_worker.errors import StoreUnavailable
from sync_worker.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def budget(as_json: bool) -> None:
    """What of Bitrix24's budget is used and left, by lane and method, and how long the backlog will take."""
    settings = load_settings()
    try:
        standing = take_stock(build_budget(settings))
    except StoreUnavailable as error:
        advice = "start Redis or `sync-worker up`, or correct REDIS_URL or BROKER_URL"
        raise click.ClickException(f"{error}; {advice}") from error
    if as_json:
        print_json(for_machines(standing))
    else:
        show(standing)


# --- for machines ----------------------------------------------------------------------------------------------------


def for_machines(standing: Standing) -> dict[str, Any]:
    report = standing.report
    return {
        "requests": {
            "level": report.level,
            "burst": report.burst,
            "rate_per_second": report.rate_per_second,
            "plan_rate_per_second": report.plan_rate_per_second,
            "shut_seconds": report.shut_seconds,
        },
        "circuit": {**asdict(report.circuit), "since": moment(report.circuit).isoformat()} if report.circuit else None,
        "lanes": {lane.value: lane_figures(standing, lane) for lane in Lane},
        "methods": {method: asdict(use) for method, use in sorted(report.methods.items())},
        "backlog": {"queues": dict(standing.queues), "parked": standing.parked},
        "estimate": estimate_figures(standing.estimate) if standing.estimate.lanes else None,
    }


def lane_figures(standing: Standing, lane: Lane) -> dict[str, Any]:
    use, handled = standing.report.lanes.get(lane, LaneUse()), standing.handled[lane]
    return {
        **asdict(use),
        "batch_fill": quotient(use.commands, use.requests),
        "waited_seconds_per_command": quotient(use.waited_seconds, use.commands),
        "events": handled,
        "commands_per_event": quotient(use.commands, handled),
    }


def estimate_figures(found: Estimate) -> dict[str, Any]:
    return {
        "seconds": asdict(found.seconds),
        "knows_methods": found.knows_methods,
        "lanes": {lane.value: asdict(one) for lane, one in found.lanes.items()},
    }


# --- for people ------------------------------------------------------------------------------------------------------


def show(standing: Standing) -> None:
    for line in request_lines(standing.report):
        click.echo(line)
    click.echo()
    console.print(lane_table(standing))
    methods = {name: use for name, use in standing.report.methods.items() if use.used_seconds or use.blocked_seconds}
    if methods:
        click.echo()
        console.print(method_table(methods))
    click.echo()
    if standing.estimate.lanes or standing.queues.get(UPKEEP_QUEUE):
        console.print(backlog_table(standing))
    for line in estimate_lines(standing):
        click.echo(line)


def request_lines(report: BudgetReport) -> Iterator[str]:
    left = max(0.0, report.burst - report.level)
    yield f"requests  {report.level:.0f} of {report.burst:g} at once are used, {left:.0f} are left"
    rate = f"rate      {number(report.rate_per_second)} a second"
    if report.rate_per_second < report.plan_rate_per_second:
        rate += f", learned: the portal refused the plan's {report.plan_rate_per_second:g}; it comes back by itself"
    yield rate
    if report.shut_seconds > 0:
        yield f"shut      nobody sends for {report.shut_seconds:.0f} s, after a refusal"
    yield f"circuit   {circuit_text(report.circuit)}"


def circuit_text(circuit: Circuit | None) -> str:
    if circuit is None:
        return "closed: the portal takes our calls"
    probe = f"next probe in {circuit.probe_in_seconds:.0f} s"
    return f"OPEN since {moment(circuit):%Y-%m-%d %H:%M:%S} UTC ({circuit.cause}): {circuit.message}; {probe}"


def lane_table(standing: Standing) -> Table:
    table = Table("lane", *HEADINGS.values(), box=None)
    for lane in Lane:
        figures = lane_figures(standing, lane)
        table.add_row(lane.value, *(number(figures[name]) for name in HEADINGS))
    return table


HEADINGS = {
    "requests": "requests",
    "commands": "commands",
    "batch_fill": "a request",
    "events": "events",
    "commands_per_event": "commands an event",
    "refused_requests": "refused (503)",
    "refused_commands": "refused (429)",
    "lost_answers": "lost",
    "waited_seconds_per_command": "wait, s",
}


def method_table(methods: Mapping[str, MethodUse]) -> Table:
    """The fullest first."""
    table = Table("running time in 10 min", "used, s", "limit, s", "used", "a command, s", "", box=None)
    for method, use in sorted(methods.items(), key=lambda item: -item[1].used_seconds / item[1].limit_seconds):
        blocked = f"[red]blocked for {use.blocked_seconds:.0f} s[/]" if use.blocked_seconds > 0 else ""
        share = f"{use.used_seconds / use.limit_seconds:.0%}"
        used, limit, cost = map(number, (use.used_seconds, use.limit_seconds, use.cost_seconds))
        table.add_row(escape(method), used, limit, share, cost, blocked)
    return table


def backlog_table(standing: Standing) -> Table:
    table = Table("waiting", *(lane.value for lane in Lane), box=None)
    for kind in EntityKind:
        table.add_row(kind.value, *(str(standing.queues.get(queue_name(kind, lane), 0)) for lane in Lane))
    table.add_row(UPKEEP_QUEUE, str(standing.queues.get(UPKEEP_QUEUE, 0)))
    table.add_row("parked", str(standing.parked))
    return table


def estimate_lines(standing: Standing) -> Iterator[str]:
    found = standing.estimate
    if not found.lanes:
        yield "no backlog"
        return
    since = ", once the portal is open again" if standing.report.circuit else ""
    yield f"through in {span(found.seconds)}{since}, by Bitrix24's budget; a slow 1C makes it longer"
    for lane, one in found.lanes.items():
        yield f"  {lane}: {lane_text(one)}"
    if not found.knows_methods:
        yield "  Running time is not in it: too few calls in the last ten minutes to tell what it will need."


def lane_text(one: LaneEstimate) -> str:
    events = one.commands_per_event
    limit = "the request rate" if one.limited_by == REQUESTS else f"the running time of {one.limited_by}"
    basis = "as measured" if one.is_measured else f"a guess: fewer than {ENOUGH_EVENTS} events were handled yet"
    return (
        f"{one.events} events, {span(one.seconds)}; limited by {limit}; {figures(events)} commands an event ({basis}),"
        f" {figures(one.batch_fill)} commands a request, so {figures(one.requests)} requests"
    )


def span(seconds: Range) -> str:
    """A range of time as a person says it."""
    low, high = spoken(seconds.low), spoken(seconds.high)
    return high if low == high else f"{low} to {high}"


def spoken(seconds: float) -> str:
    if seconds < 60:
        return "under a minute"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def figures(of: Range) -> str:
    low, high = number(of.low), number(of.high)
    return high if low == high else f"{low} to {high}"


def number(value: float | None) -> str:
    """Whole ones whole, small ones with two digits that count, and `-` for none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def moment(circuit: Circuit) -> datetime:
    return datetime.fromtimestamp(circuit.since, UTC)
