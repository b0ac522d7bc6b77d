"""What events were lost is found by one sweep, and the next one finds nothing. Both systems real, their clocks ours."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from sync_worker.bootstrap import build_reconciler
from sync_worker.contract import ACCEPTED_KEY, BROKER_KEY_PREFIX, ChangeEvent, EntityKind, Lane
from sync_worker.domain.drift import SweepState
from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.intent import Intent
from sync_worker.domain.rules import ReconcileRules
from sync_worker.errors import AmbiguousMatch, RecordBusy, StoreUnavailable
from sync_worker.settings import load_settings
from sync_worker.sync.reconcile import Reconciler, Report
from tests.flow.world import INN, KPP, FlowWorld

HOUR_SECONDS = 3600


class Sweeper:
    """A flow world whose systems live by its clock, and the sweeps over it."""

    def __init__(self, make_world: Any, *, clock_ahead_seconds: float = 0, **portal_settings: Any) -> None:
        self._clock_ahead_seconds = clock_ahead_seconds
        self._worlds: list[FlowWorld] = []
        self.world: FlowWorld = make_world(clock=self._portal_time, **portal_settings)
        self._worlds.append(self.world)
        settings = load_settings()
        self.reconciler = build_reconciler(settings, send_task=self.world._send_task, clock=self.world.clock)
        self._broker_url = settings.broker_url

    def _portal_time(self) -> float:
        ours = self._worlds[0].clock.now().timestamp() if self._worlds else time.time()
        return ours + self._clock_ahead_seconds

    def lose_events(self) -> int:
        """What both systems announced is lost on the way. Returns how much."""
        return len(self.world.events())

    def sweep(self, reconciler: Reconciler | None = None) -> Report:
        """A while later; nothing is under way, since nobody strikes the flow tests' ledger."""
        self.world.clock.sleep(5)
        with redis.Redis.from_url(self._broker_url) as broker:
            broker.delete(BROKER_KEY_PREFIX + ACCEPTED_KEY)
        return (reconciler or self.reconciler).sweep()

    def settle(self) -> None:
        """Sweep and work until all is at rest."""
        self.sweep()
        self.world.drain()
        self.sweep()
        self.world.drain()

    def limited(self, **rules: int) -> Reconciler:
        return replace(self.reconciler, rules=ReconcileRules(**rules))


@pytest.fixture
def place(make_world) -> Sweeper:
    return Sweeper(make_world)


def records(report: Report) -> list[str]:
    return sorted(event.record.key for event in report.events)


def states(report: Report) -> dict[str, SweepState]:
    return {part.source: part.state for part in report.parts}


def assert_quiet(place: Sweeper) -> None:
    report = place.sweep()
    assert records(report) == []
    assert not any(report.drift.values())
    assert set(states(report).values()) <= {SweepState.DONE}


def test_sweep_of_a_quiet_exchange_hands_nothing_over(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    world.deal(company_id=company.id)
    world.party(name="АО Вектор", inn="7736050003")
    world.drain()

    assert_quiet(place)
    assert_quiet(place)


def test_lost_events_of_every_kind_are_repaired_by_one_sweep(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)
    contact = world.contact(email="anna@example.com")
    party = world.party(name="АО Вектор", inn="7736050003")
    assert place.lose_events()

    report = place.sweep()
    world.drain()

    assert f"counterparty:{party}" in records(report)
    assert {company.key, contact.key, deal.key} <= set(records(report))
    assert {event.lane for event in report.events} == {Lane.BULK}
    assert report.drift[EntityKind.DEAL] == 1
    assert report.drift[EntityKind.CONTACT] >= 3
    assert {one["name"] for one in world.in_onec("counterparties")} == {"ООО Ромашка", "Осипова Анна", "АО Вектор"}
    assert len(world.in_onec("orders")) == 1
    assert [one["TITLE"] for one in world.portal_all("company")].count("АО Вектор") == 1
    assert_quiet(place)
    world.assert_at_rest()


def test_lost_edit_is_found_though_the_record_was_read_before(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    world.drain()
    place.sweep()
    world.drain()
    world.clock.sleep(60)
    world.portal_form(f"companies/{company.id}", title="ООО Василёк")
    place.lose_events()

    report = place.sweep()
    world.drain()

    assert (records(report), report.drift[EntityKind.CONTACT]) == ([company.key], 1)
    assert world.in_onec("counterparties")[0]["name"] == "ООО Василёк"
    assert_quiet(place)


def test_lost_event_of_a_requisite_is_found(place):
    world = place.world
    world.company(inn=INN)
    world.drain()
    (requisite,) = [one for one in world.portal.call("crm.requisite.list") if one["RQ_INN"] == INN]
    world.clock.sleep(60)
    world.portal.call("crm.requisite.update", id=requisite["ID"], fields={"RQ_KPP": KPP})
    place.lose_events()

    place.sweep()
    world.drain()

    assert world.in_onec("counterparties")[0]["kpp"] == KPP
    assert_quiet(place)


def test_deal_that_changed_its_pipeline_is_found_without_an_event(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)
    world.drain()
    world.clock.sleep(60)
    world.portal.call("crm.item.update", entityTypeId=2, id=int(deal.id), fields={"categoryId": 1})
    place.lose_events()

    assert deal.key in records(place.sweep())


def test_lost_deletion_is_found_by_the_full_check_and_put_before_a_person_once(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    world.drain()
    place.settle()
    world.portal_form(f"companies/{company.id}/delete")
    place.lose_events()
    world.clock.sleep(25 * HOUR_SECONDS)

    report = place.sweep()
    world.drain()

    assert records(report) == [company.key]
    (letter,) = world.letters()
    assert letter.cause == "link_broken"
    world.clock.sleep(25 * HOUR_SECONDS)
    assert_quiet(place)


def test_record_that_carries_a_ref_and_lost_its_link_is_linked_again(place):
    world = place.world
    company = world.company(inn=INN, kpp=KPP)
    world.drain()
    place.settle()
    link = world.worker.links.find(company)
    world.worker.links.forget(link)
    world.clock.sleep(49 * HOUR_SECONDS)
    _forget_reads()

    report = place.sweep()
    world.drain()

    assert records(report) == [company.key]
    assert world.worker.links.find(company) == link
    assert len(world.in_onec("counterparties")) == 1
    assert_quiet(place)


def _forget_reads() -> None:
    """They live a day, by Redis's own clock."""
    with redis.Redis.from_url(load_settings().redis_url) as store:
        for key in list(store.scan_iter("sync:read:*")):
            store.delete(key)


def test_1c_state_that_was_handled_is_confirmed_and_not_handed_over(place):
    world = place.world
    world.party(name="АО Вектор", inn="7736050003")
    world.drain()
    assert world.onec.changes()["events"]

    assert_quiet(place)

    assert world.onec.changes()["events"] == []


def test_sweep_that_died_before_confirming_does_no_harm(place):
    world = place.world
    world.party(name="АО Вектор", inn="7736050003")
    place.lose_events()
    queue: Any = place.reconciler.onec
    dying = replace(place.reconciler, onec=_Dying(queue))

    with pytest.raises(RuntimeError, match="killed"):
        place.sweep(dying)
    world.drain()

    assert_quiet(place)
    assert [one["TITLE"] for one in world.portal_all("company")] == ["АО Вектор"]
    assert world.onec.changes()["events"] == []


class _Dying:
    """1C's queue, for a process that is killed before it confirms."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def confirm(self, cursor: str) -> None:
        raise RuntimeError(f"killed before {cursor} was confirmed")


def test_sweep_that_was_killed_in_the_middle_is_resumed_by_the_next(place):
    world = place.world
    contacts = [world.contact(last_name=f"Осипова{number}", email=f"a{number}@example.com") for number in range(5)]
    place.lose_events()
    outbox: Any = place.reconciler.outbox
    broken = replace(place.reconciler, outbox=_Failing(outbox, after=2))

    with pytest.raises(StoreUnavailable):
        place.sweep(broken)
    assert len(world.queue) == 2
    world.drain()
    report = place.sweep()
    world.drain()

    assert [one for one in records(report) if one.startswith("contact")] == [one.key for one in contacts[2:]]
    assert len(world.in_onec("counterparties")) == 5
    assert_quiet(place)


class _Failing:
    """An outbox whose broker goes away."""

    def __init__(self, outbox: Any, *, after: int) -> None:
        self._outbox = outbox
        self._left = after

    def publish(self, event: ChangeEvent) -> None:
        if not self._left:
            raise StoreUnavailable("the broker is away")
        self._left -= 1
        self._outbox.publish(event)


def test_of_two_sweeps_at_once_one_wins(place):
    world = place.world
    for number in range(5):
        world.contact(last_name=f"Осипова{number}", email=f"a{number}@example.com")
    place.lose_events()
    rivals = [place.reconciler, build_reconciler(load_settings(), send_task=world._send_task, clock=world.clock)]
    inside, outside = threading.Event(), threading.Event()
    portal: Any = place.reconciler.portal
    slow = replace(rivals[0], portal=_Slow(portal, inside, outside))
    won: list[Report] = []

    thread = threading.Thread(target=lambda: won.append(slow.sweep()))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(RecordBusy):
        rivals[1].sweep()
    outside.set()
    thread.join(20)

    assert len(won[0].events) == 5
    world.drain()
    assert len(world.in_onec("counterparties")) == 5
    assert_quiet(place)


class _Slow:
    """A portal that answers when the test says so."""

    def __init__(self, portal: Any, inside: threading.Event, outside: threading.Event) -> None:
        self._portal, self._inside, self._outside = portal, inside, outside

    def __getattr__(self, name: str) -> Any:
        return getattr(self._portal, name)

    def now(self) -> Any:
        self._inside.set()
        assert self._outside.wait(20)
        return self._portal.now()


def test_sweep_over_its_cap_stops_hands_nothing_over_and_goes_on_when_released(place):
    world = place.world
    for number in range(4):
        world.contact(last_name=f"Осипова{number}", email=f"a{number}@example.com")
    place.lose_events()
    capped = place.limited(max_changes=3)

    report = place.sweep(capped)

    assert (states(report)["contact"], records(report)) == (SweepState.HELD, [])
    assert report.held["contact"].found == 4
    assert states(place.sweep(capped))["contact"] is SweepState.HELD
    assert capped.release(by="operator") == ["contact"]
    released = place.sweep(capped)
    world.drain()
    assert len(released.events) == 4
    assert released.held == {}
    assert len(world.in_onec("counterparties")) == 4
    assert_quiet(place)


def test_1c_changes_over_the_cap_stay_unconfirmed_until_released(place):
    world = place.world
    for number in range(4):
        world.party(name=f"АО Вектор {number}")
    place.lose_events()
    capped = place.limited(max_changes=3)

    report = place.sweep(capped)

    assert (states(report)["onec"], records(report)) == (SweepState.HELD, [])
    assert len(world.onec.changes()["events"]) == 4
    capped.release(by="operator")
    assert len(place.sweep(capped).events) == 4
    assert world.onec.changes()["events"] == []


def test_portal_that_suddenly_looks_empty_is_asked_about(place):
    world = place.world
    contacts = [world.contact(last_name=f"Осипова{number}", email=f"a{number}@example.com") for number in range(24)]
    world.drain()
    place.settle()
    for contact in contacts[:22]:
        world.portal_form(f"contacts/{contact.id}/delete")
    place.lose_events()
    world.clock.sleep(25 * HOUR_SECONDS)

    report = place.sweep()

    assert (states(report)["gone"], records(report)) == (SweepState.HELD, [])
    assert "lists 2 of 24" in report.held["gone"].reason
    place.reconciler.release(by="operator")
    assert len(place.sweep().events) == 22


def test_record_that_waits_for_a_person_is_not_rung_for_again(place):
    world = place.world
    first = world.company(inn=INN, kpp=KPP)
    world.drain()
    for name in ("АО Вектор", "АО Вектор 2"):
        world.party(name=name, inn="7736050003")
    world.drain()
    world.company(title="АО Вектор", inn="7736050003")
    world.drain()
    assert world.letters()
    assert first

    place.settle()

    assert_quiet(place)


def test_source_whose_system_is_away_fails_alone_and_loses_nothing(place):
    world = place.world
    world.drain()
    place.settle()
    world.contact(email="anna@example.com")
    world.party(name="АО Вектор")
    place.lose_events()
    world.onec.sandbox("faults", spec="http503:/changes=1")

    report = place.sweep()

    assert states(report)["onec"] is SweepState.FAILED
    assert states(report)["contact"] is SweepState.DONE
    world.onec.sandbox("faults", spec="")
    assert any(event.onec for event in place.sweep().events)


def test_portal_whose_clock_is_wrong_is_understood(make_world):
    place = Sweeper(make_world, clock_ahead_seconds=-7 * 60)
    world = place.world
    contact = world.contact(email="anna@example.com")
    world.drain()
    world.clock.sleep(60)
    place.settle()
    assert_quiet(place)
    world.portal_form(f"contacts/{contact.id}", last_name="Иванова")
    place.lose_events()

    assert records(place.sweep()) == [contact.key]


def test_answered_are_those_that_came_to_something(place):
    world = place.world
    world.contact(email="anna@example.com")
    world.party(name="АО Вектор")
    place.lose_events()
    report = place.sweep()
    assert len(place.reconciler.unanswered(report.events)) == len(report.events) > 1

    world.drain()

    assert place.reconciler.unanswered(report.events) == []


def test_old_invoices_are_swept_where_the_portal_has_no_smart_ones(make_world):
    place = Sweeper(make_world, invoices="legacy")

    assert states(place.sweep())["invoice"] is SweepState.DONE


# --- what was about to be made ---------------------------------------------------------------------------------------


def begin(place: Sweeper, source: RecordRef, *, minutes_ago: float) -> Any:
    """A worker wrote down that it was about to make a partner, and was heard of no more."""
    when = place.world.clock.now() - timedelta(minutes=minutes_ago)
    place.reconciler.intents.open(Intent(entity=EntityKind.CONTACT, source=source, at=when), settled_before=when)
    return place.reconciler.intents


def forgotten_company(place: Sweeper) -> RecordRef:
    """Its events were lost, even the sweep's, and so long ago that no list of changes has it."""
    ref = place.world.company(inn=INN, kpp=KPP)
    place.lose_events()
    for _ in range(2):
        place.sweep()
        place.world.queue.clear()
        place.world.clock.sleep(HOUR_SECONDS)
    return ref


def test_a_create_that_nobody_came_back_to_is_looked_at(place):
    ref = forgotten_company(place)
    assert records(place.sweep()) == []
    intents = begin(place, ref, minutes_ago=30)

    report = place.sweep()

    assert (records(report), report.drift[EntityKind.CONTACT]) == ([ref.key], 1)
    assert intents.all() == []
    place.world.drain()
    assert [one["name"] for one in place.world.in_onec("counterparties")] == ["ООО Ромашка"]
    assert_quiet(place)


def test_a_create_of_a_moment_ago_and_one_that_waits_for_a_person_are_left_alone(place):
    ref, other = forgotten_company(place), bitrix24_ref(RecordType.COMPANY, 999)
    intents = begin(place, ref, minutes_ago=1)
    begin(place, other, minutes_ago=30)
    place.world.worker.settle(place.world.bell(other), AmbiguousMatch("two"))

    assert records(place.sweep()) == []

    assert {one.source for one in intents.all()} == {ref, other}


def test_what_was_linked_since_is_forgotten(place):
    ref = place.world.company(inn=INN, kpp=KPP)
    place.world.drain()
    place.settle()
    intents = begin(place, ref, minutes_ago=30)

    assert_quiet(place)

    assert intents.all() == []


def test_the_records_that_carry_a_1c_ref_are_walked_and_invoices_are_not(place):
    """An invoice has no such field: a list with a filter by it would be a list of all invoices."""
    world = place.world
    asked: list[RecordType] = []
    carrying = place.reconciler.portal.carrying

    class Watched(type(place.reconciler.portal)):
        def carrying(self, type_, before):
            asked.append(type_)
            return carrying(type_, before)

    portal = place.reconciler.portal
    watched = Watched(client=portal.client, has_smart_invoices=portal.has_smart_invoices)
    world.clock.sleep(HOUR_SECONDS)

    place.sweep(replace(place.reconciler, portal=watched))

    assert asked == [RecordType.CONTACT, RecordType.COMPANY, RecordType.LEAD, RecordType.DEAL]
