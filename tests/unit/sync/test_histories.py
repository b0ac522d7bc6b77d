"""Whatever happens in whatever order, both sides end up equal, and nobody's value was taken from him."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.unit.sync.histories import Plan, happen
from tests.unit.sync.history_plans import Findings, plans


@pytest.mark.parametrize(
    "loses", [True, False], ids=["with losses and a reconcile", "nothing lost, nothing rung again"]
)
def test_any_history_ends_in_agreement(loses: bool) -> None:
    findings = Findings()

    @settings(max_examples=150, deadline=None)
    @given(plans(loses=loses))
    def ends_in_agreement(plan: Plan) -> None:
        findings.judge(plan)

    ends_in_agreement()

    assert findings.missing() == set()


@settings(max_examples=40, deadline=None)
@given(plans())
def test_the_same_seed_gives_the_same_trace(plan: Plan) -> None:
    assert happen(plan).trace == happen(plan).trace
