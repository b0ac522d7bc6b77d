"""The worker is killed at every step of a create: there is one record each time, on either side."""

from __future__ import annotations

import pytest

from tests.process.killing import kill_at_every_step
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_a_kill_at_any_step_of_a_create_leaves_one_record(trial_place: TrialPlace) -> None:
    verdict = kill_at_every_step(trial_place, runs=5, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict
