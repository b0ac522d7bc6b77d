"""One thin task an entity. What a task does is in `sync`; what Celery does with it is in `base`."""

from sync_worker.app import app
from sync_worker.tasks import contact, deal, invoice, lead, offline, poison, status, sweep, undelivered, upkeep
from sync_worker.tasks.holding import KeepHeld

app.steps["consumer"].add(KeepHeld)

__all__ = ["contact", "deal", "invoice", "lead", "offline", "poison", "status", "sweep", "undelivered", "upkeep"]
