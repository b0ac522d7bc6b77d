"""The broker's connections are reset amid work: every worker consumes again, and nobody helps it.

tests/long and `make reliability` kill the broker as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.cutting import Cuts, cut_rabbitmq, cut_redis
from tests.process.trials import new_seed
from tests.rabbitmq import require_rabbitmq

pytestmark = pytest.mark.process


def test_workers_come_back_to_a_redis_that_was_away(tmp_path: Path) -> None:
    verdict = cut_redis(tmp_path, Cuts(kills=0, resets=2, seed=new_seed()))

    print(verdict)
    assert verdict.passed, verdict


def test_workers_come_back_to_a_rabbitmq_that_was_away(tmp_path: Path) -> None:
    require_rabbitmq()
    verdict = cut_rabbitmq(tmp_path, Cuts(kills=0, resets=2, seed=new_seed()))

    print(verdict)
    assert verdict.passed, verdict
