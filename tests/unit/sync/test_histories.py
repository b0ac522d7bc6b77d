"""Whatever happens in whatever order, both sides end up equal, and nobody's value was taken from him."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync.histories import Plan, happen
from tests.unit.sync.history_plans import PHASES, Findings, plans

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "loses", [True, False], ids=["with losses and a reconcile", "nothing lost, nothing rung again"]
)
def test_any_history_ends_in_agreement(loses: bool) -> None:
    # the same ones in every run; `make test-long` draws others
    @settings(max_examples=150, deadline=None, phases=PHASES, derandomize=True, database=None)
    @given(plans(st.just(loses)))
    def ends_in_agreement(plan: Plan) -> None:
        Findings().judge(plan)

    ends_in_agreement()


def test_histories_get_to_the_states_that_they_are_for() -> None:
    findings = Findings()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(plans())
    def look(plan: Plan) -> None:
        findings.look(happen(plan))

    look()

    assert findings.missing() == set(), findings


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(plans())
def test_the_same_seed_gives_the_same_trace(plan: Plan) -> None:
    assert happen(plan).trace == happen(plan).trace


def test_the_same_seed_gives_the_same_trace_in_another_process() -> None:
    """Where sets and dicts of text have another order."""
    first, second = (_digest_in_a_process(hash_seed) for hash_seed in ("1", "2"))

    assert first == second


def _digest_in_a_process(hash_seed: str) -> str:
    script = "from tests.unit.sync.history_plans import digest_of_traces; print(digest_of_traces(40))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
