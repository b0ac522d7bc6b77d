"""A client whose portal is canned: what it answers is said in the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import responses

from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.throttle import Limits, Throttle

SECRET = "s3cr3t-of-the-webhook"
BASE = f"https://portal.example/rest/1/{SECRET}"


@dataclass
class CountingBucket:
    """A bucket that never overflows, and notes what is asked of it."""

    wait_seconds: float = 0.0
    taken: list[tuple[float, float]] = field(default_factory=list)
    penalties: list[float] = field(default_factory=list)

    def take(self, *, rate_per_second: float, burst: float, max_wait_seconds: float, cost: float = 1) -> float:
        self.taken.append((rate_per_second, burst))
        return self.wait_seconds

    def penalise(self, seconds: float) -> None:
        self.penalties.append(seconds)


class Canned:
    """The portal's answers, and the client that gets them."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock
        self.bucket = CountingBucket()
        self.slept: list[float] = []
        throttle = Throttle(bucket=self.bucket, limits=Limits(rate_per_second=2, burst=50), sleep=self.slept.append)
        self.session = requests.Session()
        self.client = Bitrix24Client(webhook_url=f"{BASE}/", throttle=throttle, http=self.session)

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
