"""A client whose portal is canned: what it answers is said in the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses

from sync_worker.gateways.bitrix24.client import Bitrix24Client
from tests.governors import StandInGovernor

SECRET = "s3cr3t-of-the-webhook"
BASE = f"https://portal.example/rest/1/{SECRET}"


class Canned:
    """The portal's answers, and the client that gets them."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock
        self.governor = StandInGovernor()
        self.slept: list[float] = []
        self.session = requests.Session()
        self.client = Bitrix24Client(
            webhook_url=f"{BASE}/", governor=self.governor, http=self.session, sleep=self.slept.append
        )

    def answer(self, method: str, envelope: Any = None, *, status: int = 200, **how: Any) -> None:
        """The next answer of `method`: JSON, or with `body=` a text or a failure of the network."""
        content = {} if "body" in how else {"json": envelope}
        self.mock.add(responses.POST, f"{BASE}/{method}", status=status, **content, **how)

    def problem(self, method: str, code: Any, description: str = "", *, status: int = 400) -> None:
        self.answer(method, {"error": code, "error_description": description}, status=status)


@pytest.fixture
def canned() -> Iterator[Canned]:
    with responses.RequestsMock() as mock:
        portal = Canned(mock)
        yield portal
        portal.session.close()
