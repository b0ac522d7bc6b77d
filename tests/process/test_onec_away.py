"""1C is away for long: each record arrives once, in order, at the cost of one edit; poison is parked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.outages import Outage, be_away
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_what_was_saved_while_1c_was_away_arrives_once_and_in_order(tmp_path: Path) -> None:
    outage = Outage(contacts=8, deals=3, events=60, poison=4, seconds=4, live=3, granted_commands=1.5)

    with TrialPlace(tmp_path) as place:  # of its own: its letters would be others' faults
        verdict = be_away(place, outage, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict
