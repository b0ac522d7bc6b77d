"""What the trials share: the place they are held in, the records they make, and the verdict they come to.

A trial is a function of a folder and a seed. It raises AssertionError where the two systems never came to agree, and
returns a Verdict where they did. `make test` runs each of them small, tests/long at full size, `python -m tests.trials`
writes what came out into docs/reliability.md.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from sandbox.portal import crm
from sandbox.portal.entities import CONTACT
from sandbox.portal.store import Record
from sync_worker.contract import ACCEPTED_KEY, BROKER_KEY_PREFIX
from sync_worker.store.accepted import HELD_KEY
from tests.process import deaths
from tests.process.exchange import CeleryProcess, Exchange, wait_until

RATE = 2_000  # requests a second: the portal is not what a trial is about
ONEC_WRITES = ("POST",)
PORTAL_WRITES = (".add", ".update", ".set", ".delete")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a trial was, what came out, and whether that is what was asked for. Values of `seen` are as they print."""

    trial: str
    seed: int
    passed: bool
    seen: str

    def __str__(self) -> str:
        return f"{self.trial}: {'passed' if self.passed else 'FAILED'}, {self.seen} (TRIAL_SEED={self.seed})"


def new_seed() -> int:
    """TRIAL_SEED of the environment, for what a verdict names; else a new one."""
    return int(os.environ.get("TRIAL_SEED") or secrets.randbits(32))


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else 0.0


class TrialPlace(Exchange):
    """An exchange whose workers can be told to die at one step of a create."""

    def __init__(self, folder: Path, **more: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, **{"rate": RATE, **more})

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "TRIAL_REDIS_URL": self.redis.url(deaths.DATABASE),
        }

    def _celery(self, name: str, arguments: list[str], **more: Any) -> CeleryProcess:
        include = ["--include", "tests.process.deaths"] if name == "worker" else []
        return super()._celery(name, [*arguments, *include], **more)

    @contextmanager
    def sending_to(self, address: str) -> Iterator[None]:
        """Both systems' webhooks go there while the block runs, and not straight to the ingress."""
        self._send_events_to(address)
        try:
            yield
        finally:
            self._send_events_to(self.ingress_url)

    def _send_events_to(self, address: str) -> None:
        self.portal.events.handler_urls = (f"{address}/webhooks/bitrix24",)
        self.base.outbox.point_at(f"{address}/webhooks/1c")

    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis.url(1), decode_responses=True)

    def accepted(self) -> set[str]:
        """Ids of messages that were accepted and are not handled."""
        with self.broker() as broker:
            ids: Any = broker.hkeys(BROKER_KEY_PREFIX + ACCEPTED_KEY)
        return set(ids)

    def held(self) -> set[str]:
        """Ids of messages that a worker holds."""
        with self.broker() as broker:
            held: Any = broker.hvals(HELD_KEY)
        return {str(json.loads(one)[0]["headers"]["id"]) for one in held}

    def is_settled(self) -> bool:
        """Nothing is on its way from either system, and nothing waits in the exchange."""
        if not self.portal.events.wait_idle(0) or any(one["state"] == "waiting" for one in self.base.outbox.show()):
            return False
        return self.is_quiet() and not self.accepted()

    def letters(self) -> list[dict[str, Any]]:
        return list(json.loads(self.command("dead", "list", "--json", "--limit", "1000").stdout)["letters"])

    def writes(self) -> int:
        """Commands that write, on the portal, and items that were sent to 1C."""
        methods: dict[str, int] = self.portal.journal_log.totals()["methods"]
        on_portal = sum(count for method, count in methods.items() if method.endswith(PORTAL_WRITES))
        return on_portal + sum(call.items for call in self.base.journal.calls if call.method in ONEC_WRITES)

    def contacts(self) -> list[Record]:
        return list(self.portal_state()["contacts"])


def add_contacts(place: Exchange, names: Sequence[str], *, silent: bool = False) -> list[int]:
    """All at once, as an import does: their events leave together, or `silent` not at all."""
    world = place.portal.world
    with world.lock:
        wishes = (crm.Wish(values={"LAST_NAME": name}) for name in names)
        return [int(crm.create(world, CONTACT, wish, author=1, silent=silent)["ID"]) for wish in wishes]


def linked_payer(place: TrialPlace) -> tuple[int, str]:
    """A contact and its counterparty."""
    [contact] = add_contacts(place, ["Плательщиков"])
    party = wait_until(lambda: partners(place).get(contact), what="the payer is in 1C")
    wait_until(place.is_settled, what="the payer is linked")
    return contact, str(party["ref"])


def partners(place: TrialPlace) -> dict[int, dict[str, Any]]:
    """The counterparties in 1C by the contacts that they name. One that a second one names as well is there once."""
    named = ((str(one["external_id"]).rpartition("contact:")[2], one) for one in place.parties())
    return {int(id_): one for id_, one in named if id_.isdecimal()}


@dataclass(kw_only=True)
class Crowd:
    """Records of all kinds that a create makes a partner for: `count` of each kind with every `add`."""

    place: TrialPlace
    contacts: list[int] = field(default_factory=list)
    parties: list[str] = field(default_factory=list)
    deals: list[int] = field(default_factory=list)
    leads: list[int] = field(default_factory=list)
    invoices: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)  # what was there already
    payer: tuple[int, str] = (0, "")  # a contact and its counterparty, linked

    KINDS = 5

    def __post_init__(self) -> None:
        self.payer = linked_payer(self.place)
        self.before = _counts(self.place.portal_state(), self.place.base.show_state())

    def add(self, count: int) -> None:
        contact, party = self.payer
        place, first = self.place, len(self.contacts)
        for number in range(first, first + count):
            self.contacts.append(place.portal_form("contacts", last_name=f"Портальный{number}"))
            self.parties.append(place.onec_form("counterparties", kind="person", name=f"Учётный{number} Пётр"))
            deal = {"title": f"Сделка {number}", "contact_id": contact, "opportunity": 100, "stage_id": "EXECUTING"}
            self.deals.append(place.portal_form("deals", **deal))
            self.leads.append(place.portal_form("leads", title=f"Заявка {number}", status_id="CONVERTED"))
            self.invoices.append(place.onec_form("invoices", counterparty_ref=party, amount="100.00"))

    def wrongs(self) -> list[str]:
        """What is not as it should be: each record has exactly one partner, and both name each other."""
        portal, onec = self.place.portal_state(), self.place.base.show_state()
        wrongs = self._not_sent(portal, onec) + self._not_shown(portal)
        asked = {
            "contacts": len(self.contacts) + len(self.parties),
            "counterparties": len(self.contacts) + len(self.parties),
            "orders": len(self.deals),
            "leads in 1C": len(self.leads),
            "smart_invoices": len(self.invoices),
        }
        made = {kind: count - self.before[kind] for kind, count in _counts(portal, onec).items()}
        return wrongs + [f"{made[kind]} {kind} and not {count}" for kind, count in asked.items() if made[kind] != count]

    def _not_sent(self, portal: dict[str, Any], onec: dict[str, Any]) -> list[str]:
        wrongs = []
        for kind, ids, table in (
            ("contact", self.contacts, "counterparties"),
            ("deal", self.deals, "orders"),
            ("lead", self.leads, "leads"),
        ):
            marks = {int(card["ID"]): card.get("UF_CRM_1C_ID") for card in portal[f"{kind}s"]}
            refs = {record["external_id"]: record["ref"] for record in onec[table]}
            wrongs += [f"{kind} {id_}" for id_ in ids if not marks[id_] or marks[id_] != refs.get(f"b24:{kind}:{id_}")]
        return wrongs

    def _not_shown(self, portal: dict[str, Any]) -> list[str]:
        marks = Counter(card.get("UF_CRM_1C_ID") for card in portal["contacts"])
        cards = Counter(item.get("xmlId") for item in portal["smart_invoices"])
        return [
            *(f"{marks[ref]} contacts of counterparty {ref}" for ref in self.parties if marks[ref] != 1),
            *(f"{cards[ref]} cards of invoice {ref}" for ref in self.invoices if cards[ref] != 1),
        ]


def _counts(portal: dict[str, Any], onec: dict[str, Any]) -> dict[str, int]:
    counts = {kind: len(portal[kind]) for kind in ("contacts", "smart_invoices")}
    return (
        counts | {"leads in 1C": len(onec["leads"])} | {kind: len(onec[kind]) for kind in ("counterparties", "orders")}
    )
