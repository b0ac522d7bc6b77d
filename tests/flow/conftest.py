"""Both real systems on free ports, and the worker built from the environment between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sync_worker.bootstrap import build_office, build_worker
from sync_worker.settings import load_settings
from tests.flow.world import TOKEN, FlowWorld
from tests.sandbox import onec_peer, portal_peer

RULES = """\
[counterparties]
contacts = "{contacts}"

[[pipelines]]
category = 0
send_at = ["EXECUTING"]
[pipelines.stages]
"КОбеспечению" = "EXECUTING"
"КОтгрузке" = "FINAL_INVOICE"
"Закрыт" = "WON"

[invoices]
kind = "{invoices}"

[budget]
requests_per_second = 100000
burst = 1000000
"""


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[Callable[..., FlowWorld]]:
    """Start both systems and build the worker from the environment, as a process does."""
    with ExitStack() as held:

        def start(*, contacts: str = "all", invoices: str = "smart", **portal_settings: Any) -> FlowWorld:
            settings = {"with_user_fields": True, "application_token": TOKEN, **portal_settings}
            portal = held.enter_context(portal_peer.running(**settings))
            onec = held.enter_context(onec_peer.running(max_sessions=8))
            rules = tmp_path / "sync.toml"
            rules.write_text(RULES.format(contacts=contacts, invoices=invoices), encoding="utf-8")
            environment = {
                "B24_WEBHOOK_URL": portal.base,
                "B24_APPLICATION_TOKENS": TOKEN,
                "ONEC_URL": f"{onec.url}/base",
                "ONEC_USER": "Обмен",
                "ONEC_PASSWORD": "sandbox-password",
                "ONEC_MAX_SESSIONS": "4",
                "ONEC_WEBHOOK_SECRETS": onec.base.settings.signing_secret,
                "REDIS_URL": redis_url,
                "SYNC_CONFIG": str(rules),
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.chdir(tmp_path)
            read = load_settings()
            world = FlowWorld(
                portal, onec, lambda **how: build_worker(read, **how), lambda **how: build_office(read, **how)
            )
            world.events()  # the portal's own company is no news
            return world

        yield start
