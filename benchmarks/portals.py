"""A sandbox portal in a process of its own, so that it does not share a Python lock with the client it measures.

`python -m benchmarks.portals '{"plan": "standard", ...}' DEALS` serves one until its input ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sandbox.portal import Portal, PortalSettings, crm
from sandbox.portal.entities import DEAL
from sync_worker.gateways.bitrix24.throttle import PLAN_LIMITS
from sync_worker.store.client import connect
from sync_worker.store.governor import Governor
from tests.services import RedisServer

SECRET = "benchmark-secret-of-nobody"  # a sandbox's


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalProcess:
    """What a client needs to know of it, and what it counted."""

    url: str

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/rest/1/{SECRET}/"

    def counters(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/_sandbox/journal?calls=0", timeout=60).json()["counters"])

    def calls(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.url}/_sandbox/journal", timeout=60).json()["calls"])

    def state(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/_sandbox/state", timeout=60).json())


@contextmanager
def portal(*, deals: int = 0, **settings: Any) -> Iterator[PortalProcess]:
    """A fresh portal with so many deals; `settings` are those of PortalSettings."""
    command = [sys.executable, "-m", "benchmarks.portals", json.dumps(settings), str(deals)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield PortalProcess(url=process.stdout.readline().strip())
        finally:
            process.stdin.close()  # which ends it
            process.wait(timeout=30)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder)).start()
        try:
            yield server
        finally:
            server.kill()


def governor(
    redis_url: str, *, plan: str = "standard", operating_limit_seconds: float = 480, **options: Any
) -> Governor:
    """The portal's shared budget, as bootstrap builds it."""
    limits = PLAN_LIMITS[plan]
    return Governor(
        connect(redis_url),
        name="bitrix24",
        rate_per_second=limits.rate_per_second,
        burst=limits.burst,
        live_share=0.3,
        operating_limit_seconds=operating_limit_seconds,
        **options,
    )


def serve() -> None:
    settings = PortalSettings(secrets={SECRET: 1}, **json.loads(sys.argv[1]))
    place = Portal(settings)
    with place.serve() as server:
        seed_deals(place, int(sys.argv[2]))
        print(server.url, flush=True)
        sys.stdin.read()


def seed_deals(place: Portal, count: int) -> None:
    """Made inside, where no limit counts."""
    with place.world.lock:
        for number in range(1, count + 1):
            crm.create(place.world, DEAL, crm.Wish(values={"TITLE": f"Сделка {number}"}), author=1)


if __name__ == "__main__":
    serve()
