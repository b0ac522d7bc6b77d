"""Random histories of the whole exchange: people edit on both sides while everything around them fails at once.

A history is drawn from its seed before it begins: which edits and which faults, of what, at which moment, for how
long. What the seed does not fix is what the operating system makes of it: which thread runs first.

Each field is edited on one side only. One conflict is possible all the same, and answered as a person would: of a value
that we wrote without hearing of it, and that was edited again before the next look. All else that differs at the end is
a fault, and so is any other letter.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingress.publisher import Publisher
from sync_worker.contract import ChangeEvent, EntityKind, RecordType, event_message, new_trace
from sync_worker.domain.identity import bitrix24_ref
from tests.process.cutting import WiredPlace
from tests.process.exchange import CeleryProcess, wait_until
from tests.process.test_circuit import bring_forward, governor_of
from tests.process.trials import Crowd, Verdict, partners

SETTLE_SECONDS = 240
ROUNDS = 3  # sweeps after the faults have ended, at most
EACH = 2  # new linked records of each kind before a history begins
WORKERS = 2
MOST_KILLS = 2  # a third death under one event would make a dead letter of it, and rightly so
WEBHOOK_FAULTS = "event_loss=0.15,event_repeat=0.2,event_shuffle=0.2@1"
COMMON_FAULTS = (
    "http503=0.4", "http502=0.3", "http500=0.2", "html=0.15", "reset_before=0.3", "reset_after=0.2", "hang=0.3@1",
    "maintenance",
)  # fmt: skip
PORTAL_FAULTS = (*COMMON_FAULTS, "truncated=0.15", "no_result=0.15", "error_in_200=0.2")
EDITS = (
    *("phone", "comment", "deal", "lead", "invoice", "status") * 2,
    *("new contact", "new party", "new deal", "new lead", "new invoice"),
)  # fmt: skip
FAULTS = (*("kill", "stall", "portal", "onec") * 2, "reset", "redis")
STATUSES = {"КОбеспечению": "EXECUTING", "КОтгрузке": "FINAL_INVOICE"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One edit, or one fault that lasts for `seconds`. The numbers choose among whatever there is."""

    at: float  # seconds after the history began
    what: str  # of EDITS or FAULTS
    which: int
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:.1f} {self.what} {self.which}" + (f" for {self.seconds:.1f} s" if self.seconds else "")


def draw(seed: str, *, edits: int, faults: int, seconds: float) -> list[Step]:
    """The same seed draws the same history."""
    chance = random.Random(seed)
    steps = [
        Step(at=chance.uniform(0, seconds), what=chance.choice(EDITS), which=chance.randrange(1000))
        for _ in range(edits)
    ]
    kinds = [chance.choice(FAULTS) for _ in range(faults)]
    too_many = [place for place, kind in enumerate(kinds) if kind == "kill"][MOST_KILLS:]
    for place in too_many:
        kinds[place] = "stall"
    steps += [
        Step(
            at=chance.uniform(0, seconds * 0.8),
            what=kind,
            which=chance.randrange(1000),
            seconds=chance.uniform(0.5, seconds * 0.5),
        )
        for kind in kinds
    ]
    return sorted(steps, key=lambda step: step.at)


@dataclass(kw_only=True)
class _People:
    """Who edits, and what was typed last: (kind, id on the side where it is typed) -> value."""

    place: WiredPlace
    crowd: Crowd
    typed: dict[tuple[str, Any], str] = field(default_factory=dict)
    orders: dict[int, str] = field(default_factory=dict)  # of deals that were linked before the history began
    _count: int = 0

    def gather(self) -> None:
        """Records that both sides know, for the history to come."""
        self.crowd.add(EACH)
        wait_until(self.place.is_settled, seconds=SETTLE_SECONDS, what="the new records are linked")
        found = {str(one["external_id"]): str(one["ref"]) for one in self.place.orders()}
        self.orders = {deal: found[f"b24:deal:{deal}"] for deal in self.crowd.deals}

    def edit(self, step: Step) -> None:
        self._count += 1
        getattr(self, f"_{step.what.replace(' ', '_')}")(step.which, self._count)

    def _phone(self, which: int, number: int) -> None:
        contact = self._of(self.crowd.contacts, which)
        self.typed["phone", contact] = f"+7916{which:03}{number:04}"
        self.place.portal_form(f"contacts/{contact}", phone=self.typed["phone", contact])

    def _comment(self, which: int, number: int) -> None:
        party = self._of(self.crowd.parties, which)
        self.typed["comment", party] = f"правка {number}"
        self.place.onec_form(f"counterparties/{party}", comment=self.typed["comment", party])

    def _deal(self, which: int, number: int) -> None:
        deal = self._of(self.crowd.deals, which)
        self.typed["title", deal] = f"Сделка {deal}, правка {number}"
        self.place.portal_form(f"deals/{deal}", title=self.typed["title", deal])

    def _lead(self, which: int, number: int) -> None:
        lead = self._of(self.crowd.leads, which)
        self.typed["lead", lead] = f"Заявка {lead}, правка {number}"
        self.place.portal_form(f"leads/{lead}", title=self.typed["lead", lead])

    def _invoice(self, which: int, number: int) -> None:
        invoice = self._of(self.crowd.invoices, which)
        self.typed["amount", invoice] = f"{100 + number}.00"
        self.place.onec_form(f"invoices/{invoice}", amount=self.typed["amount", invoice])

    def _status(self, which: int, number: int) -> None:
        deal = self._of(list(self.orders), which)
        self.typed["stage", deal] = list(STATUSES)[number % 2]
        self.place.onec_form(f"orders/{self.orders[deal]}", status=self.typed["stage", deal])

    def _new_contact(self, _which: int, number: int) -> None:
        self.crowd.contacts.append(self.place.portal_form("contacts", last_name=f"Новый{number}-{time.time_ns()}"))

    def _new_party(self, _which: int, number: int) -> None:
        name = f"Новый{number}-{time.time_ns()} Пётр"
        self.crowd.parties.append(self.place.onec_form("counterparties", kind="person", name=name))

    def _new_deal(self, _which: int, number: int) -> None:
        values = {"contact_id": self.crowd.payer[0], "opportunity": 100, "stage_id": "EXECUTING"}
        self.crowd.deals.append(self.place.portal_form("deals", title=f"Новая {number}", **values))

    def _new_lead(self, _which: int, number: int) -> None:
        self.crowd.leads.append(self.place.portal_form("leads", title=f"Новая {number}", status_id="CONVERTED"))

    def _new_invoice(self, _which: int, number: int) -> None:
        values = {"counterparty_ref": self.crowd.payer[1], "amount": f"{200 + number}.00"}
        self.crowd.invoices.append(self.place.onec_form("invoices", **values))

    def _of(self, records: Sequence[Any], which: int) -> Any:
        return records[which % len(records)]

    # --- what must hold ----------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What one side has of it that the other side has not; and what is there twice."""
        return [*self.crowd.wrongs(), *self._untold()]

    def _untold(self) -> Iterator[str]:
        portal, onec = self.place.portal_state(), self.place.base.show_state()
        parties, cards = partners(self.place), {int(card["ID"]): card for card in portal["contacts"]}
        by_mark = {str(card.get("UF_CRM_1C_ID")): card for card in cards.values()}
        deals = {int(card["ID"]): card for card in portal["deals"]}
        orders = {str(one["external_id"]): one for one in onec["orders"]}
        leads = {str(one["external_id"]): one for one in onec["leads"]}
        invoices = {str(item.get("xmlId")): item for item in portal["smart_invoices"]}
        seen: dict[str, Callable[[Any], Any]] = {
            "phone": lambda id_: parties[id_]["phones"][0]["value"],
            "comment": lambda ref: by_mark[ref].get("COMMENTS"),
            "title": lambda id_: orders[f"b24:deal:{id_}"]["title"],
            "lead": lambda id_: leads[f"b24:lead:{id_}"]["title"],
            "amount": lambda ref: f"{float(invoices[ref]['opportunity']):.2f}",
            "stage": lambda id_: next(name for name, stage in STATUSES.items() if stage == deals[id_]["STAGE_ID"]),
        }
        for (kind, id_), value in self.typed.items():
            try:
                found = seen[kind](id_)
            except (LookupError, StopIteration) as missing:
                found = f"nothing ({type(missing).__name__} {missing})"
            if value not in str(found):
                yield f"{kind} of {id_} was typed {value!r}, and the other side has {found!r}"

    def ring_all(self) -> None:
        """Everything once more: as doorbells of the portal, and saved as it is in 1C."""
        kinds = (
            (EntityKind.CONTACT, RecordType.CONTACT, self.crowd.contacts),
            (EntityKind.DEAL, RecordType.DEAL, self.crowd.deals),
            (EntityKind.LEAD, RecordType.LEAD, self.crowd.leads),
        )
        publisher = Publisher(self.place.environment["BROKER_URL"])
        publisher.publish(
            [
                event_message(
                    ChangeEvent(
                        entity=entity,
                        record=bitrix24_ref(type_, id_),
                        seen_at=datetime.now(UTC),
                        trace=new_trace(),
                        whole=True,
                    )
                )
                for entity, type_, ids in kinds
                for id_ in ids
            ]
        )
        publisher.close()
        for ref in self.crowd.parties:
            self.place.onec_form(f"counterparties/{ref}")
        for ref in self.crowd.invoices:
            self.place.onec_form(f"invoices/{ref}")


class _Weather:
    """The faults: begun at their moments, ended after their time, all of them ended by `heal`."""

    def __init__(self, place: WiredPlace, workers: Sequence[CeleryProcess], seed: str) -> None:
        self.place, self.workers = place, workers
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._stopped: set[int] = set()
        self._specs: dict[str, list[str]] = {"portal": [], "onec": []}
        for side, faults in (("portal", place.portal.faults), ("onec", place.base.faults)):
            faults._random = random.Random(f"{seed} {side}")
            self._apply(side)

    def begin(self, step: Step, now: float) -> None:
        end = getattr(self, f"_{step.what}")(step.which)
        if end is not None:
            self._ends.append((now + step.seconds, end))
            self._ends.sort(key=lambda one: one[0])

    def next_end(self) -> float:
        return self._ends[0][0] if self._ends else float("inf")

    def end_next(self) -> None:
        self._ends.pop(0)[1]()

    def heal(self) -> None:
        while self._ends:
            self.end_next()
        for faults in (self.place.portal.faults, self.place.base.faults):
            faults.replace("")

    def _kill(self, which: int) -> None:
        """A supervisor starts it again at once; the next step may come before it is up."""
        worker = self.workers[which % len(self.workers)]
        worker.kill()
        self._stopped.discard(which % len(self.workers))
        worker.launch()

    def _stall(self, which: int) -> Callable[[], None]:
        number = which % len(self.workers)
        self._signal(number, signal.SIGSTOP)
        self._stopped.add(number)

        def go_on() -> None:
            if number in self._stopped:  # else it was killed meanwhile
                self._signal(number, signal.SIGCONT)
                self._stopped.discard(number)

        return go_on

    def _signal(self, number: int, kind: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.workers[number].pid, kind)

    def _portal(self, which: int) -> Callable[[], None]:
        return self._strike("portal", PORTAL_FAULTS[which % len(PORTAL_FAULTS)])

    def _onec(self, which: int) -> Callable[[], None]:
        return self._strike("onec", COMMON_FAULTS[which % len(COMMON_FAULTS)])

    def _strike(self, side: str, spec: str) -> Callable[[], None]:
        self._specs[side].append(spec)
        self._apply(side)

        def end() -> None:
            self._specs[side].remove(spec)
            self._apply(side)

        return end

    def _apply(self, side: str) -> None:
        faults = self.place.portal.faults if side == "portal" else self.place.base.faults
        faults.replace(",".join([*self._specs[side], WEBHOOK_FAULTS]))

    def _reset(self, _which: int) -> None:
        self.place.wire.reset()

    def _redis(self, _which: int) -> Callable[[], None] | None:
        if not self.place.redis.is_running:
            return None
        self.place.redis.kill()
        return lambda: self.place.redis.start() and None


def live_through(folder: Path, *, histories: int, edits: int, faults: int, seconds: float, seed: int) -> Verdict:
    """One history after another in one exchange; the first one that does not come to agree is the last."""
    done, letters, wrongs = Counter[str](), Counter[str](), list[str]()
    swept = written = count = 0
    with WiredPlace(folder) as place:
        workers = [place.worker, *(place.start_worker(f"worker{number}") for number in range(1, WORKERS))]
        people = _People(place=place, crowd=Crowd(place=place))
        for number in range(histories):
            plan = draw(f"{seed} {number}", edits=edits, faults=faults, seconds=seconds)
            people.gather()
            _happen(place, workers, people, plan, f"{seed} {number}")
            done.update(step.what for step in plan if step.what in FAULTS)
            count += 1
            swept += _sweep(place)
            causes = Counter(letter["cause"] for letter in place.letters())
            letters += causes
            _answer_conflicts(place)
            wrongs = [*people.differences(), *_shown(place)]
            written = _second_sync(place, people)
            if wrongs or written:
                wrongs = [f"history {number}: {wrong}" for wrong in wrongs]
                break
    shown = ", ".join(f"{kind} {times}" for kind, times in sorted(done.items()))
    return Verdict(
        trial=f"{histories} random histories of {edits} edits and {faults} faults in {seconds:g} s, {WORKERS} workers",
        seed=seed,
        passed=count == histories and not wrongs and not written,
        seen=f"{count - bool(wrongs or written)} of {histories} end in agreement ({shown}; webhooks lost, repeated, "
        f"shuffled); {len(wrongs)} differences {wrongs[:5]}, {written} writes of a second sync, "
        f"{swept} records found by the sweeps, dead letters: {dict(letters) or 0}",
    )


def _happen(
    place: WiredPlace, workers: Sequence[CeleryProcess], people: _People, plan: Sequence[Step], seed: str
) -> None:
    """The whole history; then nothing fails any more, and what waits for its time is brought forward."""
    weather, began = _Weather(place, workers, seed), time.monotonic()
    try:
        for step in plan:
            while (end := weather.next_end()) <= step.at:
                _sleep_until(began + end)
                weather.end_next()
            _sleep_until(began + step.at)
            if step.what in FAULTS:
                weather.begin(step, step.at)
            else:
                people.edit(step)
    finally:
        weather.heal()
    settle(place)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def settle(place: WiredPlace) -> None:
    """Wait until nothing waits; nobody has the time for what is parked for a minute."""
    governor = governor_of(place)

    def is_settled() -> bool:
        if place.is_settled():
            return True
        governor.probe_now()
        bring_forward(place)
        time.sleep(1)
        return False

    wait_until(is_settled, seconds=SETTLE_SECONDS, what="nothing waits")


def _sweep(place: WiredPlace) -> int:
    """Until a sweep finds nothing. Returns how many records it found that no event had announced."""
    found = 0
    for _round in range(ROUNDS):
        done = place.command("reconcile", "--no-wait", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        new = sum(json.loads(done.stdout)["drift"].values())
        settle(place)
        found += new
        if not new:
            break
    return found


def _answer_conflicts(place: WiredPlace) -> None:
    """An update whose answer was lost, and an edit on the other side before the next try: that is for a person to say.

    Comments are typed in 1C only.
    """
    for letter in place.letters():
        if letter["message"].endswith("changed: comment"):
            done = place.command("dead", "resolve", letter["id"], "--take", "onec", "--no-wait")
            assert done.returncode == 0, done.stdout + done.stderr
    settle(place)


def _shown(place: WiredPlace) -> list[str]:
    return [f"letter {one['cause']} of {one['record']}: {one['message']}" for one in place.letters()]


def _second_sync(place: WiredPlace, people: _People) -> int:
    before = place.writes()
    people.ring_all()
    settle(place)
    return place.writes() - before
