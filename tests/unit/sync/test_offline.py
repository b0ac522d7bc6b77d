"""Reading the offline queue: what a row becomes, what a kill at each step leaves behind, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sandbox.portal import Portal, PortalSettings
from sync_worker.contract import ChangeEvent, Misfit
from sync_worker.domain.doorbell import codes_to_hear
from sync_worker.domain.identity import EntityKind
from sync_worker.errors import (
    CircuitOpen,
    Misconfigured,
    RateLimited,
    RecordBusy,
    RemoteUnavailable,
    ShutOut,
    StoreUnavailable,
)
from sync_worker.gateways.bitrix24.offline import Bitrix24Offline
from sync_worker.sync.offline import LOCK, LONGEST_GAP_SECONDS, PAUSE_SECONDS, OfflineSource
from tests.fakes.offline import InsideClient, MemoryOfflineNotes
from tests.fakes.stores import FakeClock, MemoryLocks

CODES = codes_to_hear(smart_invoices=True)
ROWS = [("ONCRMDEALUPDATE", str(number)) for number in range(1, 4)]


class Outbox:
    """Where events are in safety; `failing` comes instead, once for each publishing to come."""

    def __init__(self) -> None:
        self.published: list[ChangeEvent] = []
        self.failing: list[Exception | None] = []

    def publish(self, event: ChangeEvent) -> None:
        failure = self.failing.pop(0) if self.failing else None
        if failure is not None:
            raise failure
        self.published.append(event)

    def strike(self, task_id: str) -> None: ...

    def send_lost(self) -> list[str]:
        return []

    def names(self) -> list[str]:
        return [event.record.key for event in self.published]


class World:
    """A portal with its queue, and all that outlives a process that reads it."""

    def __init__(self, *, reserves: bool = True) -> None:
        self.portal = Portal(PortalSettings(reserves_offline_rows=reserves))
        self.queue = self.portal.events.offline
        self.client = InsideClient(self.portal)
        self.notes, self.outbox, self.locks, self.clock = MemoryOfflineNotes(), Outbox(), MemoryLocks(), FakeClock()
        self.kept: list[Misfit] = []
        self.shut: list[Exception] = []

    def source(self, **other: Any) -> OfflineSource:
        """Another process's."""
        queue = Bitrix24Offline(client=self.client)  # type: ignore[arg-type]  # the same calls, without HTTP
        parts: dict[str, Any] = {
            "queue": queue,
            "subscriptions": queue,
            "notes": self.notes,
            "outbox": self.outbox,
            "keep": self.kept.append,
            "ensure_open": self._ensure_open,
        }
        rest = {"locks": self.locks, "clock": self.clock, "codes": CODES, "mask": lambda text: text}
        return OfflineSource(**{**parts, **other}, **rest)  # type: ignore[arg-type]

    def _ensure_open(self) -> None:
        if self.shut:
            raise self.shut.pop()

    def change(self, code: str, *ids: object, **fields: object) -> None:
        for id_ in ids:
            self.portal.events.fire(code, {"FIELDS": {"ID": id_, **fields}})


def ready(*, reserves: bool = True) -> World:
    """A world whose application listens already."""
    world = World(reserves=reserves)
    world.source().look()
    world.client.called.clear()
    return world


# --- what is listened to ---------------------------------------------------------------------------------------------


def test_all_events_are_bound_once_and_looked_after_every_hour() -> None:
    world = World()

    world.source().look()
    first = list(world.client.called)
    world.client.called.clear()
    world.source().look()
    quiet = list(world.client.called)
    world.queue.unbind("ONCRMDEALADD")  # as where the application was installed anew
    world.clock.sleep(3601)
    world.client.called.clear()
    world.source().look()

    assert first.count("event.bind") == len(CODES)
    assert quiet == ["event.offline.get"], "a look at an empty queue is one call"
    assert world.client.called.count("event.bind") == 1
    assert sorted(world.queue.bound) == sorted(CODES)


def test_an_event_that_the_portal_has_not_hinders_nothing() -> None:
    world = World()
    source = replace(world.source(), codes=(*CODES, "ONCRMSOMETHINGOLD"))

    look = source.look()

    assert look.error is None
    assert set(world.queue.bound) == set(CODES)


# --- what a row becomes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reserves", [True, False])
def test_rows_become_doorbells_and_leave_the_portal(reserves: bool) -> None:
    world = ready(reserves=reserves)
    world.change("ONCRMDEALUPDATE", "7")
    world.change("ONCRMCONTACTDELETE", 8)  # JSON holds numbers too
    world.change("ONCRMDYNAMICITEMUPDATE", "9", ENTITY_TYPE_ID="31")
    world.change("ONCRMDYNAMICITEMUPDATE", "9", ENTITY_TYPE_ID="128")

    look = world.source().look()

    assert look.rows == world.notes.counted == {"rung": 3, "ignored": 1}
    told = {event.record.key: event for event in world.outbox.published}
    assert set(told) == {"deal:7", "contact:8", "invoice:9"}
    assert told["contact:8"].change == "deleted"
    assert {event.seen_at for event in told.values()} == {world.clock.now()}
    assert world.queue.rows == []
    assert world.notes.opened() is None


def test_a_new_record_rings_once_though_it_is_told_of_twice() -> None:
    world = ready()
    world.change("ONCRMDEALADD", "7")
    world.change("ONCRMDEALUPDATE", "7")

    assert world.source().look().rows == {"rung": 2}
    assert world.outbox.names() == ["deal:7"]


@pytest.mark.parametrize("reserves", [True, False])
def test_a_row_that_cannot_be_read_is_kept_for_a_person(reserves: bool) -> None:
    world = ready(reserves=reserves)
    world.portal.events.fire("ONCRMDEALADD", {})
    world.queue.rows[0]["EVENT_DATA"] = False  # as in the documented sample
    world.queue.rows[0]["EVENT_ADDITIONAL"] = {"auth": "s3cret"}

    assert world.source().look().rows == {"kept": 1}

    (misfit,) = world.kept
    assert (misfit.entity, list(misfit.errors)) == (EntityKind.DEAL, ["EVENT_DATA[FIELDS][ID]"])
    assert misfit.raw["EVENT_NAME"] == "ONCRMDEALADD"
    assert "s3cret" not in repr(misfit)
    assert world.queue.rows == []


def test_a_row_that_breaks_us_is_marked_and_the_others_go_on() -> None:
    world = ready()
    world.change("ONCRMDEALUPDATE", "1", "2", "3")
    world.outbox.failing = [None, ValueError("nobody foresaw this")]

    assert world.source().look().rows == {"rung": 2, "failed": 1}

    assert world.outbox.names() == ["deal:1", "deal:3"]
    assert [(row["EVENT_DATA"]["FIELDS"]["ID"], row["ERROR"]) for row in world.queue.rows] == [("2", "1")]
    assert world.source().look().rows == {}, "it does not come again"


def test_a_row_that_breaks_us_and_is_off_the_portal_is_kept_for_a_person() -> None:
    world = ready(reserves=False)
    world.change("ONCRMDEALUPDATE", "1", "2", "3")
    world.outbox.failing = [None, ValueError("nobody foresaw this")]

    assert world.source().look().rows == {"rung": 2, "failed": 1}

    assert world.outbox.names() == ["deal:1", "deal:3"]
    [kept] = world.kept
    assert kept.raw["EVENT_DATA"]["FIELDS"]["ID"] == "2"
    assert world.queue.rows == []


@pytest.mark.parametrize("reserves", [True, False])
def test_a_long_queue_is_taken_page_by_page(reserves: bool) -> None:
    world = ready(reserves=reserves)
    world.change("ONCRMLEADUPDATE", *range(1, 121))

    assert world.source().look().rows == {"rung": 120}

    assert len(set(world.outbox.names())) == 120
    assert world.queue.rows == []


def test_a_change_while_its_row_is_handled_makes_another_row() -> None:
    world = ready()
    world.change("ONCRMDEALUPDATE", "7")
    changed: list[bool] = []

    class Editing(Outbox):
        def publish(self, event: ChangeEvent) -> None:
            super().publish(event)
            if not changed:
                changed.append(True)
                world.change("ONCRMDEALUPDATE", "7")

    outbox = Editing()
    world.source(outbox=outbox).look()
    world.source(outbox=outbox).look()

    assert outbox.names() == ["deal:7", "deal:7"]


# --- kills -----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing of it runs any more but what stands in its `with`."""


class Mortal:
    """A part of the world whose process dies at one of its calls, counted over all parts: before it, or behind it."""

    steps = 0

    def __init__(self, part: Any, die_at: int, *, is_done: bool) -> None:
        self._part, self._die_at, self._is_done = part, die_at, is_done

    def __getattr__(self, name: str) -> Any:
        return self._wrapped(getattr(self._part, name))

    def __call__(self, *arguments: Any) -> Any:
        return self._wrapped(self._part)(*arguments)

    def _wrapped(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            Mortal.steps += 1
            is_last = Mortal.steps == self._die_at
            if is_last and not self._is_done:
                raise Killed
            result = run(*arguments, **named)
            if is_last:
                raise Killed
            return result

        return step


@pytest.mark.parametrize("is_done", [False, True], ids=["before the step", "behind the step"])
@pytest.mark.parametrize(
    ("reserves", "are_notes_lost"),
    # noted rows are nowhere else: where Redis forgets them too, it is for the sweep
    [(True, False), (True, True), (False, False)],
    ids=["reserved", "reserved, and Redis forgot", "noted"],
)
def test_a_kill_at_any_step_loses_nothing(reserves: bool, is_done: bool, are_notes_lost: bool) -> None:
    for die_at in range(1, 100):
        world = World(reserves=reserves)
        for code in CODES:
            world.queue.bind(code)
        world.change("ONCRMDEALUPDATE", "1", "2", "3")
        world.portal.events.fire("ONCRMDEALADD", {})  # cannot be read
        Mortal.steps = 0
        names = ("queue", "subscriptions", "notes", "outbox", "keep")
        dying = world.source()
        parts = {name: Mortal(getattr(dying, name), die_at, is_done=is_done) for name in names}
        try:
            world.source(**parts).look()
        except Killed:
            if are_notes_lost:
                world.notes = MemoryOfflineNotes()
        else:
            assert die_at > 8, "there was nothing to be killed at"
            return
        world.source().look()

        assert set(world.outbox.names()) == {"deal:1", "deal:2", "deal:3"}, f"killed at step {die_at}"
        assert world.kept, f"killed at step {die_at}"
        assert world.queue.rows == [], f"killed at step {die_at}"
    pytest.fail("it never came to its end")


def test_a_broker_that_is_away_leaves_the_rows_where_they_are() -> None:
    world = ready()
    world.change("ONCRMDEALUPDATE", "1", "2", "3")
    world.outbox.failing = [None, StoreUnavailable("the broker does not take messages", retry_after_seconds=5)]

    look = world.source().look()

    assert isinstance(look.error, StoreUnavailable)
    assert len(world.queue.rows) == 3
    world.clock.sleep(6)
    world.source().look()
    assert set(world.outbox.names()) == {"deal:1", "deal:2", "deal:3"}
    assert world.queue.rows == []


def test_rows_that_do_not_go_are_no_endless_loop() -> None:
    world = ready()
    world.change("ONCRMDEALUPDATE", "1")
    world.queue.take(None, None, limit=50, process_id=None, with_errors=False, clear=False)
    world.notes.open(())
    stuck = Mortal(world.source().queue, 0, is_done=False)
    stuck.clear = lambda *_: None  # type: ignore[attr-defined]

    look = world.source(queue=stuck).look()

    assert isinstance(look.error, RemoteUnavailable)


# --- troubles --------------------------------------------------------------------------------------------------------


def test_an_application_that_is_shut_out_is_told_of_once_and_tried_ever_more_seldom() -> None:
    world = ready()
    gaps, alarms = [], 0
    for _ in range(6):
        world.client.failing = {"event.get": Misconfigured("no refresh token is valid any more")}
        world.client.failing["event.offline.get"] = Misconfigured("no refresh token is valid any more")
        look = world.source().look()
        alarms += look.is_alarm
        trouble = world.notes.trouble()
        assert trouble is not None
        gaps.append(trouble.gap_seconds)
        world.client.called.clear()
        world.clock.sleep(trouble.gap_seconds - 1)
        assert world.source().look().error is None
        assert world.client.called == [], "not before its time"
        world.clock.sleep(2)
    world.client.failing.clear()

    look = world.source().look()

    assert gaps == [60, 120, 240, 480, LONGEST_GAP_SECONDS, LONGEST_GAP_SECONDS]
    assert (alarms, look.error, look.is_well_again, world.notes.trouble()) == (1, None, True, None)


def test_a_passing_failure_is_no_alarm_and_is_tried_again_soon() -> None:
    world = ready()
    world.client.failing = {"event.offline.get": RemoteUnavailable("a timeout")}

    look = world.source().look()

    assert (look.is_alarm, world.notes.trouble().gap_seconds) == (False, PAUSE_SECONDS)  # type: ignore[union-attr]
    world.clock.sleep(PAUSE_SECONDS)
    again = world.source().look()
    assert (again.error, again.is_well_again) == (None, False)


def test_the_remote_says_how_long_to_wait() -> None:
    world = ready()
    world.client.failing = {"event.offline.get": RateLimited("spent", retry_after_seconds=5)}

    world.source().look()

    trouble = world.notes.trouble()
    assert trouble is not None
    assert trouble.again_at == world.clock.now() + timedelta(seconds=5)


def test_an_outage_amid_a_lasting_trouble_raises_no_second_alarm() -> None:
    world = ready()
    alarms = []
    for failure in (Misconfigured("shut"), RemoteUnavailable("down"), Misconfigured("shut")):
        world.client.failing = {"event.get": failure, "event.offline.get": failure}
        alarms.append(world.source().look().is_alarm)
        world.clock.sleep(3600)

    assert alarms == [True, False, False]


def test_somebody_who_is_no_administrator_is_an_alarm_too() -> None:
    world = World()
    world.client.user_id = 2

    look = world.source().look()

    assert look.is_alarm
    assert "administrator" in str(look.error)


@pytest.mark.parametrize("shut", [CircuitOpen("Bitrix24 is shut to us", retry_after_seconds=4), ShutOut("expired")])
def test_while_the_portal_is_shut_to_all_of_us_it_is_not_asked(shut: Exception) -> None:
    world = ready()
    world.shut = [shut]

    look = world.source().look()

    assert (look.is_alarm, world.client.called) == (False, [])


def test_one_process_at_a_time_looks() -> None:
    world = ready()
    with world.locks.hold(LOCK):
        assert world.source().look().rows == {}
    assert world.client.called == []
    world.client.failing = {"event.offline.get": RecordBusy("another process renews the tokens")}
    assert world.source().look().error is None
    assert world.notes.trouble() is None
