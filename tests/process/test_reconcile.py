"""Dropped events, the whole exchange as processes, and `sync-worker reconcile` as an operator runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.process.exchange import SYNC_TOML, Exchange, exchange, wait_until
from tests.services import ROOT

pytestmark = pytest.mark.process

DROPPED = 20
RECONCILE = ("-c", "from sync_worker.cli import main; main()", "reconcile", "--json")


def add_contacts(place: Exchange, count: int) -> list[int]:
    return [
        place.portal_form("contacts", last_name=f"Осипова{number}", name="Анна", email=f"person{number}@example.com")
        for number in range(count)
    ]


def lose_everything(place: Exchange) -> None:
    place.portal.faults.replace("event_loss")
    place.base.faults.replace("event_loss")


def lose_nothing(place: Exchange) -> None:
    place.portal.faults.replace("")
    place.base.faults.replace("")


def reconciled(place: Exchange, *arguments: str) -> dict[str, Any]:
    done = place.command("reconcile", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def agree_on_all(place: Exchange, ids: list[int]) -> bool:
    """Each contact has one counterparty, and carries its ref."""
    owners = Counter(party["external_id"] for party in place.parties())
    refs = {party["external_id"]: party["ref"] for party in place.parties()}
    cards = {int(card["ID"]): card.get("UF_CRM_1C_ID") for card in place.portal_state()["contacts"]}
    return all(owners[f"b24:contact:{id_}"] == 1 and cards[id_] == refs[f"b24:contact:{id_}"] for id_ in ids)


def test_dropped_events_are_repaired_by_one_sweep_and_the_next_finds_nothing(tmp_path: Path) -> None:
    with exchange(tmp_path) as place:
        lose_everything(place)
        ids = add_contacts(place, DROPPED)
        party = place.onec_form("counterparties", kind="company", name="АО Вектор", inn="7736050003")
        lose_nothing(place)

        found = reconciled(place)

        assert found["under_way"] == []
        assert found["drift"]["contact"] == DROPPED + 1
        assert agree_on_all(place, ids)
        assert [one["TITLE"] for one in place.portal_state()["companies"]].count("АО Вектор") == 1
        assert len(place.parties()) == DROPPED + 1
        assert party in {one["ref"] for one in place.parties()}
        wait_until(place.is_quiet, what="the echoes are handled")
        again = reconciled(place)
        assert not any(again["drift"].values())
        wait_until(place.is_quiet, what="what was read too soon after it changed is looked at once more")
        last = reconciled(place)
        assert (last["handed_over"], last["held"]) == (0, None)
        assert "drift: contact 0" in place.command("reconcile").stdout


def test_two_reconciles_at_once_make_nothing_twice(tmp_path: Path) -> None:
    with exchange(tmp_path) as place:
        lose_everything(place)
        ids = add_contacts(place, DROPPED)
        lose_nothing(place)

        rivals = [start_reconcile(place) for _ in range(2)]
        answers = [json.loads(rival.communicate(timeout=120)[0]) for rival in rivals]

        assert [rival.returncode for rival in rivals] == [0, 0]
        assert sum(answer["handed_over"] for answer in answers) >= DROPPED
        assert agree_on_all(place, ids)
        assert len(place.parties()) == DROPPED


def test_reconcile_that_is_killed_is_taken_up_by_the_next(tmp_path: Path) -> None:
    with exchange(tmp_path) as place:
        lose_everything(place)
        ids = add_contacts(place, DROPPED)
        lose_nothing(place)
        place.portal.faults.replace("hang:crm.deal.list=1x1@30")

        dying = start_reconcile(place)
        wait_until(lambda: len(place.parties()) > 0, what="the sweep has begun to hand over")
        dying.send_signal(signal.SIGKILL)
        dying.communicate(timeout=30)
        assert mark_of(place, "deal") is None
        lose_nothing(place)

        reconciled(place)

        assert mark_of(place, "deal") is not None
        assert agree_on_all(place, ids)
        assert len(place.parties()) == DROPPED


def start_reconcile(place: Exchange) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *RECONCILE],
        env={**os.environ, **place.environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def mark_of(place: Exchange, source: str) -> Any:
    with redis.Redis.from_url(place.redis.url(0)) as store:
        return store.hget("sync:sweep:marks", source)


def test_sweep_over_its_cap_asks_and_goes_on_when_released(tmp_path: Path) -> None:
    with exchange(tmp_path, rules=SYNC_TOML + "[reconcile]\nmax_changes = 3\n") as place:
        lose_everything(place)
        ids = add_contacts(place, 4)
        lose_nothing(place)

        asked = place.command("reconcile", "--json")

        assert asked.returncode == 1
        answer = json.loads(asked.stdout)
        assert (answer["held"]["contact"]["found"], answer["handed_over"]) == (4, 0)
        assert place.parties() == []
        assert "--release" in place.command("reconcile").stdout
        released = reconciled(place, "--release")
        assert (released["held"], released["handed_over"]) == (None, 4)
        assert agree_on_all(place, ids)
        assert "nothing is held" in place.command("reconcile", "--release").stderr


def test_reconcile_hands_over_and_returns_where_nobody_works(tmp_path: Path) -> None:
    with exchange(tmp_path) as place:
        place.worker.kill()
        lose_everything(place)
        ids = add_contacts(place, 3)
        lose_nothing(place)

        found = reconciled(place, "--no-wait")

        assert (found["handed_over"], found["under_way"]) == (3, None)
        assert place.parties() == []
        place.worker.start()
        wait_until(lambda: agree_on_all(place, ids), what="the workers have taken it up")


def test_worker_sweeps_when_beat_asks_and_a_sweep_is_due(tmp_path: Path) -> None:
    with exchange(tmp_path) as place:
        lose_everything(place)
        ids = add_contacts(place, 3)
        lose_nothing(place)
        place.last_sweep_was(datetime.now(UTC) - timedelta(minutes=16))

        ask_for_sweep(place)

        wait_until(lambda: agree_on_all(place, ids), what="the worker's sweep has repaired it")
        wait_until(lambda: "swept" in place.worker.log(), what="it says so")


def ask_for_sweep(place: Exchange) -> None:
    code = (
        "from sync_worker.app import app; from sync_worker.contract import SWEEP_TASK, UPKEEP_QUEUE;"
        "app.send_task(SWEEP_TASK, queue=UPKEEP_QUEUE)"
    )
    environment = {**os.environ, **place.environment}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, timeout=60)
