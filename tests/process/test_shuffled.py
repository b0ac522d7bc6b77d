"""Every event comes three times and in any order: both sides end as they would have in order."""

from __future__ import annotations

import pytest

from tests.process.shuffling import shuffle
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_events_told_three_times_and_shuffled_end_as_in_order(trial_place: TrialPlace) -> None:
    verdict = shuffle(trial_place, records=6, window_seconds=1, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict
