"""What an ordinary edit costs the budget: `python -m benchmarks.steady_state`.

Contacts and deals that are linked already are edited one after another, at a pace the budget bears, and one deal a
thousand times in a row; the portal counts the commands. Beside it stands what a plain script reads for every event.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.exchanges import Seen, seen, standard_exchange, wait_for, wait_until_quiet
from sandbox.portal import crm
from sandbox.portal.entities import CONTACT, DEAL, Entity
from tests.process.exchange import Exchange

RECORDS = 40
EDITS = 120
PACE_SECONDS = 0.5
STORM = 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, standard_exchange(Path(folder)) as place:
        contacts, deals = prepared(place)
        runs = {
            f"{EDITS} edits of {RECORDS} contacts": measured(place, lambda: edit_in_turn(place, CONTACT, contacts)),
            f"{EDITS} edits of {RECORDS} deals": measured(place, lambda: edit_in_turn(place, DEAL, deals)),
            f"{STORM} edits of one deal, waiting in the queue": measured(
                place, lambda: storm_in_queue(place, deals[0])
            ),
            f"{STORM} edits of one deal, as they come": measured(place, lambda: storm(place, deals[1])),
        }
    show(runs)


def prepared(place: Exchange) -> tuple[list[int], list[int]]:
    """Linked records, everything at rest, and a portal that has rung for a requisite."""
    place.portal_form("companies", title="ООО Разогрев", inn="7707083893")
    contacts = [place.portal_form("contacts", last_name=f"Ровнов{number}") for number in range(RECORDS)]
    wait_for(lambda: len(place.parties()) > RECORDS, seconds=120, what="all contacts in 1C")
    deals = [
        place.portal_form("deals", title=f"Ровная {number}", contact_id=contacts[number]) for number in range(RECORDS)
    ]
    for id_ in deals:
        change(place, DEAL, id_, STAGE_ID="EXECUTING")
    wait_for(lambda: len(place.orders()) == RECORDS, seconds=180, what="all orders in 1C")
    wait_until_quiet(place)
    time.sleep(20)  # the budget is full again
    return contacts, deals


def change(place: Exchange, entity: Entity, id_: int, **values: str) -> None:
    """A person saves a card."""
    world = place.portal.world
    with world.lock:
        record = world.store.table(entity.type_id).get(id_)
        assert record is not None
        crm.update(world, entity, record, crm.Wish(values=values), author=1)


def measured(place: Exchange, act: Callable[[], None]) -> Seen:
    before = seen(place)
    act()
    wait_until_quiet(place)
    return seen(place).since(before)


def edit_in_turn(place: Exchange, entity: Entity, ids: list[int]) -> None:
    field = "LAST_NAME" if entity is CONTACT else "TITLE"
    for number in range(EDITS):
        change(place, entity, ids[number % len(ids)], **{field: f"Правка{number}"})
        time.sleep(PACE_SECONDS)


def storm(place: Exchange, id_: int) -> None:
    for number in range(STORM):
        change(place, DEAL, id_, TITLE=f"Буря {number}")


def storm_in_queue(place: Exchange, id_: int) -> None:
    """The workers look away until all events are in."""
    place.worker.kill()
    storm(place, id_)
    wait_for(lambda: place.waiting() >= STORM, seconds=120, what="all events in the queue")
    place.worker.start()


def show(runs: dict[str, Seen]) -> None:
    table = Table(
        "", "events", "commands", "commands per event", "requests", "refused", "plain script: commands per event"
    )
    for name, counted in runs.items():
        plain = "2 (card, rows)" if "deal" in name else "2 (card, requisites)"
        numbers = (
            counted.events,
            counted.commands,
            f"{counted.commands / counted.events:.3f}",
            counted.requests,
            counted.refused,
        )
        table.add_row(name, *map(str, numbers), plain)
    Console(width=150).print(table)
    for name, counted in runs.items():
        print(f"{name}:", ", ".join(f"{method} {count}" for method, count in counted.methods.most_common()))


if __name__ == "__main__":
    main()
