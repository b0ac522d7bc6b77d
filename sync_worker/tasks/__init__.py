"""One thin task an entity. What a task does is in `sync`; what Celery does with it is in `base`."""

from sync_worker.tasks import contact, deal, invoice, lead, poison, status, sweep, undelivered, upkeep

__all__ = ["contact", "deal", "invoice", "lead", "poison", "status", "sweep", "undelivered", "upkeep"]
