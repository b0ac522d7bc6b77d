"""A worker that stood still does no harm when it wakes up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.stalling import stall
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_a_worker_that_stood_still_does_no_harm_when_it_wakes_up(tmp_path: Path) -> None:
    with TrialPlace(tmp_path / "place") as place:
        verdict = stall(place, stalls=1, seed=new_seed())

    print(verdict)
    assert verdict.passed, str(verdict)
    assert " 0 tasks" not in verdict.seen, "no fence was needed, so nothing was proven"
