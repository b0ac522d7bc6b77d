"""What the commands share: the built worker, its gateways, and tables."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console

from sync_worker.app import app
from sync_worker.bootstrap import Gateways, SystemClock, build_gateways, build_office, build_worker
from sync_worker.settings import Settings, load_settings
from sync_worker.store.client import connect
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.sync.worker import SyncWorker

# a page that is piped somewhere is no 80 columns wide
console = Console(width=None if sys.stdout.isatty() else 140)


def the_worker() -> SyncWorker:
    return build_worker(load_settings(), send_task=app.send_task)


def the_office() -> DeadLetterOffice:
    return build_office(load_settings(), send_task=app.send_task)


def the_gateways(settings: Settings) -> Gateways:
    return build_gateways(settings, store=connect(settings.redis_url), clock=SystemClock())


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
