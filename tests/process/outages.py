"""Trials in which 1C is away for long while the portal's people go on working, and some of what they save is poison."""

from __future__ import annotations

import itertools
import math
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from standardwebhooks import Webhook

from sandbox.onec.records import Stored
from sandbox.portal import crm
from sandbox.portal.entities import CONTACT, DEAL, Entity
from tests.process.exchange import SIGNING_SECRET, wait_until
from tests.process.trials import TrialPlace, Verdict, add_contacts, partners, percentile

SETTLE_SECONDS = 900
DOWN_SHARE = 0.5  # of the outage nobody listens; for the rest 1C answers that it is closed, as during an update
CLOSED = "http503=0.3,maintenance"
LONGEST_NAME = 150  # in 1C
LIVE_PACE_SECONDS = 0.5
COMING_BACK_SECONDS = 30  # what was held back comes back within so long (retry_policy, Halt and its jitter)
_VERSION = re.compile(r"№(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """How much happens. `events` are edits of `contacts` and `deals`, spread over `seconds`; `poison` comes beside."""

    contacts: int
    deals: int
    events: int
    poison: int
    seconds: float
    live: int  # contacts that are edited while the exchange catches up
    granted_commands: float = 1.05  # of what the same records cost where nothing is wrong
    granted_live_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class _Write:
    at: float  # monotonic
    version: int


class _Versions:
    """Edits count upwards and carry their number; what 1C was told of it, in the order in which it was written."""

    def __init__(self, place: TrialPlace) -> None:
        self.writes: dict[str, list[_Write]] = defaultdict(list)  # by external id
        self.saved: dict[str, _Write] = {}
        self._place = place
        self._last = 0
        self._put = place.base.store._put

    def __enter__(self) -> _Versions:
        self._place.base.store._put = self._noted  # type: ignore[method-assign]
        return self

    def __exit__(self, *_exc: object) -> None:
        self._place.base.store._put = self._put  # type: ignore[method-assign]

    def edit(self, entity: Entity, id_: int, *, tail: str = "") -> str:
        """A person saves the record; returns its name in the exchange."""
        self._last += 1
        field_name = "TITLE" if entity is DEAL else "LAST_NAME"
        name, world = _name(entity, id_), self._place.portal.world
        self.saved[name] = _Write(time.monotonic(), self._last)
        with world.lock:
            record = world.store.table(entity.type_id).get(id_)
            crm.update(world, entity, record, crm.Wish(values={field_name: f"№{self._last} {tail}"}), author=1)
        return name

    def arrived_at(self, name: str, version: int) -> float | None:
        """When 1C was first told of this edit or of a later one."""
        return next((write.at for write in list(self.writes[name]) if write.version >= version), None)

    def out_of_order(self) -> list[str]:
        """Records of which 1C was told an older value after a newer one."""
        return [
            name
            for name, writes in self.writes.items()
            if any(later.version < earlier.version for earlier, later in itertools.pairwise(writes))
        ]

    def not_arrived(self, names: Sequence[str]) -> list[str]:
        """Records that 1C does not end with the last edit of."""
        return [name for name in names if not self.writes[name] or self.writes[name][-1].version != self._of(name)]

    def _of(self, name: str) -> int:
        return self.saved[name].version

    def _noted(self, stored: Stored) -> Stored:
        told = _VERSION.search(str(stored.fields.get("name") or stored.fields.get("title")))
        if told and stored.external_id:
            self.writes[stored.external_id].append(_Write(time.monotonic(), int(told[1])))
        return self._put(stored)


@dataclass(kw_only=True)
class _Office:
    """The linked records that the trial is about. `poisoned` are contacts that 1C will refuse."""

    contacts: list[int]
    deals: list[int]
    poisoned: list[int]
    live: list[int]

    def records(self) -> list[tuple[Entity, int]]:
        return [(CONTACT, id_) for id_ in self.contacts] + [(DEAL, id_) for id_ in self.deals]

    def names(self) -> list[str]:
        return [_name(entity, id_) for entity, id_ in self.records()]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cost:
    """Commands of one record's edit while all is well. Alone it costs more: what comes together is read together."""

    contact: float
    deal: float
    alone: float  # a contact's, at the pace of the live edits

    def of(self, office: _Office, live_edits: int) -> float:
        contacts = len(office.contacts) + len(office.poisoned)
        return self.contact * contacts + self.deal * len(office.deals) + self.alone * live_edits


@dataclass(kw_only=True)
class _Figures:
    """What came out. `waits`: of each live edit the seconds until 1C had it."""

    cost: _Cost
    while_away: int = 0  # commands
    spent: int = 0  # commands, those while it was away among them
    caught_up_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    letters: Counter[str] = field(default_factory=Counter)
    out_of_order: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        cost, waits = self.cost, self.waits
        return (
            f"{len(self.missing)} records without their last edit {self.missing[:3]}, {len(self.out_of_order)} told to "
            f"1C out of order {self.out_of_order[:3]}, letters {dict(self.letters)}; {self.spent} commands, "
            f"{self.while_away} of them while it was away (a contact costs {cost.contact:.1f}, a deal {cost.deal:.1f}, "
            f"a contact alone {cost.alone:.1f}); {len(waits)} live edits while catching up: "
            f"p50 {percentile(waits, 0.5):.1f} s, p95 {percentile(waits, 0.95):.1f} s; "
            f"caught up after {self.caught_up_seconds:.0f} s"
        )


def be_away(place: TrialPlace, outage: Outage, *, seed: int) -> Verdict:
    """1C is away; afterwards nobody helps, and people on the portal go on."""
    office = _open_office(place, outage)
    with _Versions(place) as versions:
        seen = _look(place, versions, office, outage, random.Random(seed))
    share = seen.spent / seen.cost.of(office, len(seen.waits))
    unreadable = outage.poison - len(office.poisoned)
    is_parked = seen.letters == Counter({"remote_rejected": len(office.poisoned), "bad_event": unreadable})
    is_quick = percentile(seen.waits, 0.95) <= outage.granted_live_seconds
    is_right = not seen.out_of_order and not seen.missing and is_parked
    return Verdict(
        trial=f"1C away for {outage.seconds:.0f} s (half of it down, half of it closed) with {outage.events} events "
        f"of {len(office.records())} records and {outage.poison} poison ones",
        seed=seed,
        passed=is_right and share <= outage.granted_commands and is_quick,
        seen=f"{seen}; commands are {share:.2f} of records x cost, granted {outage.granted_commands:g}, and "
        f"{outage.granted_live_seconds:g} s for live edits",
    )


def _look(place: TrialPlace, versions: _Versions, office: _Office, outage: Outage, chance: random.Random) -> _Figures:
    known = Counter(letter["cause"] for letter in place.letters())
    seen = _Figures(cost=_cost(place, versions, office))
    before = _commands(place)
    _work_while_away(place, versions, office, outage, chance)
    seen.while_away = _commands(place) - before
    began = time.monotonic()
    seen.waits = _work_while_catching_up(place, versions, office)
    seen.caught_up_seconds = time.monotonic() - began
    seen.spent = _commands(place) - before
    seen.letters = Counter(letter["cause"] for letter in place.letters()) - known
    seen.out_of_order, seen.missing = versions.out_of_order(), versions.not_arrived(office.names())
    return seen


def _name(entity: Entity, id_: int) -> str:
    return f"b24:{'deal' if entity is DEAL else 'contact'}:{id_}"


def _open_office(place: TrialPlace, outage: Outage) -> _Office:
    """All records are linked before anything goes wrong."""
    poisoned = outage.poison // 2
    names = [f"Сотрудник{number}" for number in range(outage.contacts + outage.live + poisoned)]
    ids = add_contacts(place, names)
    wait_until(lambda: partners(place).keys() >= set(ids), seconds=SETTLE_SECONDS, what="all contacts are in 1C")
    payer, world = ids[0], place.portal.world
    deals = []
    for number in range(outage.deals):
        values = {"TITLE": f"Сделка {number}", "CONTACT_ID": payer, "OPPORTUNITY": 100, "STAGE_ID": "EXECUTING"}
        with world.lock:
            deals.append(int(crm.create(world, DEAL, crm.Wish(values=values), author=1)["ID"]))
    wait_until(lambda: _orders_of(place) >= set(deals), seconds=SETTLE_SECONDS, what="all deals are in 1C")
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="all are linked")
    return _Office(
        contacts=ids[: outage.contacts],
        live=ids[outage.contacts : outage.contacts + outage.live],
        poisoned=ids[outage.contacts + outage.live :],
        deals=deals,
    )


def _orders_of(place: TrialPlace) -> set[int]:
    return {int(str(one["external_id"]).rpartition("deal:")[2] or 0) for one in place.orders() if one["external_id"]}


def _commands(place: TrialPlace) -> int:
    return int(place.portal.journal_log.totals()["commands"])


def _cost(place: TrialPlace, versions: _Versions, office: _Office) -> _Cost:
    pace_seconds = min(0.2, COMING_BACK_SECONDS / len(office.records()))  # at which the same records will come back
    return _Cost(
        contact=_cost_of(place, versions, CONTACT, office.contacts, pace_seconds=pace_seconds),
        deal=_cost_of(place, versions, DEAL, office.deals, pace_seconds=pace_seconds),
        alone=_cost_of(place, versions, CONTACT, office.live, pace_seconds=LIVE_PACE_SECONDS),
    )


def _cost_of(
    place: TrialPlace, versions: _Versions, entity: Entity, ids: Sequence[int], *, pace_seconds: float
) -> float:
    before = _commands(place)
    for id_ in ids:
        versions.edit(entity, id_)
        time.sleep(pace_seconds)
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="all is told")
    return (_commands(place) - before) / len(ids)


def _work_while_away(
    place: TrialPlace, versions: _Versions, office: _Office, outage: Outage, chance: random.Random
) -> None:
    """Every record is edited, and most of them more than once."""
    records = office.records()
    edited = [*records, *(chance.choice(records) for _ in range(outage.events - len(records)))]
    chance.shuffle(edited)
    acts: list[Callable[[], Any]] = [lambda one=one: versions.edit(*one) for one in edited]
    too_long = "Ж" * LONGEST_NAME
    for id_ in office.poisoned:
        acts.insert(chance.randrange(len(acts)), lambda id_=id_: versions.edit(CONTACT, id_, tail=too_long))
    for number in range(outage.poison - len(office.poisoned)):
        acts.insert(chance.randrange(len(acts)), lambda number=number: _tell_nonsense(place, number))
    place.close_base()
    began, is_down = time.monotonic(), True
    for number, act in enumerate(acts):
        act()
        time.sleep(max(0.0, began + (number + 1) / len(acts) * outage.seconds - time.monotonic()))
        if is_down and number >= len(acts) * DOWN_SHARE:
            place.base.faults.replace(CLOSED)
            place.open_base()
            is_down = False
    place.base.faults.replace("")


def _tell_nonsense(place: TrialPlace, number: int) -> None:
    """An event with 1C's signature that fits no schema."""
    body = f'{{"events": [{{"id": "nonsense-{number}", "type": 7}}]}}'
    message_id, at = f"msg_nonsense{number}", datetime.now(UTC)
    signature = Webhook(SIGNING_SECRET).sign(message_id, at, body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    headers["Content-Type"] = "application/json"
    url = f"{place.ingress_url}/webhooks/1c"
    assert requests.post(url, data=body, headers=headers, timeout=10).status_code == 202


def _work_while_catching_up(place: TrialPlace, versions: _Versions, office: _Office) -> list[float]:
    """People edit other records until all is through; how long each edit took to be in 1C, in seconds."""
    edits: list[tuple[str, _Write]] = []
    stopping = threading.Event()

    def work() -> None:
        number = 0
        while not stopping.wait(LIVE_PACE_SECONDS):
            name = versions.edit(CONTACT, office.live[number % len(office.live)])
            edits.append((name, versions.saved[name]))
            number += 1

    writer = threading.Thread(target=work, daemon=True)
    writer.start()
    try:
        wait_until(lambda: _is_through(versions, office), seconds=SETTLE_SECONDS, what="the backlog is through")
    finally:
        stopping.set()
        writer.join(timeout=30)
    wait_until(place.is_settled, seconds=SETTLE_SECONDS, what="nothing waits")
    arrivals = [(saved, versions.arrived_at(name, saved.version)) for name, saved in edits]
    assert all(at is not None for _, at in arrivals), "a live edit never came to 1C"
    return [at - saved.at for saved, at in arrivals if at is not None]


def _is_through(versions: _Versions, office: _Office) -> bool:
    return not versions.not_arrived(office.names())
