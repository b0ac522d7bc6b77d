"""The estimate's arithmetic: one row a rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.budget import BudgetReport, LaneUse, MethodUse
from sync_worker.domain.estimate import REQUESTS, Backlog, Estimate, Range, estimate, handled_by_lane
from sync_worker.domain.identity import EntityKind, Lane

LIVE, BULK = Lane.LIVE, Lane.BULK
FULL = BudgetReport(level=50, burst=50, rate_per_second=2, plan_rate_per_second=2)
"""A portal whose burst is gone: only the rate counts."""
MEASURED = {LIVE: LaneUse(requests=400, commands=2000), BULK: LaneUse(requests=100, commands=1000)}
HANDLED = {LIVE: 1000, BULK: 1000}  # so live takes 2 commands an event at 5 a request; bulk 1 at 10 a request


def _backlog(live: int = 0, bulk: int = 0, **changed: object) -> Backlog:
    values = {"waiting": {LIVE: live, BULK: bulk}, "handled": HANDLED, "live_share": 0.3}
    return Backlog(**values | changed)


def _range(low: float, high: float) -> Range:
    return Range(low=pytest.approx(low), high=pytest.approx(high))


def _of(report: BudgetReport = FULL, backlog: Backlog | None = None, lane: Lane = LIVE) -> Range:
    return estimate(backlog or _backlog(live=100), report).lanes[lane].seconds


def test_nothing_waits() -> None:
    found = estimate(_backlog(), replace(FULL, lanes=MEASURED))

    assert found.lanes == {}
    assert found.seconds == Range(low=0, high=0)


def test_commands_an_event_are_measured_by_lane() -> None:
    found = estimate(_backlog(live=100, bulk=100), replace(FULL, lanes=MEASURED))

    live, bulk = found.lanes[LIVE], found.lanes[BULK]
    assert (live.commands_per_event, live.is_measured) == (_range(1.2, 3.2), True)
    assert (bulk.commands_per_event, bulk.is_measured) == (_range(0.6, 1.6), True)


@pytest.mark.parametrize(
    ("handled", "expected", "is_measured"),
    [
        pytest.param({LIVE: 1000, BULK: 49}, _range(0.6 * 3000 / 1049, 1.6 * 3000 / 1049), True, id="both lanes'"),
        pytest.param({LIVE: 20, BULK: 29}, Range(low=1, high=6), False, id="a guess"),
        pytest.param({}, Range(low=1, high=6), False, id="a new store"),
    ],
)
def test_of_too_few_events_no_average_is_taken(handled: dict[Lane, int], expected: Range, is_measured: bool) -> None:
    backlog = _backlog(bulk=10, handled=handled)

    found = estimate(backlog, replace(FULL, lanes=MEASURED)).lanes[BULK]

    assert (found.commands_per_event, found.is_measured) == (expected, is_measured)


@pytest.mark.parametrize(
    ("use", "fill"),
    [
        pytest.param(LaneUse(requests=19, commands=190), Range(low=4, high=16), id="too few requests"),
        pytest.param(LaneUse(requests=20, commands=60), Range(low=4, high=16), id="a backlog gives better company"),
        pytest.param(LaneUse(requests=20, commands=100), Range(low=5, high=16), id="as so far"),
        pytest.param(LaneUse(requests=20, commands=600), Range(low=30, high=30), id="always in a crowd"),
        pytest.param(LaneUse(requests=20, commands=10), Range(low=4, high=16), id="requests that came to nothing"),
    ],
)
def test_the_fill_of_requests(use: LaneUse, fill: Range) -> None:
    found = estimate(_backlog(live=1), replace(FULL, lanes={LIVE: use}))

    assert found.lanes[LIVE].batch_fill == fill


def test_the_request_rate_limits() -> None:
    found = estimate(_backlog(live=1000), replace(FULL, lanes=MEASURED)).lanes[LIVE]

    assert found.requests == _range(1200 / 16, 3200 / 5)
    assert found.seconds == _range(1200 / 16 / 2, 3200 / 5 / 2)
    assert found.limited_by == REQUESTS


def test_what_is_left_of_the_burst_goes_at_once_at_best() -> None:
    free = replace(FULL, level=10, lanes=MEASURED)

    assert _of(free, _backlog(live=1000)) == _range((75 - 40) / 2, 320)
    assert _of(free, _backlog(live=100)) == _range(0, 32)


def test_a_shut_portal_is_waited_for() -> None:
    assert _of(replace(FULL, lanes=MEASURED, shut_seconds=30), _backlog(live=1000)) == _range(30 + 37.5, 350)


def test_a_learned_rate_counts() -> None:
    assert _of(replace(FULL, lanes=MEASURED, rate_per_second=1), _backlog(live=1000)) == _range(75, 640)


@pytest.mark.parametrize(
    ("live", "bulk", "live_seconds", "bulk_seconds"),
    [
        # requests at worst: live 0.64 an event, bulk 0.16 an event
        pytest.param(100, 0, 64 / 2, None, id="live alone has the whole rate"),
        pytest.param(0, 1000, None, 160 / 2 / 0.7, id="bulk alone leaves live its share all the same"),
        pytest.param(100, 10_000, 64 / 2 / 0.3, 1600 / 2 / 0.7, id="live has its share"),
        pytest.param(100, 100, (64 + 16) / 2, (64 + 16) / 2, id="a small bulk backlog costs live no more than itself"),
    ],
)
def test_the_lanes_share_the_rate(live: int, bulk: int, live_seconds: float | None, bulk_seconds: float | None) -> None:
    found = estimate(_backlog(live=live, bulk=bulk), replace(FULL, lanes=MEASURED)).lanes

    for lane, seconds in ((LIVE, live_seconds), (BULK, bulk_seconds)):
        assert (found[lane].seconds.high if lane in found else None) == (seconds and pytest.approx(seconds))


def test_live_work_may_have_no_share() -> None:
    backlog = _backlog(live=100, bulk=1000, live_share=0.0)

    assert _of(replace(FULL, lanes=MEASURED), backlog).high == pytest.approx((64 + 160) / 2)


def test_the_whole_lasts_as_long_as_its_longest_lane() -> None:
    found = estimate(_backlog(live=10_000, bulk=10), replace(FULL, lanes=MEASURED))

    assert found.seconds == found.lanes[LIVE].seconds


UPDATE, FETCH = "crm.deal.update", "crm.deal.list"
BUSY = {
    UPDATE: MethodUse(used_seconds=300, limit_seconds=480, cost_seconds=1),  # 300 commands
    FETCH: MethodUse(used_seconds=10, limit_seconds=480, cost_seconds=0.1),  # 100 commands
}


def test_running_time_limits_where_it_takes_longer() -> None:
    found = estimate(_backlog(live=1000), replace(FULL, lanes=MEASURED, methods=BUSY)).lanes[LIVE]

    # 300 of 400 commands are updates of 1 s; 180 s are left, and 480 come back in 600
    assert found.limited_by == UPDATE
    assert found.seconds == _range((1200 * 0.75 - 180) * 600 / 480, (3200 * 0.75 - 180) * 600 / 480)


def test_the_other_lanes_work_needs_running_time_too() -> None:
    found = estimate(_backlog(live=1000, bulk=1000), replace(FULL, lanes=MEASURED, methods=BUSY))

    assert found.lanes[BULK].seconds == _range((600 * 0.75 - 180) * 1.25, ((3200 + 1600) * 0.75 - 180) * 1.25)


def test_running_time_that_is_left_makes_nobody_wait() -> None:
    found = estimate(_backlog(live=10), replace(FULL, lanes=MEASURED, methods=BUSY)).lanes[LIVE]

    assert found.limited_by == REQUESTS


def test_a_portal_that_bills_batches_too_limits_by_them() -> None:
    methods = {**BUSY, "batch": MethodUse(used_seconds=470, limit_seconds=480, cost_seconds=1)}

    found = estimate(_backlog(live=1000), replace(FULL, lanes=MEASURED, methods=methods)).lanes[LIVE]

    assert found.limited_by == "batch"
    assert found.seconds.high == pytest.approx((3200 * 470 / 400 - 10) * 1.25)


def test_a_portal_that_bills_nothing_but_batches_limits_by_what_their_commands_cost() -> None:
    methods = {name: replace(use, used_seconds=0) for name, use in BUSY.items()}
    methods["batch"] = MethodUse(used_seconds=400, limit_seconds=480, cost_seconds=0.5)

    found = estimate(_backlog(live=1000), replace(FULL, lanes=MEASURED, methods=methods))

    assert found.lanes[LIVE].limited_by == "batch"
    assert found.lanes[LIVE].seconds.high == pytest.approx((3200 * (1 + 0.1) / 2 - 80) * 1.25)


@pytest.mark.parametrize(
    "methods",
    [
        pytest.param({}, id="nothing was called"),
        pytest.param({UPDATE: MethodUse(used_seconds=49, limit_seconds=480, cost_seconds=1)}, id="too little"),
        pytest.param({UPDATE: MethodUse(used_seconds=0, limit_seconds=480, cost_seconds=0)}, id="of no cost"),
    ],
)
def test_of_too_few_calls_no_running_time_is_told(methods: dict[str, MethodUse]) -> None:
    found = estimate(_backlog(live=1000), replace(FULL, lanes=MEASURED, methods=methods))

    assert not found.knows_methods
    assert found.lanes[LIVE].limited_by == REQUESTS


def test_only_events_that_came_to_an_end_are_handled() -> None:
    tally = {
        (EntityKind.DEAL, LIVE, "updated"): 5,
        (EntityKind.CONTACT, LIVE, "covered"): 4,
        (EntityKind.DEAL, LIVE, "waited"): 100,
        (EntityKind.DEAL, LIVE, "failed"): 100,
        (EntityKind.DEAL, LIVE, "gathered"): 100,
        (EntityKind.DEAL, BULK, "dead_letter"): 3,
    }

    assert handled_by_lane(tally) == {LIVE: 9, BULK: 3}
    assert handled_by_lane({}) == {LIVE: 0, BULK: 0}


counts = st.integers(min_value=0, max_value=100_000)
uses = st.builds(LaneUse, requests=counts, commands=counts)


@given(
    live=counts,
    bulk=counts,
    more=counts,
    uses=st.tuples(uses, uses),
    live_share=st.floats(0, 0.9),
    level=st.floats(0, 60),
    shut_seconds=st.floats(0, 60),
    used_seconds=st.floats(0, 500),
)
def test_a_range_is_a_range_and_more_work_takes_no_less_time(
    *,
    live: int, bulk: int, more: int, uses: tuple[LaneUse, LaneUse], live_share: float, level: float,
    shut_seconds: float, used_seconds: float,
) -> None:  # fmt: skip
    report = BudgetReport(
        level=level, burst=50, rate_per_second=2, plan_rate_per_second=2, shut_seconds=shut_seconds,
        lanes=dict(zip(Lane, uses, strict=True)),
        methods={UPDATE: MethodUse(used_seconds=used_seconds, limit_seconds=480, cost_seconds=0.5)},
    )  # fmt: skip

    def at(waiting: int) -> Estimate:
        return estimate(_backlog(live=waiting, bulk=bulk, live_share=live_share), report)

    found, longer = at(live), at(live + more)

    for lane in found.lanes.values():
        assert 0 <= lane.seconds.low <= lane.seconds.high
        assert lane.requests.low <= lane.requests.high
    assert found.seconds.high <= longer.seconds.high
    assert found.seconds.low <= longer.seconds.low
