"""1,000 new contacts, created in 1C and marked in Bitrix24: `python -m benchmarks.contact_events`.

Through the whole exchange on a portal of the standard plan; beside it, what a plain script does that handles one event
after another with one call at a time. The script runs on a portal that lets it, since its requests are what counts: by
the plan's 2 a second they would take most of an hour.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from requests.auth import HTTPBasicAuth
from rich.console import Console
from rich.table import Table

from benchmarks.exchanges import Seen, seen, standard_exchange, wait_for, wait_until_quiet
from sandbox.onec import Base, BaseSettings
from sandbox.portal import Portal, PortalSettings, crm
from sandbox.portal.entities import CONTACT
from tests.process.exchange import B24_SECRET, ONEC_PASSWORD, Exchange

CONTACTS = 1000
RATE, BURST = 2, 50  # of the plan


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, standard_exchange(Path(folder)) as place:
        warm_up(place)
        ours, seconds = through_the_exchange(place)
    plain = plain_script()
    show(ours, seconds, plain)


def warm_up(place: Exchange) -> None:
    """The first events build the worker, fill its directories, and show that the portal rings for requisites."""
    company = place.portal_form("companies", title="ООО Разогрев", inn="7707083893")
    wait_for(place.parties, seconds=60, what="the first record in 1C")
    wait_until_quiet(place)
    print(f"warmed up with company {company}")


def through_the_exchange(place: Exchange) -> tuple[Seen, float]:
    before = seen(place)
    started = time.perf_counter()
    add_contacts(place.portal)
    wait_for(lambda: marked(place.portal) >= CONTACTS, seconds=900, what="every contact carries its 1C ref")
    seconds = time.perf_counter() - started
    wait_until_quiet(place)
    assert len(place.parties()) == CONTACTS + 1, "each exactly once in 1C"
    return seen(place).since(before), seconds


def add_contacts(portal: Portal) -> None:
    """As an import does it: the portal announces each."""
    for number in range(CONTACTS):
        with portal.world.lock:
            values = {"LAST_NAME": f"Ударников{number}", "NAME": "Иван", "POST": "снабженец"}
            crm.create(portal.world, CONTACT, crm.Wish(values=values), author=1)


def marked(portal: Portal) -> int:
    with portal.world.lock:
        return sum(bool(card.get("UF_CRM_1C_ID")) for card in portal.store.table(CONTACT.type_id))


# --- the plain script ------------------------------------------------------------------------------------------------


def plain_script() -> Seen:
    settings = PortalSettings(with_user_fields=True, secrets={B24_SECRET: 1}, rate_per_second=1e6, burst=1e6)
    portal, base = Portal(settings), Base(BaseSettings(password=ONEC_PASSWORD))
    with portal.serve() as bitrix24, base.serve() as onec, requests.Session() as http:
        add_contacts(portal)
        handled = 0
        while handled < len(portal.events.log):  # its own updates ring as well
            handle(http, portal.events.log[handled].data["FIELDS"]["ID"], bitrix24.webhook_url(B24_SECRET), onec.url)
            handled += 1
        counters = portal.journal_log.as_json()["counters"]
    return Seen(
        requests=counters["requests"],
        commands=counters["commands"],
        refused=counters["refused_503"],
        events=handled,
        methods=Counter(call["method"] for call in portal.journal),
    )


def handle(http: requests.Session, id_: str, bitrix24: str, onec: str) -> None:
    """Read, look it up, create or update, write back: what such scripts do for every event."""
    card = call(http, bitrix24, "crm.contact.get", id=id_)
    call(http, bitrix24, "crm.requisite.list", filter={"ENTITY_TYPE_ID": 3, "ENTITY_ID": id_})
    service, auth = (
        f"{onec}/base/hs/crm-exchange/v1/counterparties",
        HTTPBasicAuth("Обмен".encode(), ONEC_PASSWORD.encode()),
    )
    item = {"external_id": f"b24:contact:{id_}", "kind": "person", "name": card["LAST_NAME"]}
    made = http.post(service, json={"items": [item]}, auth=auth, timeout=10).json()["results"][0]
    if card.get("UF_CRM_1C_ID") != made["ref"]:
        call(http, bitrix24, "crm.contact.update", id=id_, fields={"UF_CRM_1C_ID": made["ref"]})


def call(http: requests.Session, bitrix24: str, method: str, **params: Any) -> Any:
    return http.post(f"{bitrix24}{method}", json=params, timeout=10).json()["result"]


def show(ours: Seen, seconds: float, plain: Seen) -> None:
    table = Table("", "requests", "commands", "events", "commands per event", "refused", "seconds on the standard plan")
    needs = (plain.requests - BURST) / RATE
    rows = ((f"exchange, {CONTACTS} contacts", ours, f"{seconds:.0f}"), ("plain script", plain, f"{needs:.0f} at best"))
    for name, counted, took in rows:
        per_event = f"{counted.commands / counted.events:.2f}"
        table.add_row(
            name,
            *(str(n) for n in (counted.requests, counted.commands, counted.events)),
            per_event,
            str(counted.refused),
            took,
        )
    Console(width=140).print(table)
    fill = ours.commands / ours.requests
    print(f"{plain.requests / ours.requests:.1f} times fewer requests; {fill:.1f} commands a request")
    print("commands of the exchange:", ", ".join(f"{name} {count}" for name, count in ours.methods.most_common()))


if __name__ == "__main__":
    main()
