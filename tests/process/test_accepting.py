"""Redis dies under the ingress while events come in: what got a 202 arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.accepting import accept
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_every_event_that_was_accepted_arrives_though_redis_dies_again_and_again(tmp_path: Path) -> None:
    with TrialPlace(tmp_path / "place") as place:
        verdict = accept(place, events=300, kills=2, away_seconds=1, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict
