"""The built worker between the sandbox's two real systems, with a real Redis and without Celery.

Events are what the two systems really announce, read by the ingress's own readers; a test takes them when it likes, in
the order it likes. `settle` plays the part of the task: what fails is tried again, parked or filed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingress.bitrix24 import parse_form, read_event
from ingress.onec import read_events
from sync_worker.contract import Change, ChangeEvent, new_trace
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.sync.retry_policy import WaitFor
from sync_worker.sync.worker import SyncWorker, after_failure
from tests.sandbox import onec_peer, portal_peer

INN, KPP, OTHER_KPP = "7707083893", "773601001", "780101001"
TOKEN = "token-of-the-flow-tests"
PARKED_SECONDS = 300
A_WHILE_SECONDS = 2  # longer than a record's doorbells are gathered
MOST_ROUNDS = 50  # of work that follows from work; more is a loop
_WRITES = ("add", "update", "set", "delete")


class MovableClock:
    """Real time, and as much as a test adds to it. Nobody sleeps."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self._stopped_at: datetime | None = None

    def stop(self) -> None:
        """From now on time passes by sleeping only."""
        self._stopped_at = datetime.now(UTC)

    def now(self) -> datetime:
        return (self._stopped_at or datetime.now(UTC)) + self.ahead

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Count:
    """What was asked of both systems in a block; filled when it ends."""

    portal: list[str] = field(default_factory=list)  # methods, those inside batches by themselves
    onec: list[str] = field(default_factory=list)  # "POST /counterparties"

    @property
    def writes(self) -> list[str]:
        methods = [method for method in self.portal if method.rpartition(".")[2] in _WRITES]
        return methods + [call for call in self.onec if not call.startswith("GET")]


class FlowWorld:
    def __init__(
        self,
        portal: portal_peer.Peer,
        onec: onec_peer.Peer,
        build: Callable[..., SyncWorker],
        build_office: Callable[..., DeadLetterOffice],
    ) -> None:
        self.portal = portal
        self.onec = onec
        self.clock = MovableClock()
        self.queue: list[ChangeEvent] = []  # what the worker itself sent
        self._build = build
        self.worker = self.new_worker()
        self.office = build_office(send_task=self._send_task, clock=self.clock)
        self._portal_seen = 0
        self._onec_seen = 0
        self._handled: dict[tuple[Any, ...], ChangeEvent] = {}

    def new_worker(self) -> SyncWorker:
        """One more process of the same exchange."""
        return self._build(send_task=self._send_task, clock=self.clock)

    def _send_task(self, _name: str, *, kwargs: dict[str, Any], **_how: Any) -> None:
        self.queue.append(ChangeEvent.load(kwargs["event"]))

    # --- events ------------------------------------------------------------------------------------------------------

    def events(self) -> list[ChangeEvent]:
        """What both systems announced since the last look, oldest first: the portal's, then 1C's."""
        fired = self.portal.portal.events.log[self._portal_seen :]
        told = self.onec.base.outbox.show()[self._onec_seen :]
        self._portal_seen += len(fired)
        self._onec_seen += len(told)
        found = [self._read_fired(one) for one in fired]
        good, bad = read_events([one["event"] for one in told], seen_at=self.clock.now())
        assert not bad
        return [event for event in found if isinstance(event, ChangeEvent)] + good

    def _read_fired(self, fired: Any) -> Any:
        body = self.portal.portal.events.body(fired, handler_id=1, sent_at=fired.at)
        return read_event(parse_form(body.encode()), seen_at=self.clock.now(), tokens=(TOKEN,))

    def bell(self, ref: RecordRef, change: Change = Change.CHANGED) -> ChangeEvent:
        kind = EntityKind.CONTACT if ref.type in (RecordType.COMPANY, RecordType.REQUISITE) else EntityKind(ref.type)
        return ChangeEvent(entity=kind, record=ref, change=change, seen_at=self.clock.now(), trace=new_trace())

    # --- work --------------------------------------------------------------------------------------------------------

    def handle(self, event: ChangeEvent, worker: SyncWorker | None = None) -> str:
        """As the task does, a while after whatever was before: an outcome, or what was decided after a failure."""
        self.clock.sleep(A_WHILE_SECONDS)
        return self.handle_at_once(event, worker)

    def handle_at_once(self, event: ChangeEvent, worker: SyncWorker | None = None) -> str:
        worker = worker or self.worker
        if event.change is Change.CHANGED:
            self._handled[event.entity, event.record] = event
        try:
            found = worker.resolve(event)
            if found is None:
                return "skipped"
            event = found
            return worker.handle(event).value
        except Exception as error:  # every failure is settled, as tasks/base.py does
            failure = error
        decision = worker.settle(event, failure)
        if isinstance(decision, WaitFor):
            self.queue.append(after_failure(event, decision))
        return getattr(failure, "cause", repr(failure))

    def drain(self) -> list[str]:
        """Handle everything that was announced, is queued or parked, and what follows from it, until all is still.

        Nobody waits for a parked event: when nothing else is left, the clock is put on.
        """
        outcomes: list[str] = []
        for _round in range(MOST_ROUNDS):
            self.worker.release_parked()
            events, self.queue = [*self.queue, *self.events()], []
            outcomes += [self.handle(event) for event in events]
            if not events and not self.worker.parked.count():
                return outcomes
            if not events:
                self.clock.sleep(PARKED_SECONDS)
        raise AssertionError(f"no rest after {MOST_ROUNDS} rounds: {outcomes[-10:]}")

    def letters(self) -> list[DeadLetter]:
        return self.worker.letters.page()[0]

    def replay(self, letter: DeadLetter) -> None:
        self.office.replay_one(letter.id, by="operator")

    @contextmanager
    def counted(self) -> Iterator[Count]:
        count = Count()
        portal_before, onec_before = len(self.portal.portal.journal), len(self.onec.base.journal.calls)
        yield count
        for call in self.portal.portal.journal[portal_before:]:
            count.portal += call["commands"] or [call["method"]]
        count.onec += [f"{call.method} {call.path}" for call in self.onec.base.journal.calls[onec_before:]]

    def assert_at_rest(self) -> None:
        """All is handled, and to handle every record once more writes nothing on either side."""
        self.drain()
        with self.counted() as count:
            for event in list(self._handled.values()):
                self.handle(replace(event, seen_at=self.clock.now(), attempts=0))
        assert count.writes == []
        assert self.drain() == []

    # --- people ------------------------------------------------------------------------------------------------------

    def portal_form(self, path: str, **form: Any) -> int:
        """What a manager does on the portal."""
        answer = self.portal.form(f"/ui/{path}", form)
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["id"])

    def company(self, **form: Any) -> RecordRef:
        return bitrix24_ref(RecordType.COMPANY, self.portal_form("companies", **{"title": "ООО Ромашка", **form}))

    def contact(self, **form: Any) -> RecordRef:
        form = {"last_name": "Осипова", "name": "Анна", **form}
        return bitrix24_ref(RecordType.CONTACT, self.portal_form("contacts", **form))

    def deal(self, **form: Any) -> RecordRef:
        row = {"row_name": "Стол", "row_quantity": "2", "row_price": "600.25", "row_tax_rate": "20"}
        form = {"title": "Кофемашины", "category_id": 0, "stage_id": "EXECUTING", **row, **form}
        return bitrix24_ref(RecordType.DEAL, self.portal_form("deals", **form))

    def party(self, **form: str) -> str:
        """A counterparty that a bookkeeper adds."""
        return self.onec.by_hand("counterparties", **{"kind": "company", "name": "АО Вектор", **form})["ref"]

    # --- what stands there -------------------------------------------------------------------------------------------

    def in_portal(self, type_: str, id_: str | int) -> dict[str, Any]:
        return self.portal.call(f"crm.{type_}.get", id=id_)

    def portal_all(self, type_: str) -> list[dict[str, Any]]:
        """All but our own company."""
        found = self.portal.call(f"crm.{type_}.list", select=["*", "UF_*", "PHONE", "EMAIL"])
        return [one for one in found if one.get("IS_MY_COMPANY") != "Y"]

    def in_onec(self, type_: str) -> list[dict[str, Any]]:
        return self.onec.base.show_state()[type_]


class CrashingLinks:
    """A links store whose process is killed right before its first save."""

    def __init__(self, links: Any) -> None:
        self._links = links
        self._is_alive = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._links, name)

    def save(self, link: Any) -> None:
        if not self._is_alive:
            self._is_alive = True
            raise RuntimeError("killed before the link was saved")
        self._links.save(link)


def crash_before_link(world: FlowWorld, entity: EntityKind) -> None:
    """Have the flow of this entity die between its next create and the saving of the link."""
    flow: Any = world.worker.flows[entity]
    dying = replace(flow, links=CrashingLinks(flow.links))
    world.worker = replace(world.worker, flows={**world.worker.flows, entity: dying})
