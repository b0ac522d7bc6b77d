"""`doctor`: is everything as it has to be, and what to do about what is not."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
import redis
from rich.markup import escape
from rich.table import Table

from sync_worker.cli.built import console, print_json, the_gateways
from sync_worker.entities.results import Finding
from sync_worker.errors import StoreUnavailable
from sync_worker.settings import Settings, load_settings
from sync_worker.store.client import connect, reason_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def doctor(as_json: bool) -> None:
    """Check settings, Redis, the portal and the base. Exits 1 if anything needs mending."""
    settings = load_settings()
    findings = examine(settings)
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "findings": [asdict(one) for one in findings]})
    else:
        show(findings)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def examine(settings: Settings) -> list[Finding]:
    """Redis first: the calls to both systems wait for their turn in it."""
    findings = [Finding(check="Settings", ok=True, found=f"read, with the rules of {settings.sync_config}")]
    findings += examine_redis(settings)
    if not all(finding.ok for finding in findings if finding.check == "Redis"):
        return findings
    gateways = the_gateways(settings)
    for examiner in gateways.examiners:
        try:
            gateways.governor.probe_now()  # somebody may have mended just now what had shut us out
            findings += examiner.examine()
        except StoreUnavailable as error:
            findings.append(Finding(check="Redis", ok=False, found=str(error)))
    return findings


def examine_redis(settings: Settings) -> list[Finding]:
    """State needs a Redis that neither forgets nor evicts."""
    try:
        client = connect(settings.redis_url)
        client.ping()  # refused where it can keep nothing, and the rest is answered all the same
        kept = client.config_get("append*"), client.config_get("maxmemory-policy")
    except redis.ResponseError as error:
        advice = "make room on the disk where Redis keeps its file; all goes on by itself"
        return [Finding(check="Redis", ok=False, found=reason_of(error), advice=advice)]
    except redis.RedisError as error:
        advice = "start Redis or `sync-worker up`, or correct REDIS_URL; is its disk full? Its log tells"
        return [Finding(check="Redis", ok=False, found=type(error).__name__, advice=advice)]
    persistence, policy = kept[0].get("appendonly"), kept[1].get("maxmemory-policy")
    return [
        Finding(check="Redis", ok=True, found="answers"),
        Finding(
            check="Redis persistence",
            ok=persistence == "yes",
            found=f"appendonly {persistence}",
            advice="set `appendonly yes`: links and dead letters live there",
        ),
        Finding(
            check="Redis eviction",
            ok=policy == "noeviction",
            found=str(policy),
            advice="set `maxmemory-policy noeviction`: state must never be thrown away to make room",
        ),
    ]


def show(findings: list[Finding]) -> None:
    table = Table("", "check", "found", "what to do", box=None)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]!![/]"
        # texts may hold square brackets, which rich would take for its own markup
        table.add_row(mark, *map(escape, (finding.check, finding.found, "" if finding.ok else finding.advice)))
    console.print(table)
