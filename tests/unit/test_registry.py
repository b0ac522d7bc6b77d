"""Each entity has all its pieces; a missing one is named in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from sync_worker.contract import (
    ALERT_TASK,
    MISFIT_TASK,
    OFFLINE_TASK,
    RELEASE_TASK,
    REPLAY_TASK,
    REQUEUE_TASK,
    STOCK_TASK,
    SWEEP_TASK,
    UPKEEP_QUEUE,
    all_queues,
    lane_queues,
    queue_name,
    task_name,
)
from sync_worker.domain.identity import EntityKind, Lane, System
from sync_worker.entities.registry import REGISTRY, EntitySpec

ROOT = Path(__file__).parents[2]
CAPABILITIES = {"counterparties", "leads", "orders", "invoices", "statuses"}  # the contract's About.capabilities

ASK_CELERY = """
import json
from sync_worker.app import app
app.loader.import_default_modules()
print(json.dumps({"tasks": sorted(app.tasks), "queues": [queue.name for queue in app.conf.task_queues]}))
"""


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """The tasks and queues that a worker would have, asked of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_CELERY],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path_factory.mktemp("celery"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def schema_names(entity: EntityKind, spec: EntitySpec | None, side: str) -> set[str]:
    """A schema file is called after the entity, or what it is on that side: on the portal a status is a deal's."""
    types = spec.bitrix24_types if spec and side == "bitrix24" else ()
    return {entity.value, *(type_.value for type_ in types)}


def missing_pieces(
    entity: EntityKind,
    *,
    root: Path,
    registry: Mapping[EntityKind, EntitySpec],
    tasks: Collection[str],
    queues: Collection[str],
) -> list[str]:
    """A sentence for each piece that an entity lacks."""
    spec = registry.get(entity)
    worker = root / "sync_worker"
    pieces = {
        f"{entity} has no spec: give it a row in sync_worker/entities/registry.py": spec is not None,
        f"{entity} has no record: add sync_worker/entities/{entity}.py": (worker / f"entities/{entity}.py").is_file(),
        f"{entity} has no task module: add sync_worker/tasks/{entity}.py": (worker / f"tasks/{entity}.py").is_file(),
        f"{entity} has no task {task_name(entity)}: define it and import its module in sync_worker/tasks/__init__.py": (
            task_name(entity) in tasks
        ),
    }
    for side in ("bitrix24", "onec"):
        folder = worker / "gateways" / side / "schemas"
        has_schema = any((folder / f"{name}.py").is_file() for name in schema_names(entity, spec, side))
        pieces[f"{entity} has no shape in {side}: add sync_worker/gateways/{side}/schemas/{entity}.py"] = has_schema
    for lane in Lane:
        queue = queue_name(entity, lane)
        pieces[f"{entity} has no queue {queue}: see contract.all_queues and celeryconfig.task_queues"] = queue in queues
    return [sentence for sentence, is_there in pieces.items() if not is_there]


@pytest.mark.parametrize("entity", EntityKind)
def test_every_entity_has_all_its_pieces(entity: EntityKind, celery: Mapping[str, list[str]]) -> None:
    assert missing_pieces(entity, root=ROOT, registry=REGISTRY, **celery) == []


def test_each_missing_piece_has_a_sentence_of_its_own(tmp_path: Path) -> None:
    sentences = missing_pieces(EntityKind.STATUS, root=tmp_path, registry={}, tasks=[], queues=[])

    assert len(sentences) == 8
    assert "status has no task module: add sync_worker/tasks/status.py" in sentences
    assert "status has no shape in onec: add sync_worker/gateways/onec/schemas/status.py" in sentences
    assert "status has no queue status.bulk: see contract.all_queues and celeryconfig.task_queues" in sentences


@pytest.mark.parametrize("entity", EntityKind)
def test_every_flow_is_plugged_in(entity: EntityKind) -> None:
    from tests.unit.sync.world import World

    assert entity in World().worker.flows
    assert f"EntityKind.{entity.name}: " in (ROOT / "sync_worker/bootstrap.py").read_text(encoding="utf-8")


def test_a_worker_has_our_tasks_and_no_others(celery: Mapping[str, list[str]]) -> None:
    ours = {name for name in celery["tasks"] if not name.startswith("celery.")}

    upkeep = {ALERT_TASK, MISFIT_TASK, OFFLINE_TASK, RELEASE_TASK, REPLAY_TASK, REQUEUE_TASK, STOCK_TASK, SWEEP_TASK}
    assert ours == {*map(task_name, EntityKind), *upkeep, "sync.poison", "sync.undelivered"}


def test_a_worker_has_the_contracts_queues(celery: Mapping[str, list[str]]) -> None:
    assert celery["queues"] == list(all_queues())
    assert UPKEEP_QUEUE in celery["queues"]


@pytest.mark.parametrize("lane", Lane)
def test_compose_has_a_worker_for_all_queues_of_a_lane(lane: Lane) -> None:
    lines = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

    assert ",".join(lane_queues(lane)) in lines, (
        f"give the {lane} worker of docker-compose.yml its -Q {lane_queues(lane)}"
    )


@pytest.mark.parametrize("entity", EntityKind)
def test_a_spec_is_filed_under_its_own_name_and_asks_for_a_capability_that_there_is(entity: EntityKind) -> None:
    assert REGISTRY[entity].entity is entity
    assert REGISTRY[entity].capability in CAPABILITIES


@pytest.mark.parametrize(
    ("entity", "starts_in"),
    [
        (EntityKind.CONTACT, {System.BITRIX24, System.ONEC}),
        (EntityKind.LEAD, {System.BITRIX24}),
        (EntityKind.DEAL, {System.BITRIX24}),
        (EntityKind.INVOICE, {System.ONEC}),
        (EntityKind.STATUS, {System.ONEC}),
    ],
)
def test_directions_are_the_designs(entity: EntityKind, starts_in: set[Any]) -> None:
    assert set(REGISTRY[entity].starts_in) == starts_in
