"""Answers are lost, both sides make one record or edit it in turn: nothing is there twice, nothing is written twice."""

from __future__ import annotations

import pytest

from tests.process.losing import alternate, lose_answers, meet
from tests.process.trials import TrialPlace, new_seed

pytestmark = pytest.mark.process


def test_lost_answers_make_nothing_twice(trial_place: TrialPlace) -> None:
    verdict = lose_answers(trial_place, each=2, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict


def test_one_key_on_both_sides_at_once_is_one_counterparty(trial_place: TrialPlace) -> None:
    verdict = meet(trial_place, pairs=10, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict


def test_edits_in_turn_cost_a_write_each_and_come_to_rest(trial_place: TrialPlace) -> None:
    verdict = alternate(trial_place, edits=100, records=10, seed=new_seed())

    print(verdict)
    assert verdict.passed, verdict
