"""What happens next after a failure, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.contract import ChangeEvent, EntityKind, RecordRef, RecordType, System
from sync_worker.errors import (
    AmbiguousMatch,
    BadEvent,
    CircuitOpen,
    FieldConflict,
    LeaseLost,
    LinkBroken,
    Misconfigured,
    NotYetLinked,
    OrderLocked,
    OutcomeUnknown,
    RateLimited,
    RecordBusy,
    RemoteRejected,
    RemoteUnavailable,
    StoreUnavailable,
    TryLater,
    VersionMoved,
    all_causes,
)
from sync_worker.sync.retry_policy import (
    LONGEST_COUNTDOWN_SECONDS,
    LONGEST_WAIT_SECONDS,
    GiveUp,
    Halt,
    NextStep,
    Park,
    WaitFor,
    backoff_seconds,
    decide,
)
from sync_worker.sync.worker import after_failure
from tests.fakes.stores import FakeClock

DAY = 24 * 3600.0
YOUNG, OLD = 60.0, DAY + 1


def decided(error: Exception, *, attempts: int = 0, age: float = YOUNG, jitter: float = 0.0) -> NextStep:
    return decide(error, attempts=attempts, age_seconds=age, max_age_seconds=DAY, jitter=jitter)


@pytest.mark.parametrize(
    ("error", "attempts", "age", "expected"),
    [
        pytest.param(Misconfigured("401"), 0, YOUNG, Halt(60), id="misconfigured halts"),
        pytest.param(Misconfigured("401"), 99, OLD, Halt(60), id="misconfigured halts however old it is"),
        pytest.param(FieldConflict({}), 0, YOUNG, GiveUp(), id="conflict asks a person"),
        pytest.param(AmbiguousMatch("two"), 0, YOUNG, GiveUp(), id="ambiguous match asks a person"),
        pytest.param(LinkBroken("gone"), 0, YOUNG, GiveUp(), id="broken link asks a person"),
        pytest.param(OrderLocked("closed"), 0, YOUNG, GiveUp(), id="locked order asks a person"),
        pytest.param(RemoteRejected("no"), 0, YOUNG, GiveUp(), id="refusal asks a person"),
        pytest.param(BadEvent("?"), 0, YOUNG, GiveUp(), id="bad event is kept"),
        pytest.param(KeyError("x"), 0, YOUNG, WaitFor(5), id="bug is tried again"),
        pytest.param(KeyError("x"), 1, YOUNG, WaitFor(5), id="bug is tried a third time"),
        pytest.param(KeyError("x"), 2, YOUNG, GiveUp(), id="bug is given up after three times"),
        pytest.param(RemoteUnavailable("503"), 0, YOUNG, WaitFor(2), id="outage: 2 s"),
        pytest.param(RemoteUnavailable("503"), 2, YOUNG, WaitFor(8), id="outage: 8 s"),
        pytest.param(RemoteUnavailable("503"), 3, YOUNG, Park(16), id="outage: longer waits are parked"),
        pytest.param(RemoteUnavailable("503"), 99, YOUNG, Park(900), id="outage: up to the ceiling"),
        pytest.param(RemoteUnavailable("503"), 0, DAY, WaitFor(2), id="outage: at the age limit"),
        pytest.param(RemoteUnavailable("503"), 1, OLD, WaitFor(4), id="outage: past the age limit, tries left"),
        pytest.param(RemoteUnavailable("503"), 2, OLD, GiveUp(), id="outage: past the age limit, tries used up"),
        pytest.param(RemoteUnavailable("503", retry_after_seconds=120), 0, YOUNG, Park(120), id="asked for longer"),
        pytest.param(RemoteUnavailable("503", retry_after_seconds=1), 2, YOUNG, WaitFor(8), id="asked for less"),
        pytest.param(StoreUnavailable("redis"), 1, YOUNG, WaitFor(4), id="store"),
        pytest.param(VersionMoved("v2"), 0, YOUNG, WaitFor(2), id="version moved"),
        pytest.param(TryLater("?"), 0, YOUNG, WaitFor(2), id="plain try later"),
        pytest.param(OutcomeUnknown("lost"), 0, YOUNG, WaitFor(2), id="lost answer is looked after"),
        pytest.param(OutcomeUnknown("lost"), 2, OLD, GiveUp(), id="lost answer past the age limit"),
        pytest.param(NotYetLinked("first"), 2, OLD, GiveUp(), id="needed record past the age limit"),
        pytest.param(NotYetLinked("first"), 0, YOUNG, WaitFor(5), id="needed record first"),
        pytest.param(NotYetLinked("first"), 1, YOUNG, WaitFor(10), id="needed record first, again"),
        pytest.param(RecordBusy("held"), 7, YOUNG, WaitFor(1, counts=False), id="busy is no attempt"),
        pytest.param(RecordBusy("held", retry_after_seconds=3), 0, YOUNG, WaitFor(3, counts=False), id="busy, told"),
        pytest.param(LeaseLost("lost"), 7, YOUNG, WaitFor(1, counts=False), id="a lost lease is no attempt"),
        pytest.param(RecordBusy("held"), 9, OLD, WaitFor(1, counts=False), id="busy for a day is no failure"),
        pytest.param(RateLimited("budget"), 7, YOUNG, WaitFor(5, counts=False), id="budget is no attempt"),
        pytest.param(
            RateLimited("budget", retry_after_seconds=600), 0, YOUNG, Park(600, counts=False), id="budget, parked"
        ),
        pytest.param(RateLimited("budget"), 9, OLD, WaitFor(5, counts=False), id="budget gone for a day is no failure"),
        pytest.param(CircuitOpen("down", retry_after_seconds=20), 0, YOUNG, Halt(20), id="shut remote halts"),
        pytest.param(CircuitOpen("down"), 99, OLD, Halt(60), id="shut remote halts however old it is"),
        pytest.param(
            CircuitOpen("down", retry_after_seconds=120), 0, YOUNG, Halt(60), id="shut remote may open earlier"
        ),
        pytest.param(CircuitOpen("down", retry_after_seconds=0.2), 0, YOUNG, Halt(1), id="shut remote about to open"),
    ],
)
def test_what_happens_next(error: Exception, attempts: int, age: float, expected: NextStep) -> None:
    assert decided(error, attempts=attempts, age=age) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RemoteUnavailable("503", retry_after_seconds=10), WaitFor(15)),
        (RecordBusy("held", retry_after_seconds=4), WaitFor(8, counts=False)),
        (RateLimited("budget", retry_after_seconds=10), WaitFor(15, counts=False)),
        (CircuitOpen("down", retry_after_seconds=20), Halt(30)),
        (KeyError("x"), WaitFor(10)),
    ],
)
def test_jitter_only_ever_makes_a_wait_longer(error: Exception, expected: NextStep) -> None:
    assert decided(error, jitter=1.0) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RecordBusy("held", retry_after_seconds=3), Park(3, counts=False)),
        (RateLimited("budget"), WaitFor(5, counts=False)),
        (RemoteUnavailable("503"), WaitFor(2)),
    ],
)
def test_a_doorbell_waits_for_a_busy_record_where_others_join_it(error: Exception, expected: NextStep) -> None:
    decision = decide(error, attempts=0, age_seconds=YOUNG, max_age_seconds=DAY, jitter=0.0, gathers=True)

    assert decision == expected


@given(
    attempts=st.integers(0, 10_000),
    asked=st.none() | st.floats(0, 1e6),
    jitter=st.floats(0, 1, exclude_max=True),
    error_type=st.sampled_from([RemoteUnavailable, RateLimited, RecordBusy, NotYetLinked]),
)
def test_a_countdown_is_whole_short_and_never_zero(
    attempts: int, asked: float | None, jitter: float, error_type: type[TryLater]
) -> None:
    error = error_type("?")
    error.retry_after_seconds = asked

    decision = decided(error, attempts=attempts, jitter=jitter)

    assert isinstance(decision, (WaitFor, Park))
    assert isinstance(decision.seconds, int)
    assert decision.seconds >= max(1, asked or 0)
    assert isinstance(decision, WaitFor) == (decision.seconds <= LONGEST_COUNTDOWN_SECONDS)


@given(st.integers(0, 10**9))
def test_backoff_never_falls_and_never_passes_the_ceiling(attempts: int) -> None:
    assert backoff_seconds(attempts, first=2) <= backoff_seconds(attempts + 1, first=2) <= LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("error_type", all_causes().values(), ids=all_causes())
def test_every_error_that_there_is_has_its_row(error_type: type[Exception]) -> None:
    error = error_type.__new__(error_type)
    error.retry_after_seconds = None  # type: ignore[attr-defined]

    assert decided(error) in [
        Halt(),
        GiveUp(),
        WaitFor(1, counts=False),
        WaitFor(5, counts=False),
        WaitFor(5),
        WaitFor(2),
    ]


@pytest.mark.parametrize(
    ("decision", "attempts"),
    [(WaitFor(1), 4), (Park(20), 4), (WaitFor(1, counts=False), 3), (Park(20, counts=False), 3), (Halt(), 3)],
)
def test_only_a_try_that_counts_is_counted(decision: WaitFor | Park | Halt, attempts: int) -> None:
    record = RecordRef(system=System.BITRIX24, type=RecordType.DEAL, id="5")
    event = ChangeEvent(entity=EntityKind.DEAL, record=record, seen_at=FakeClock().now(), trace="t", attempts=3)

    assert after_failure(event, decision).attempts == attempts
