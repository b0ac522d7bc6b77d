"""A manager's edit while 10,000 bulk events wait: `python -m benchmarks.backlog`.

A backlog of 10,000 contacts is in the bulk queues of an exchange on the standard plan, and drains. Meanwhile managers
save a contact now and then; how soon does 1C have it? The same edits on the idle exchange stand beside it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.exchanges import seen, standard_exchange, wait_for, wait_until_quiet
from sandbox.portal import crm
from sandbox.portal.entities import CONTACT
from sync_worker.contract import ChangeEvent, EntityKind, Lane, RecordRef, RecordType, System, new_trace
from tests.process.exchange import Exchange

BACKLOG = 10_000
EDITS = 40
PACE_SECONDS = 1.5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, standard_exchange(Path(folder)) as place:
        contacts = prepared(place)
        idle = edits(place, contacts)
        before, started = seen(place), time.perf_counter()
        fill_bulk(place)
        backlog_at_start = place.waiting()
        busy = edits(place, contacts)
        left = place.waiting()
        counted, seconds = seen(place).since(before), time.perf_counter() - started
    show(idle, busy)
    print(f"backlog meanwhile: {backlog_at_start} -> {left} messages in {seconds:.0f} s")
    print(f"{counted.requests} requests, {counted.commands} commands, {counted.refused} refused")


def prepared(place: Exchange) -> list[int]:
    place.portal_form("companies", title="ООО Разогрев", inn="7707083893")
    contacts = [place.portal_form("contacts", last_name=f"Живой{number}") for number in range(EDITS)]
    wait_for(lambda: len(place.parties()) > EDITS, seconds=120, what="all contacts in 1C")
    wait_until_quiet(place)
    time.sleep(25)  # the budget is full again
    return contacts


def edits(place: Exchange, contacts: list[int]) -> list[float]:
    """Seconds from each save until 1C has it."""
    waits = []
    for number, id_ in enumerate(contacts):
        started = time.perf_counter()
        name = f"Живой{number} {int(started * 1000)}"
        place.portal_form(f"contacts/{id_}", last_name=name)
        wait_for_name(place, id_, name)
        waits.append(time.perf_counter() - started)
        time.sleep(PACE_SECONDS)
    return waits


def wait_for_name(place: Exchange, id_: int, name: str) -> None:
    """Looks at one record only: both systems live in this process, and a look at all would slow them down."""
    store, give_up_at = place.base.store, time.perf_counter() + 120
    while True:
        stored = store.find_linked("counterparties", f"b24:contact:{id_}")
        if stored is not None and store.show_fields(stored)["name"] == name:
            return
        if time.perf_counter() > give_up_at:
            raise SystemExit("a live edit did not arrive within two minutes")
        time.sleep(0.02)


def fill_bulk(place: Exchange) -> None:
    """10,000 contacts that 1C has not, as a backfill puts them into its queue."""
    os.environ |= place.environment  # this process is the sender now
    from sync_worker.app import app  # noqa: PLC0415  # reads its settings when it is first used
    from sync_worker.bootstrap import build_ledger  # noqa: PLC0415
    from sync_worker.outbox import CeleryOutbox  # noqa: PLC0415

    outbox = CeleryOutbox(app.send_task, build_ledger(place.environment["BROKER_URL"]))
    portal = place.portal
    urls, portal.events.handler_urls = portal.events.handler_urls, ()
    ids = []
    with portal.world.lock:
        for number in range(BACKLOG):
            wish = crm.Wish(values={"LAST_NAME": f"Оптовый{number}"})
            ids.append(int(crm.create(portal.world, CONTACT, wish, author=1)["ID"]))
    portal.events.handler_urls = urls
    for id_ in ids:
        record = RecordRef(system=System.BITRIX24, type=RecordType.CONTACT, id=str(id_))
        outbox.publish(
            ChangeEvent(
                entity=EntityKind.CONTACT, record=record, seen_at=datetime.now(UTC), trace=new_trace(), lane=Lane.BULK
            )
        )


def show(idle: list[float], busy: list[float]) -> None:
    table = Table("a live edit to 1C", "p50, s", "p95, s", "longest, s", box=None)
    for name, waits in (("idle", idle), (f"behind {BACKLOG} bulk events", busy)):
        p95 = statistics.quantiles(waits, n=20)[18]
        table.add_row(name, f"{statistics.median(waits):.2f}", f"{p95:.2f}", f"{max(waits):.2f}")
    Console().print(table)
    print(f"ratio of the medians: {statistics.median(busy) / statistics.median(idle):.1f}")


if __name__ == "__main__":
    main()
