"""What the exchange's Redis tells Prometheus and /readyz: the budget, what became of events, what waits, and how long.

Read anew each time, with little patience: without Redis these families are absent, `sync_state_up` says so, and the
ingress's own figures are shown all the same. The cost does not grow with the backlog.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync_worker.contract import (
    ACCEPTED_KEY,
    BROKER_KEY_PREFIX,
    BUDGET_STOCK_KEY,
    BUDGET_TALLY_KEY,
    DEAD_CAUSES_KEY,
    EVENTS_TALLY_KEY,
    OFFLINE_TALLY_KEY,
    PARKED_KEY,
    PUT_BACK_TALLY_KEY,
    SWEEP_DRIFT_KEY,
    SWEEP_HELD_KEY,
    EntityKind,
    Lane,
    all_queues,
    dead_cause_key,
    seen_key,
)

PATIENCE_SECONDS = 0.5  # for a connection, and for an answer

Counts = Mapping[tuple[str, ...], float]  # a field's words -> its number

_LANE_COUNTERS = {
    "requests": ("sync_bitrix24_requests", "Requests sent to Bitrix24; a batch is one"),
    "commands": ("sync_bitrix24_commands", "Commands in those requests"),
    "refused_requests": ("sync_bitrix24_refused_requests", "Requests that Bitrix24 refused for their rate (503)"),
    "refused_commands": ("sync_bitrix24_refused_commands", "Commands refused for a method's running time (429)"),
    "lost_answers": ("sync_bitrix24_lost_answers", "Requests whose answer never came"),
    "waited_seconds": ("sync_bitrix24_wait_seconds", "What callers waited for their requests to leave, summed"),
}
_BUDGET_GAUGES = {
    "level": ("sync_bitrix24_budget_level", "Requests that count against the burst now"),
    "burst": ("sync_bitrix24_budget_burst", "Requests that the portal takes at once"),
    "rate_per_second": ("sync_bitrix24_requests_per_second", "The rate that we keep to, as learned from refusals"),
    "circuit_open": ("sync_bitrix24_circuit_open", "1 while the portal is down or has shut us out"),
}
_METHOD_GAUGES = {
    "used_seconds": ("sync_bitrix24_operating_seconds", "Running time of a method in the last ten minutes"),
    "limit_seconds": ("sync_bitrix24_operating_limit_seconds", "Running time that a method may have in ten minutes"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What was read of the state's Redis. Shapes: contract."""

    budget_tally: Counts
    budget_stock: Counts  # empty where no worker looked of late
    events: Counts
    put_back: Counts  # by field
    offline: Counts  # by what a row of the offline queue came to
    parked: int
    parked_since: Mapping[str, float]  # by entity: the second at which the oldest was seen
    dead_letters: Mapping[str, int]  # by cause
    drift: Counts  # by entity; empty before the first sweep
    sweeps_held: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """What was read of the broker's Redis."""

    waiting: Mapping[str, int]  # messages by queue; what a worker holds is not among them
    since: Mapping[str, float]  # by entity: the second at which the oldest event was seen, queued or held by a worker


NO_BACKLOG = Backlog(waiting={}, since={})


class ExchangeCollector(Collector):
    """Registered once; opens no connection before the first look. Safe to share between threads."""

    def __init__(self, *, redis_url: str, broker_url: str) -> None:
        """Only a broker that is Redis is asked for its queues: RabbitMQ has metrics of its own."""
        self._state = _impatient(redis_url)
        self._broker = _impatient(broker_url) if urlsplit(broker_url).scheme.startswith("redis") else None

    def describe(self) -> Iterable[Metric]:
        """No names in advance: to tell them by a first collection would open a connection."""
        return ()

    def collect(self) -> Iterator[Metric]:
        state, backlog = self._read_state(), self._read_backlog()
        yield GaugeMetricFamily("sync_state_up", "1 if the exchange's Redis answers", value=int(state is not None))
        if state is not None:
            yield from _families(state)
        if backlog is not None and self._broker is not None:
            waiting = {(name,): length for name, length in backlog.waiting.items()}
            yield _gauges("sync_queue_messages", "Messages that wait in a queue", ["queue"], waiting)
        if state is not None and backlog is not None:
            ages = {(entity,): seconds for entity, seconds in _oldest_seconds(state, backlog).items()}
            yield _gauges("sync_oldest_event_seconds", "Age of the oldest event not handled yet", ["entity"], ages)

    def standing(self) -> dict[str, Any]:
        """How the exchange stands, for /readyz: whatever a Redis that is away would have told is absent.

        `oldest_seconds` by entity, the age of the oldest event that is queued, held by a worker, or parked, and 0
        where there is none; `queued` by queue, without the empty ones; `parked`; `dead_letters`.
        """
        state, backlog = self._read_state(), self._read_backlog()
        told: dict[str, Any] = {}
        if state is not None and backlog is not None:
            told["oldest_seconds"] = {name: round(age, 1) for name, age in _oldest_seconds(state, backlog).items()}
        if backlog is not None and self._broker is not None:
            told["queued"] = {name: length for name, length in backlog.waiting.items() if length}
        if state is not None:
            told |= {"parked": state.parked, "dead_letters": sum(state.dead_letters.values())}
        return told

    def _read_state(self) -> State | None:
        try:
            return _state(self._state)
        except Exception:  # whatever it is: a scrape that fails would hide the ingress's own figures as well
            return None

    def _read_backlog(self) -> Backlog | None:
        """None where the broker does not answer; nothing in it where the broker is RabbitMQ, which is not asked."""
        if self._broker is None:
            return NO_BACKLOG
        try:
            return _backlog(self._broker)
        except Exception:  # as above
            return None


def _impatient(url: str) -> redis.Redis:
    """A client that tries once more where a kept connection was cut, and never where the server hangs."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=PATIENCE_SECONDS,
        socket_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def _state(client: redis.Redis) -> State:
    with client.pipeline(transaction=False) as pipeline:
        for key in (BUDGET_TALLY_KEY, BUDGET_STOCK_KEY, EVENTS_TALLY_KEY, PUT_BACK_TALLY_KEY, OFFLINE_TALLY_KEY):
            pipeline.hgetall(key)
        pipeline.hgetall(SWEEP_DRIFT_KEY)
        pipeline.hlen(PARKED_KEY)
        pipeline.hlen(SWEEP_HELD_KEY)
        pipeline.smembers(DEAD_CAUSES_KEY)
        _ask_oldest(pipeline, PARKED_KEY)
        budget_tally, budget_stock, events, put_back, offline, drift, *more = pipeline.execute()
        parked, sweeps_held, causes, *oldest = more
        for cause in sorted(causes):
            pipeline.zcard(dead_cause_key(cause))
        letters = dict(zip(sorted(causes), pipeline.execute(), strict=True))
    return State(
        budget_tally=_numbers(budget_tally),
        budget_stock=_numbers(budget_stock),
        events=_numbers(events),
        put_back=_numbers(put_back),
        offline=_numbers(offline),
        parked=parked,
        parked_since=_since(oldest),
        dead_letters=letters,
        drift=_numbers(drift),
        sweeps_held=sweeps_held,
    )


def _backlog(broker: redis.Redis) -> Backlog:
    with broker.pipeline(transaction=False) as pipeline:
        _ask_oldest(pipeline, BROKER_KEY_PREFIX + ACCEPTED_KEY)
        for name in all_queues():
            pipeline.llen(BROKER_KEY_PREFIX + name)
        answers = pipeline.execute()
    oldest, lengths = answers[: len(EntityKind)], answers[len(EntityKind) :]
    return Backlog(waiting=dict(zip(all_queues(), lengths, strict=True)), since=_since(oldest))


def _ask_oldest(pipeline: redis.client.Pipeline, events_key: str) -> None:
    for entity in EntityKind:
        pipeline.zrange(seen_key(events_key, entity), 0, 0, withscores=True)


def _since(oldest: list[list[tuple[str, float]]]) -> dict[str, float]:
    return {entity.value: found[0][1] for entity, found in zip(EntityKind, oldest, strict=True) if found}


def _oldest_seconds(state: State, backlog: Backlog) -> dict[str, float]:
    """By entity; 0 where nothing waits, and where another machine's clock is ahead of ours."""
    now = time.time()
    first = {
        entity.value: min(state.parked_since.get(entity, now), backlog.since.get(entity, now)) for entity in EntityKind
    }
    return {entity: max(0.0, now - second) for entity, second in first.items()}


def _numbers(fields: Mapping[str, str]) -> Counts:
    """By the words of the fields' names; what is no number is left out."""
    found = {}
    for name, text in fields.items():
        with suppress(ValueError):
            found[tuple(name.split(" "))] = float(text)
    return found


def _families(state: State) -> Iterator[Metric]:
    for field, (name, text) in _LANE_COUNTERS.items():
        # a lane that did nothing yet counts 0, so that its first step is seen as one
        by_lane = {(lane.value,): state.budget_tally.get((lane.value, field), 0.0) for lane in Lane}
        yield _counters(name, text, ["lane"], by_lane)
    events = {words: count for words, count in state.events.items() if len(words) == 3}
    yield _counters("sync_events", "Events by what came of them", ["entity", "lane", "outcome"], events)
    text = "Values that one side had changed and the other owns, put right"
    yield _counters("sync_put_back", text, ["field"], state.put_back)
    text = "Rows of the portal's offline queue, by what came of them"
    yield _counters("sync_offline_rows", text, ["outcome"], state.offline)
    for field, (name, text) in _BUDGET_GAUGES.items():
        if (field,) in state.budget_stock:
            yield GaugeMetricFamily(name, text, value=state.budget_stock[field,])
    for field, (name, text) in _METHOD_GAUGES.items():
        by_method = {words[1:]: value for words, value in state.budget_stock.items() if _is_of_method(words, field)}
        yield _gauges(name, text, ["method"], by_method)
    yield GaugeMetricFamily("sync_parked_events", "Events set aside until a time", value=state.parked)
    letters = {(cause,): number for cause, number in state.dead_letters.items()}
    yield _gauges("sync_dead_letters", "Events that wait for a person", ["cause"], letters)
    yield _gauges("sync_drift", "Records that the last sweep found and no event had announced", ["entity"], state.drift)
    yield GaugeMetricFamily("sync_sweeps_held", "Sources of a sweep that wait for a person", value=state.sweeps_held)


def _is_of_method(words: tuple[str, ...], field: str) -> bool:
    return len(words) == 2 and words[0] == field


def _counters(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def _gauges(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Any, float]) -> Metric:
    for words, value in sorted(values.items()):
        family.add_metric(words, value)
    return family
