"""`demo`: the exchange against a sandbox of its own, with every flow played."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from sync_worker.cli.built import console, the_office
from sync_worker.cli.doctor import examine, show
from sync_worker.cli.play import Play, Step
from sync_worker.cli.ports import free_port
from sync_worker.cli.setup import make_fields
from sync_worker.cli.stage import Stage, wait_for
from sync_worker.cli.up import Running, running, wait_for_interrupt
from sync_worker.domain.letter import Decision, Selection
from sync_worker.domain.rules import Owner
from sync_worker.settings import Settings, load_settings
from sync_worker.sync.office import DeadLetterOffice, choose_side, options

TOKEN = "demo-application-token"  # noqa: S105  # the demo's own, known to nobody else
SECRET = "demo-secret-of-the-exchange"  # noqa: S105
SIGNING_SECRET = "whsec_ZGVtby1zaWduaW5nLXNlY3JldC1mb3ItMWM="  # noqa: S105
ONEC_PASSWORD = "demo-password"  # noqa: S105
MADE_BY_DEMO = ".made-by-demo"
SYNC_TOML = """\
[[pipelines]]
category = 0
send_at = ["EXECUTING"]
[pipelines.stages]
"КОбеспечению" = "EXECUTING"
"КОтгрузке" = "FINAL_INVOICE"
"Закрыт" = "WON"
"Отменен" = "LOSE"

[[pipelines]]
category = 1
send_at = ["EXECUTING"]
ignore_statuses = ["КОбеспечению"]
[pipelines.stages]
"КОтгрузке" = "FINAL_INVOICE"
"Закрыт" = "WON"
"Отменен" = "LOSE"
"""


@click.command()
@click.option("--once", is_flag=True, help="Stop afterwards; exit 1 if any flow failed.")
@click.option("--var", default="var/demo", show_default=True, type=click.Path(path_type=Path), help="Emptied first.")
def demo(once: bool, var: Path) -> None:
    """Start a Bitrix24 portal, a 1C base and the exchange between them, and play all flows and a conflict."""
    _empty(var)
    ports = {name: free_port() for name in ("portal", "onec", "ingress", "flower")}
    os.environ.update(_environment(var, ports))
    with sandbox_process(ports, log=var / "sandbox.log") as stage:
        settings = load_settings()
        with running(settings, workers=1) as place:
            settings = load_settings()  # once more: now it knows the embedded Redis
            failed = play(settings, stage, place)
            _tell_where(stage, place, settings)
            if not once:
                click.echo("\nEdit something on either page and watch the other side follow. Ctrl-C stops everything.")
                wait_for_interrupt()
    sys.exit(1 if failed and once else 0)


def _empty(var: Path) -> None:
    """Begin with an empty folder; one that an earlier demo did not make is not ours to empty."""
    if var.exists() and any(var.iterdir()) and not (var / MADE_BY_DEMO).exists():
        raise click.ClickException(f"{var} holds files that no demo made; choose another --var")
    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)
    (var / MADE_BY_DEMO).touch()


def play(settings: Settings, stage: Stage, place: Running) -> int:
    """Set the portal up, check everything, play. Returns how many steps failed."""
    console.rule("setup and doctor")
    make_fields(settings)
    show(examine(settings))
    console.rule("the flows, through real webhooks and real HTTP")
    office = the_office()
    script = Play(
        stage=stage,
        robot_url=f"{place.ingress_url}/webhooks/bitrix24/robot?secret={TOKEN}",
        letters=lambda: [(letter.cause, letter.message) for letter in office.letters.page()[0]],
        settle=lambda cause: _take_bitrix24s_values(office, cause),
    )
    failed = 0
    for step in script.steps():
        _print_step(step)
        failed += step.seen is None
    console.rule()
    console.print(f"refused by the portal for speed: {stage.refusals()}")
    console.print("[green]every flow arrived[/]" if not failed else f"[red]{failed} steps did not arrive[/]")
    return failed


def _take_bitrix24s_values(office: DeadLetterOffice, cause: str) -> None:
    """Settle the letters of this cause as an operator does who holds the portal right in everything."""
    for letter in office.letters.page(Selection(cause=cause))[0]:
        fields = {name: choose_side(letter, name, Owner.BITRIX24) for name in options(letter).fields}
        office.resolve(letter.id, Decision(fields=fields), by="demo")


def _print_step(step: Step) -> None:
    mark = "[green]ok[/]" if step.seen else "[red]!![/]"
    console.print(
        f"{mark} {step.flow:9} {step.done}\n   {'':9} → {step.seen or 'never arrived on the other side'}",
        highlight=False,
    )


def _tell_where(stage: Stage, place: Running, settings: Settings) -> None:
    user, _, password = place.flower_auth.partition(":")
    console.print(f"\nBitrix24 portal  {stage.portal_url}/\n1C base          {stage.onec_url}/", highlight=False)
    console.print(f"Flower           {place.flower_url}/  ({user} / {password})", highlight=False)
    console.print(f"dead letters     {place.flower_url}/dead-letters", highlight=False)
    console.print(f"                 SYNC_VAR={settings.sync_var} sync-worker dead list  (in another terminal)")
    console.print(f"logs             {settings.sync_var / 'log'}", highlight=False)


@contextmanager
def sandbox_process(ports: Mapping[str, int], *, log: Path) -> Iterator[Stage]:
    """Both systems in a process of their own: the program knows nothing of them but their addresses."""
    command = [sys.executable, "-m", "sandbox", "--ingress-url", f"http://127.0.0.1:{ports['ingress']}"]
    command += ["--portal-port", str(ports["portal"]), "--onec-port", str(ports["onec"])]
    command += ["--application-token", TOKEN, "--signing-secret", SIGNING_SECRET]
    command += ["--webhook-secret", SECRET, "--onec-password", ONEC_PASSWORD]
    stage = Stage(portal_url=f"http://127.0.0.1:{ports['portal']}", onec_url=f"http://127.0.0.1:{ports['onec']}")
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if not wait_for(lambda: _answers(stage), seconds=30):
                raise click.ClickException(f"the sandbox did not come up; see {log}")
            yield stage
        finally:
            process.terminate()
            process.wait(timeout=10)


def _answers(stage: Stage) -> bool:
    try:
        stage.refusals()
        stage.onec_all("orders")
    except OSError:
        return False
    return True


def _environment(var: Path, ports: Mapping[str, int]) -> dict[str, str]:
    rules = var / "sync.toml"
    rules.write_text(SYNC_TOML, encoding="utf-8")
    return {
        # blank, so that nothing of a real exchange's .env in this folder is touched or shown
        "REDIS_URL": "",
        "BROKER_URL": "",
        "SENTRY_DSN": "",
        "ALERT_WEBHOOK_URL": "",
        "FLOWER_BASIC_AUTH": "",
        "B24_WEBHOOK_URL": f"http://127.0.0.1:{ports['portal']}/rest/1/{SECRET}/",
        "B24_APPLICATION_TOKENS": TOKEN,
        "B24_PLAN": "standard",
        "ONEC_INTERFACE": "http",
        "ONEC_URL": f"http://127.0.0.1:{ports['onec']}/base",
        "ONEC_USER": "Обмен",
        "ONEC_PASSWORD": ONEC_PASSWORD,
        "ONEC_WEBHOOK_SECRETS": SIGNING_SECRET,
        "INGRESS_BIND": f"127.0.0.1:{ports['ingress']}",
        "FLOWER_BIND": f"127.0.0.1:{ports['flower']}",
        "SYNC_CONFIG": str(rules),
        "SYNC_VAR": str(var),
    }
