"""One place for all small trials: to start one takes longer than some of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.process.trials import TrialPlace


@pytest.fixture(scope="session")
def trial_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialPlace]:
    with TrialPlace(tmp_path_factory.mktemp("trials")) as place:
        yield place
