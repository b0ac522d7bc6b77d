"""What the pages work with, built once when the desk is opened."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sync_worker.app import app
from sync_worker.bootstrap import build_office
from sync_worker.desk.language import load_languages
from sync_worker.settings import load_settings
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.telemetry import configure_logging

STATIC = Path(__file__).parent / "static"
THREADS = 8  # a page asks Redis for some milliseconds; while Redis hangs, more threads would only wait along


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Found by the pages as the application's setting `desk`."""

    office: DeadLetterOffice
    portal_origin: str  # https://portal, for links to cards
    open_pages: tuple[str, ...]  # they ask for no login
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="desk")
    )
    versions: Mapping[str, str]  # static file -> what changes with its content


def open_office() -> Desk:
    """Errors: SettingsError."""
    settings = load_settings()
    configure_logging(settings)  # Flower keeps what it finds, so its lines are masked as ours are
    load_languages()
    return Desk(
        office=build_office(settings, send_task=app.send_task),
        portal_origin=settings.portal_origin,
        open_pages=settings.flower_open_pages,
        versions={path.name: sha256(path.read_bytes()).hexdigest()[:12] for path in STATIC.iterdir()},
    )
