"""The first load between two systems that know nothing of each other, with real workers, stopped on its way twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.exchange import Exchange, exchange, wait_until
from tests.services import ROOT

pytestmark = pytest.mark.process

CONTACTS = 640  # more than may wait at once, so that a stop comes while records are still to be sent
INN = "7707083893"


@contextmanager
def backfilling(place: Exchange) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from sync_worker.cli import main; main()", "backfill"],
        env={**os.environ, **place.environment},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def plant(place: Exchange) -> None:
    """What both sides had before anybody thought of an exchange: no events, no ids of each other."""
    place.portal.events.handler_urls = ()
    place.base.outbox.point_at(None)
    company = place.portal_form("companies", title="ООО Ромашка", inn=INN, kpp="773601001")
    for number in range(CONTACTS):
        place.portal_form("contacts", last_name=f"Фамилия{number}", name="Имя", email=f"person{number}@example.com")
    row = {"row_name": "Стол", "row_quantity": "2", "row_price": "600.25", "row_tax_rate": "20"}
    for stage in ("EXECUTING", "NEW"):
        place.portal_form("deals", title=stage, category_id=0, stage_id=stage, company_id=company, **row)
    for status in ("CONVERTED", "NEW"):
        place.portal_form(f"leads/{place.portal_form('leads', title=status, name='Олег')}", status_id=status)
    place.onec_form("counterparties", kind="company", name="ООО Ромашка", inn=INN, kpp="773601001")
    place.onec_form("counterparties", kind="person", name="Фамилия1 Имя", email="person1@example.com")
    only_here = place.onec_form("counterparties", kind="company", name="АО Вектор", inn="7736050003")
    place.onec_form("invoices", counterparty_ref=only_here, amount="100.00")
    closed = place.onec_form("invoices", counterparty_ref=only_here, amount="200.00")
    place.onec_form(f"invoices/{closed}", status="cancelled")


def names(place: Exchange) -> Counter[str]:
    return Counter(str(party["name"]) for party in place.parties())


def test_each_record_once_though_it_was_interrupted_and_killed_in_the_middle(tmp_path: Path) -> None:
    with exchange(tmp_path / "place") as place:
        plant(place)
        there = len(place.parties())

        with backfilling(place) as first:
            wait_until(lambda: len(place.parties()) >= there + 10, what="some are sent")
            first.send_signal(signal.SIGINT)
            _, told = first.communicate(timeout=30)
        assert first.returncode == 1
        assert "goes on where this was" in told
        assert "Traceback" not in told
        with backfilling(place) as second:
            wait_until(lambda: len(place.parties()) >= there + 60, what="more are sent")
            second.kill()
        done = place.command("backfill", "--json")
        assert done.returncode == 0, done.stderr

        report = json.loads(done.stdout)
        assert report["is_over"]
        assert report["waiting"] == 0
        assert report["published"]["contact"] <= CONTACTS - 60  # it did not begin anew
        assert set(report["published"]) == {"contact", "1C counterparty", "lead", "deal of pipeline 0", "1C invoice"}
        wait_until(place.is_quiet, what="nothing waits")
        check_sides(place)
        assert "no dead letters" in place.command("dead", "list").stdout

        again = json.loads(place.command("backfill", "--json").stdout)
        assert again["total"] == 0
        rebuilt = json.loads(place.command("rebuild", "--json").stdout)
        assert {kind: (one["saved"], one["known"]) for kind, one in rebuilt["kinds"].items()} == {
            "counterparty": (0, CONTACTS + 2),
            "lead": (0, 1),
            "order": (0, 1),
            "invoice": (0, 1),
        }
        assert rebuilt["contradictions"] == []


def check_sides(place: Exchange) -> None:
    """Whom both sides had is one pair, whom one side had was made on the other, and what the rules keep stayed."""
    portal, base = place.portal_state(), place.base.show_state()
    assert [p for p in place.parties() if names(place)[p["name"]] > 1] == []
    assert len(place.parties()) == CONTACTS + 2
    refs = {party["external_id"]: party["ref"] for party in place.parties()}
    cards = [(f"b24:contact:{card['ID']}", card["UF_CRM_1C_ID"]) for card in portal["contacts"]]
    cards += [
        (f"b24:company:{card['ID']}", card["UF_CRM_1C_ID"])
        for card in portal["companies"]
        if card.get("IS_MY_COMPANY") != "Y"
    ]
    assert dict(cards) == refs
    assert [order["title"] for order in base["orders"]] == ["EXECUTING"]
    assert [lead["title"] for lead in base["leads"]] == ["CONVERTED"]
    assert len(portal["smart_invoices"]) == 1
