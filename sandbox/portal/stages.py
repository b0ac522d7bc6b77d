"""Stages and pipelines: which there are, which one is next, and what a move means."""

from __future__ import annotations

from sandbox.portal.entities import Entity
from sandbox.portal.store import Record, Store


def of_directory(store: Store, directory: str) -> list[Record]:
    """List the entries of a directory in their order."""
    ids = store.statuses.lookup("ENTITY_ID", [directory])
    return sorted((store.statuses.rows[one] for one in ids), key=lambda status: status["SORT"])


def find(store: Store, directory: str, stage_id: str) -> Record | None:
    return next((status for status in of_directory(store, directory) if status["STATUS_ID"] == stage_id), None)


def first(store: Store, directory: str) -> str:
    return str(of_directory(store, directory)[0]["STATUS_ID"])


def semantics(store: Store, directory: str, stage_id: str) -> str:
    """P in progress, S won, F lost."""
    status = find(store, directory, stage_id)
    return (status and status["SEMANTICS"]) or "P"


def category_ids(store: Store, entity: Entity) -> list[int]:
    return [category["id"] for category in store.categories.get(entity.type_id, ())]


def default_category(store: Store, entity: Entity) -> int:
    categories = store.categories.get(entity.type_id, ())
    return next((category["id"] for category in categories if category["isDefault"] == "Y"), 0)


def category_of_stage(store: Store, entity: Entity, stage_id: str) -> int | None:
    """Find the pipeline that a stage belongs to."""
    for category in category_ids(store, entity):
        if find(store, entity.directory(category), stage_id):
            return category
    return None
