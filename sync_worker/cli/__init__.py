"""The commands. Each is a few lines over what `bootstrap` builds."""

from __future__ import annotations

import sys

import click

from sync_worker.cli.budget import budget
from sync_worker.cli.dead import dead
from sync_worker.cli.demo import demo
from sync_worker.cli.doctor import doctor
from sync_worker.cli.sandbox import sandbox
from sync_worker.cli.setup import setup
from sync_worker.cli.up import up
from sync_worker.errors import SyncError
from sync_worker.settings import SettingsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bitrix24-onec-sync")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def cli(debug: bool) -> None:
    """Two-way exchange between Bitrix24 and 1C:CRM."""


for _command in (up, demo, sandbox, doctor, setup, budget, dead):
    cli.add_command(_command)


def main() -> None:
    """Run a command; what a person can mend is told in a sentence, without a traceback."""
    try:
        cli()
    except (SettingsError, SyncError) as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
