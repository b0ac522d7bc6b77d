"""The docs say what the code has: fields, settings, queues, causes, commands, words."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from sync_worker.cli import cli
from sync_worker.contract import DEAD_QUEUE, DELIVERY_LIMIT, RABBITMQ_QUEUE, all_queues
from sync_worker.domain.outcome import Outcome
from sync_worker.entities.contact import FIELDS
from sync_worker.errors import all_causes
from sync_worker.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def test_the_field_table_of_the_readme_is_the_one_in_the_code() -> None:
    wanted = [f"| `{one.name}` | {one.bitrix24} | {one.onec} | {one.owner} |" for one in FIELDS]

    table = README.partition("<!-- fields")[2].partition("<!-- /fields -->")[0]

    assert [line for line in table.splitlines() if line.startswith("| `")] == wanted


@pytest.mark.parametrize("name", [item.name.upper() for item in fields(Settings) if item.name != "rules"])
def test_each_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("queue", [queue for queue in all_queues() if not queue.endswith(".bulk")])
def test_each_queue_is_in_the_readme(queue: str) -> None:
    assert f"`{queue}`" in README


def test_rabbitmqs_limit_is_as_the_operators_guide_says() -> None:
    assert RABBITMQ_QUEUE["x-delivery-limit"] == DELIVERY_LIMIT
    assert f"delivery limit of {DELIVERY_LIMIT}," in OPERATIONS
    assert f"given out {DELIVERY_LIMIT + 1} times" in OPERATIONS
    assert f"`{DEAD_QUEUE}`" in README


@pytest.mark.parametrize("cause", sorted({*all_causes(), "internal_error"}))
def test_each_cause_of_a_dead_letter_is_in_the_operators_guide(cause: str) -> None:
    assert f"`{cause}`" in OPERATIONS


@pytest.mark.parametrize("name", sorted(name for name, one in cli.commands.items() if not one.hidden))
def test_each_command_is_in_the_readme(name: str) -> None:
    command = cli.commands[name]
    inner = sorted(command.commands) if isinstance(command, click.Group) else []

    assert f"sync-worker {name}" in README
    for part in inner:
        assert f"`{part}`" in README or f"{name} {part}" in README


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_is_in_the_glossary(outcome: Outcome) -> None:
    assert outcome.value in GLOSSARY


def test_the_docs_link_only_to_files_that_are_there() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
