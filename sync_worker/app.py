"""The Celery application. Importing it reads no settings: Celery does that when it first needs them."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from sync_worker import broker_guard, envelope_guard

broker_guard.install()
envelope_guard.install()

app = Celery("sync")
app.config_from_object("celeryconfig")
app.conf.imports = ("sync_worker.tasks",)


@setup_logging.connect
def _own_logging(**_: Any) -> None:
    """Celery asks whether anybody else sets the logs up."""
    from sync_worker.settings import load_settings  # noqa: PLC0415  # only a started process reads settings
    from sync_worker.telemetry import configure_logging, init_sentry  # noqa: PLC0415

    settings = load_settings()
    configure_logging(settings)
    init_sentry(settings)
