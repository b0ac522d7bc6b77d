"""The commands. Each is a few lines over what `bootstrap` builds."""

from __future__ import annotations

from typing import Any

import click

from sync_worker.cli.backfill import backfill
from sync_worker.cli.budget import budget
from sync_worker.cli.dead import dead
from sync_worker.cli.demo import demo
from sync_worker.cli.doctor import doctor
from sync_worker.cli.explain import explain
from sync_worker.cli.rebuild import rebuild
from sync_worker.cli.reconcile import reconcile
from sync_worker.cli.sandbox import sandbox
from sync_worker.cli.setup import setup
from sync_worker.cli.story import story
from sync_worker.cli.up import up
from sync_worker.cli.watchdog import watchdog
from sync_worker.errors import QueueRefused, StoreUnavailable, SyncError
from sync_worker.settings import SettingsError
from sync_worker.sync.office import NotPossible

STORE_ADVICE = "; start Redis or `sync-worker up`, or correct REDIS_URL or BROKER_URL"


class PlainlySpoken(click.Group):
    """What a person can mend is told in a sentence, without a traceback, unless --debug asks for it."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsError, SyncError, NotPossible) as error:
            if ctx.params["debug"]:
                raise
            is_away = isinstance(error, StoreUnavailable) and not isinstance(error, QueueRefused)
            advice = STORE_ADVICE if is_away else ""
            raise click.ClickException(f"{error}{advice}") from error


@click.group(cls=PlainlySpoken, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bitrix24-onec-sync")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def cli(debug: bool) -> None:
    """Two-way exchange between Bitrix24 and 1C:CRM."""


_COMMANDS = (up, demo, sandbox, doctor, setup, budget, dead, story, explain, reconcile, rebuild, backfill, watchdog)
for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    cli()
