"""What the tests of several files start: a place for all small trials, a RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.trials import TrialPlace
from tests.rabbitmq import RabbitServer, running_rabbitmq


@pytest.fixture(scope="session")
def trial_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialPlace]:
    """One for all: to start one takes longer than some of the trials."""
    with TrialPlace(tmp_path_factory.mktemp("trials")) as place:
        yield place


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[RabbitServer]:
    with running_rabbitmq(tmp_path / "rabbitmq") as server:
        yield server
