"""`celery -A sync_worker.app desk`: Flower with the dead letters' tab. Takes every option that `flower` takes.

Each `celery` command loads this module to know its name, the workers' too: what it takes to serve is imported late.
"""

from __future__ import annotations

from typing import Any

from celery.bin.base import CeleryCommand
from flower.command import flower


def open_desk(**arguments: Any) -> Any:
    """Add the tab to Flower, and let Flower start."""
    from sync_worker.desk.graft import FlowerMoved, graft  # noqa: PLC0415
    from sync_worker.desk.opening import open_office  # noqa: PLC0415
    from sync_worker.settings import SettingsError  # noqa: PLC0415

    try:
        graft(open_office())
    except (SettingsError, FlowerMoved) as fault:
        raise SystemExit(str(fault)) from fault
    return flower.callback(**arguments)


desk = CeleryCommand(
    name="desk",
    callback=open_desk,
    params=flower.params,
    context_settings={"ignore_unknown_options": True},
    help="Flower with the tab of the dead letters. Takes every option of `flower`.",
)
