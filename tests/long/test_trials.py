"""Every trial of reliability at full size. `TRIAL_SEED=N` draws the moments of a seed that was printed once more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.trials import new_seed
from tests.trials import TRIALS

pytestmark = [pytest.mark.long, pytest.mark.process, pytest.mark.timeout(4 * 3600)]


@pytest.mark.parametrize("name", TRIALS)
def test_the_trial_passes_at_full_size(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = TRIALS[name](tmp_path, new_seed())

    with capsys.disabled():
        sys.stdout.write(f"\n{verdict}\n")
    assert verdict.passed, verdict
