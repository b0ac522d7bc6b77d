"""The example files say what the program reads, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

from sync_worker.sync_toml import load_rules
from tests.unit.settings_names import setting_names

ROOT = Path(__file__).parents[2]
BARE = '[[pipelines]]\ncategory = 0\nsend_at = ["EXECUTING"]\n[pipelines.stages]\n'


def named_in_env_example() -> list[str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)


def names_of_compose() -> set[str]:
    """What docker-compose.yml itself asks the environment for."""
    return set(re.findall(r"\$\{([A-Z0-9_]+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def test_env_example_names_every_setting_once() -> None:
    named = named_in_env_example()

    assert setting_names() - set(named) == set()
    assert len(named) == len(set(named))


def test_env_example_names_nothing_that_nobody_reads() -> None:
    assert set(named_in_env_example()) - setting_names() - names_of_compose() == set()


def test_sync_example_is_the_defaults(tmp_path: Path) -> None:
    bare = tmp_path / "sync.toml"
    example = (ROOT / "sync.example.toml").read_text(encoding="utf-8")
    stages = re.findall(r'^"[^"]+" = "[A-Z_]+"$', example, re.MULTILINE)
    bare.write_text(BARE + "\n".join(stages), encoding="utf-8")

    rules, faults = load_rules(ROOT / "sync.example.toml")

    assert faults == []
    assert rules is not None
    assert (rules, []) == load_rules(bare)
