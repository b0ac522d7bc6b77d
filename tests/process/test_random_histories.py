"""People edit on both sides while workers, Redis, both systems and their webhooks fail at once: both sides agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.chaos import FAULTS, MOST_KILLS, draw, live_through
from tests.process.trials import new_seed

pytestmark = pytest.mark.process


def test_random_histories_end_in_agreement(tmp_path: Path) -> None:
    verdict = live_through(tmp_path, histories=2, edits=12, faults=5, seconds=2, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict


def test_the_same_seed_draws_the_same_history() -> None:
    one, other, again = (draw(seed, edits=25, faults=8, seconds=8) for seed in ("1 0", "1 1", "1 0"))

    assert one == again != other
    assert [step.at for step in one] == sorted(step.at for step in one)
    assert sum(step.what in FAULTS for step in one) == 8
    assert sum(step.what == "kill" for step in draw("1 0", edits=0, faults=500, seconds=8)) == MOST_KILLS
