"""`sandbox`: only the portal and the base, on fixed ports."""

from __future__ import annotations

import os
import sys

import click

from sync_worker.cli.ports import is_taken


@click.command()
@click.option("--portal-port", default=8101, show_default=True)
@click.option("--onec-port", default=8102, show_default=True)
@click.option("--ingress-url", default="http://127.0.0.1:8080", show_default=True, help="Where their events go.")
@click.option("--plan", type=click.Choice(["standard", "enterprise"]), default="standard", show_default=True)
@click.option("--faults", default="", help="kind[:pattern][=share][xTIMES][@SECONDS],... for both systems.")
def sandbox(portal_port: int, onec_port: int, ingress_url: str, plan: str, faults: str) -> None:
    """Run a Bitrix24 portal and a 1C base in a box, with their pages, until Ctrl-C.

    \b
    Example: the first two contacts are made, but the answer is lost:
      sync-worker sandbox --faults reset_after:crm.contact.add=1x2
    """
    for name, port in (("--portal-port", portal_port), ("--onec-port", onec_port)):
        if is_taken(f"127.0.0.1:{port}"):
            raise click.ClickException(f"port {port} is taken by another program; stop it or choose another {name}")
    arguments = ["--portal-port", str(portal_port), "--onec-port", str(onec_port), "--ingress-url", ingress_url]
    arguments += ["--plan", plan, "--faults", faults]
    # it takes this process over: the program knows nothing of the sandbox but its addresses
    os.execv(sys.executable, [sys.executable, "-m", "sandbox", *arguments])  # noqa: S606  # our own interpreter
