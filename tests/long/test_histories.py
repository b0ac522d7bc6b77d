"""Ten thousand histories. `--hypothesis-seed=N` draws those of a seed that was printed once more."""

from __future__ import annotations

import secrets
import sys

import pytest
from hypothesis import given, seed, settings

from tests.unit.sync.histories import Plan
from tests.unit.sync.history_plans import PHASES, Findings, plans

HISTORIES = 10_000
PARTS = 20
PART_SECONDS = 3_000  # shrinking what failed takes its time

pytestmark = [pytest.mark.long, pytest.mark.timeout(PART_SECONDS)]


@pytest.fixture(scope="module")
def first_seed(request: pytest.FixtureRequest) -> int:
    given_seed = request.config.getoption("--hypothesis-seed", default=None)
    return secrets.randbits(32) if given_seed in (None, "random") else int(given_seed)


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_thousand_histories_end_in_agreement(
    part: int, first_seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings()

    @seed(first_seed + part)
    @settings(max_examples=HISTORIES // PARTS, deadline=None, database=None, phases=PHASES)
    @given(plans())
    def end_in_agreement(plan: Plan) -> None:
        findings.judge(plan)

    try:
        end_in_agreement()
    finally:
        with capsys.disabled():
            told = f"part {part}: {findings.count} histories, --hypothesis-seed={first_seed}; {findings}"
            sys.stdout.write(f"\n{told}\n")

    assert findings.missing() == set()
