"""Stages of an object: which it gets, whether it may, what follows from it, and the history of it."""

from __future__ import annotations

from sandbox.portal import stages
from sandbox.portal.entities import DEAL, LEAD, SMART_INVOICE, Entity
from sandbox.portal.errors import invalid_value, required_value
from sandbox.portal.store import Record
from sandbox.portal.world import World


def settled(world: World, entity: Entity, record: Record, values: Record, *, before: Record | None) -> Record:
    """Settle pipeline, stage, and what follows from them."""
    if entity.stage_field is None:
        return {}
    store = world.store
    category = _category(world, entity, values, before)
    directory = entity.directory(category)
    wanted = values.get(entity.stage_field) or None
    if wanted is not None and not stages.find(store, directory, wanted):
        if world.settings.foreign_stage == "refused":
            raise invalid_value("Stage")
        wanted = None
    if wanted is None:
        keeps = before is not None and before.get("CATEGORY_ID", category) == category
        wanted = before[entity.stage_field] if before and keeps else stages.first(store, directory)
    settled: Record = {entity.stage_field: wanted}
    if "CATEGORY_ID" in entity.by_name:
        settled["CATEGORY_ID"] = category
    if before is not None and before[entity.stage_field] != wanted:
        _check_required(world, entity, record, directory, wanted)
        if entity is SMART_INVOICE:
            settled["PREVIOUS_STAGE_ID"] = before[entity.stage_field]
    return settled | _meaning(world, entity, directory, wanted, record)


def _category(world: World, entity: Entity, values: Record, before: Record | None) -> int:
    """Settle the pipeline: the one asked for, the one it has, the one of the stage asked for, the default one."""
    if "CATEGORY_ID" not in entity.by_name:
        return 0
    asked = values.get("CATEGORY_ID")
    if asked is not None:
        if asked not in stages.category_ids(world.store, entity):
            raise invalid_value("Pipeline")
        return int(asked)
    if before is not None:
        return int(before["CATEGORY_ID"])
    by_stage = stages.category_of_stage(world.store, entity, values.get(str(entity.stage_field)) or "")
    return by_stage if by_stage is not None else stages.default_category(world.store, entity)


def _meaning(world: World, entity: Entity, directory: str, stage_id: str, record: Record) -> Record:
    meaning = stages.semantics(world.store, directory, stage_id)
    is_final = meaning in {"S", "F"}
    follows: Record = {entity.semantic_field: meaning} if entity.semantic_field else {}
    if entity is DEAL:
        follows["CLOSED"] = "Y" if is_final else "N"
    if entity is LEAD:
        follows["DATE_CLOSED"] = (record.get("DATE_CLOSED") or world.clock.now()) if is_final else None
    return follows


def _check_required(world: World, entity: Entity, record: Record, directory: str, stage_id: str) -> None:
    """Refuse a stage whose required fields are empty."""
    for name in _required(world, directory, stage_id):
        if record.get(name) in (None, "", 0, []):
            one = world.field(entity, name)
            raise required_value(one.label if one else name)


def _required(world: World, directory: str, stage_id: str) -> list[str]:
    """Fields of this very stage, and of those before it on the way to success; who gives up owes nothing."""
    names = [*world.settings.required_at_stage.get(stage_id, ())]
    if stages.semantics(world.store, directory, stage_id) == "F":
        return names
    for stage in stages.of_directory(world.store, directory):
        names += world.settings.required_from_stage.get(stage["STATUS_ID"], ())
        if stage["STATUS_ID"] == stage_id:
            break
    return names


def note(world: World, entity: Entity, record: Record, *, type_id: int | None) -> None:
    """Write the history of stages: 1 created, 2 a stage on the way, 3 a final one, 5 another pipeline."""
    if entity.stage_field is None:
        return
    stage_id = record[entity.stage_field]
    category = record.get("CATEGORY_ID") or 0
    meaning = stages.semantics(world.store, entity.directory(category), stage_id)
    told: Record = {
        "TYPE_ID": type_id or (2 if meaning == "P" else 3),
        "OWNER_ID": record["ID"],
        "CREATED_TIME": world.clock.now(),
    }
    if entity is LEAD:
        told |= {"STATUS_SEMANTIC_ID": meaning, "STATUS_ID": stage_id}
    else:
        told |= {"CATEGORY_ID": category, "STAGE_SEMANTIC_ID": meaning, "STAGE_ID": stage_id}
    world.store.stage_history[entity.type_id].put(told)
