"""How long a backlog will take: pure arithmetic over what was counted so far, and an honest range.

Only Bitrix24's budget is looked at, as it is what limits the exchange; a slow 1C makes it longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync_worker.domain.budget import BATCH, BudgetReport, LaneUse, MethodUse
from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.domain.outcome import Outcome

REQUESTS = "requests"  # what limits, where it is no method's running time

ENOUGH_EVENTS = 50  # of fewer events an average says little
ENOUGH_REQUESTS = 20
ENOUGH_COMMANDS = 50  # in the last ten minutes, to tell which methods a backlog will call
WINDOW_SECONDS = 600.0  # over which the portal sums a method's running time

SPREAD = (0.6, 1.6)  # what waits may be other work than what was counted
COMMANDS_UNMEASURED = (1.0, 6.0)  # an update needs about one command, a new record with its requisites a handful
# Commands a request while there is a backlog: calls that find no token gather until one comes. A worker process runs 32
# tasks at once, of which some are busy with 1C.
THIN_COMPANY, FULL_COMPANY = 4.0, 16.0

COMES_AGAIN = frozenset({"waited", "failed", Outcome.GATHERED.value})  # counted, and not yet at its end


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    low: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(low=self.low * factor, high=self.high * factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """What waits, and what work of its kind took so far."""

    waiting: Mapping[Lane, int]  # events
    handled: Mapping[Lane, int]  # events that came to an end since the store was new
    live_share: float  # of the request rate, that bulk work leaves to live work; below 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneEstimate:
    """Of one lane's backlog."""

    events: int
    commands_per_event: Range
    is_measured: bool  # else commands_per_event is a guess: too few events were handled yet
    batch_fill: Range  # commands a request
    requests: Range
    seconds: Range  # until its last event is through
    limited_by: str  # REQUESTS, or the method whose running time takes longest


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Of a whole backlog; without lanes there is none."""

    lanes: Mapping[Lane, LaneEstimate] = field(default_factory=dict)
    knows_methods: bool = True  # False: too few calls in the last ten minutes to tell what running time it needs

    @property
    def seconds(self) -> Range:
        """Until all is through."""
        lanes = self.lanes.values()
        return Range(
            low=max((lane.seconds.low for lane in lanes), default=0.0),
            high=max((lane.seconds.high for lane in lanes), default=0.0),
        )


def estimate(backlog: Backlog, report: BudgetReport) -> Estimate:
    """The time from now on, or from when an open circuit closes."""
    needs = {lane: _need(lane, backlog, report) for lane in Lane if backlog.waiting.get(lane, 0) > 0}
    running = _running_seconds_per_command(report.methods)
    return Estimate(
        lanes={lane: _lane_estimate(lane, needs, backlog, report, running) for lane in needs},
        knows_methods=bool(running),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Need:
    """What one lane's backlog will ask for."""

    events: int
    per_event: Range
    is_measured: bool
    fill: Range

    @property
    def commands(self) -> Range:
        return self.per_event.times(self.events)

    @property
    def requests(self) -> Range:
        """Few commands in full requests, or many in empty ones."""
        return Range(low=self.commands.low / self.fill.high, high=self.commands.high / self.fill.low)


def _need(lane: Lane, backlog: Backlog, report: BudgetReport) -> _Need:
    per_event = measured_commands_per_event(backlog.handled, report.lanes, lane)
    low, high = COMMANDS_UNMEASURED if per_event is None else (per_event * factor for factor in SPREAD)
    return _Need(
        events=backlog.waiting[lane],
        per_event=Range(low=low, high=high),
        is_measured=per_event is not None,
        fill=_fill(report.lanes, lane),
    )


def handled_by_lane(events: Mapping[tuple[EntityKind, Lane, str], int]) -> dict[Lane, int]:
    """Events that came to an end, of a tally by entity, lane and what each came to."""
    handled = dict.fromkeys(Lane, 0)
    for (_, lane, outcome), count in events.items():
        handled[lane] += 0 if outcome in COMES_AGAIN else count
    return handled


def measured_commands_per_event(handled: Mapping[Lane, int], lanes: Mapping[Lane, LaneUse], lane: Lane) -> float | None:
    """The lane's own average; that of both lanes where it did too little; None where both did."""
    for group in ((lane,), tuple(Lane)):
        events = sum(handled.get(one, 0) for one in group)
        if events >= ENOUGH_EVENTS:
            return sum(lanes.get(one, LaneUse()).commands for one in group) / events
    return None


def _fill(lanes: Mapping[Lane, LaneUse], lane: Lane) -> Range:
    """As so far, if that was in better company than a backlog gives; most calls leave alone while there is none."""
    use = lanes.get(lane, LaneUse())
    so_far = use.commands / use.requests if use.requests >= ENOUGH_REQUESTS else 0.0
    return Range(low=max(so_far, THIN_COMPANY), high=max(so_far, FULL_COMPANY))


def _lane_estimate(
    lane: Lane, needs: Mapping[Lane, _Need], backlog: Backlog, report: BudgetReport, running: Mapping[str, float]
) -> LaneEstimate:
    need = needs[lane]
    limits = {
        REQUESTS: _request_seconds(lane, needs, report, backlog.live_share),
        **_running_times(lane, needs, report.methods, running),
    }
    limited_by = max(limits, key=lambda name: (limits[name].high, limits[name].low))
    return LaneEstimate(
        events=need.events,
        commands_per_event=need.per_event,
        is_measured=need.is_measured,
        batch_fill=need.fill,
        requests=need.requests,
        seconds=Range(
            low=report.shut_seconds + max(limit.low for limit in limits.values()),
            high=report.shut_seconds + limits[limited_by].high,
        ),
        limited_by=limited_by,
    )


def _request_seconds(lane: Lane, needs: Mapping[Lane, _Need], report: BudgetReport, live_share: float) -> Range:
    """How long the request rate makes the lane wait.

    At best the lane has the rate and what is left of the burst to itself. At worst the burst is gone, and

    - live work has only its share as long as bulk work waits too, but never ends after both would;
    - bulk work has to leave live work its share, be it what waits now or what is still to come.
    """
    free = max(0.0, report.burst - report.level)
    low = max(0.0, needs[lane].requests.low - free) / report.rate_per_second
    both = sum(need.requests.high for need in needs.values()) / report.rate_per_second
    own = needs[lane].requests.high / report.rate_per_second
    if lane is Lane.BULK:
        return Range(low=low, high=max(both, own / (1 - live_share)))
    return Range(low=low, high=min(both, own / live_share) if live_share else both)


def _running_seconds_per_command(methods: Mapping[str, MethodUse]) -> dict[str, float]:
    """Method -> running time that goes to it for each command of the mix of the last ten minutes.

    A portal that bills batches as a whole bills `batch` for what its commands cost. Empty where too little was called
    to tell.
    """
    singles = {name: use for name, use in methods.items() if name != BATCH}
    commands = sum(use.used_seconds / use.cost_seconds for use in singles.values() if use.cost_seconds > 0)
    if commands >= ENOUGH_COMMANDS:
        return {name: use.used_seconds / commands for name, use in methods.items()}
    if singles and BATCH in methods and methods[BATCH].used_seconds > 0:
        return {BATCH: sum(use.cost_seconds for use in singles.values()) / len(singles)}
    return {}


def _running_times(
    lane: Lane, needs: Mapping[Lane, _Need], methods: Mapping[str, MethodUse], running: Mapping[str, float]
) -> dict[str, Range]:
    """Method -> how long its running time makes the lane wait. At worst the other lane's work goes first."""
    low = needs[lane].commands.low
    high = sum(need.commands.high for need in needs.values())
    return {
        name: Range(low=_running_seconds(low * each, methods[name]), high=_running_seconds(high * each, methods[name]))
        for name, each in running.items()
    }


def _running_seconds(needed_seconds: float, use: MethodUse) -> float:
    """What is left goes at once, the rest as the window moves on."""
    left_seconds = max(0.0, use.limit_seconds - use.used_seconds)
    return max(0.0, needed_seconds - left_seconds) * WINDOW_SECONDS / use.limit_seconds
