"""`setup`: what the portal needs, made once; and what a person has to make by hand."""

from __future__ import annotations

import click

from sync_worker.cli.built import the_gateways
from sync_worker.gateways.bitrix24.examine import PortalSetup
from sync_worker.settings import Settings, load_settings


def make_fields(settings: Settings, *, dry_run: bool = False) -> PortalSetup:
    """Make the fields that are missing, and say so."""
    portal = the_gateways(settings).portal_setup
    missing = portal.missing_fields()
    for type_ in missing:
        if not dry_run:
            portal.create_field(type_)
        click.echo(f"{'would make' if dry_run else 'made'} UF_CRM_1C_ID of {type_}")
    if not missing:
        click.echo("UF_CRM_1C_ID is there on contacts, companies, leads and deals")
    return portal


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
def setup(dry_run: bool) -> None:
    """Make UF_CRM_1C_ID where it is missing, and print the webhooks to create by hand. Safe to run again."""
    settings = load_settings()
    portal = make_fields(settings, dry_run=dry_run)
    click.echo(
        "\nTo create by hand in Bitrix24 (your public address instead of HOST):\n"
        "  1. Developer resources > Other > Outbound webhook, handler https://HOST/webhooks/bitrix24, events:\n"
        f"     {', '.join(portal.events())}\n"
        "     Put its application token into B24_APPLICATION_TOKENS.\n"
        "  2. Where a robot is to send a deal: CRM > Deals > Automation rules > Outgoing webhook:\n"
        "     https://HOST/webhooks/bitrix24/robot?secret=<one of B24_APPLICATION_TOKENS>\n"
        "In 1C: the ingress's address https://HOST/webhooks/1c and one of ONEC_WEBHOOK_SECRETS."
    )
