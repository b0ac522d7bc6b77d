"""The watchdog outlives whatever it meets, and blames no worker for it."""

from __future__ import annotations

import logging
from pathlib import Path
from xmlrpc.client import Fault

import pytest

from sync_worker.cli.stillness import Look, Standstill, Watch
from sync_worker.cli.watchdog import replace_worker, supervised, watch_once
from sync_worker.contract import Lane
from sync_worker.errors import StoreUnavailable

HUNG = Standstill(program="worker1", why="it answers nothing", seconds=60.4)


def test_a_replacement_is_told_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    replaced: list[str] = []

    replace_worker(HUNG, replaced.append)

    assert replaced == ["worker1"]
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.ERROR, "worker worker1 replaced: it answers nothing for 60 s")
    ]


def test_a_worker_that_has_exited_of_itself_is_not_ours_to_replace(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_program: str) -> None:
        raise Fault(70, "NOT_RUNNING")

    replace_worker(HUNG, refuse)

    assert "was not replaced" in caplog.records[-1].getMessage()


def test_a_supervisor_that_is_gone_is_no_crash(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    replace_worker(HUNG, supervised(f"unix://{tmp_path / 'gone'}", "a password"))

    assert "was not replaced" in caplog.records[-1].getMessage()


def test_while_the_broker_is_away_nobody_is_judged() -> None:
    watch = Watch({"worker1": Lane.LIVE}, hung_seconds=10)
    watch.see(Look(answered=frozenset(), waiting={}), now=0)
    replaced: list[str] = []

    def see_nothing() -> Look:
        raise StoreUnavailable("Redis does not do its work: ConnectionError")

    watch_once(watch, see_nothing, replaced.append)

    assert replaced == []
    assert watch.see(Look(answered=frozenset(), waiting={}), now=10) == [], "its time begins anew"
