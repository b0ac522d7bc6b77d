"""What Prometheus reads at /metrics. A registry of its own, so that two applications in one process do not clash."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ingress.spool import Stock

MAX_IGNORED_CODES = 100  # distinct labels; a caller must not be able to grow the memory of everybody who scrapes
_CODE = re.compile(r"[A-Z0-9_]{1,64}")
_PUBLISH_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one application, and what the `others` can tell of the spool and the whole exchange."""

    def __init__(self, *others: Collector) -> None:
        self.registry = CollectorRegistry()
        for collector in others:
            self.registry.register(collector)
        self.events = Counter("ingress_events", "Events accepted", ["source", "entity"], registry=self.registry)
        self.spooled = Counter("ingress_spooled", "Events that went into the spool", ["source"], registry=self.registry)
        self.answers = Counter("ingress_answers", "Answers", ["path", "status"], registry=self.registry)
        self.misfits = Counter(
            "ingress_misfits", "Authentic events kept for a person", ["source"], registry=self.registry
        )
        self.publish_seconds = Histogram(
            "ingress_publish_seconds",
            "Time until events were safe or refused",
            buckets=_PUBLISH_BUCKETS,
            registry=self.registry,
        )
        self._ignored = Counter(
            "ingress_ignored", "Bitrix24 events that nobody handles", ["code"], registry=self.registry
        )
        self._codes: set[str] = set()

    def count_ignored(self, code: str) -> None:
        self._ignored.labels(self._label(code)).inc()

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _label(self, code: str) -> str:
        if code in self._codes:
            return code
        if not _CODE.fullmatch(code) or len(self._codes) >= MAX_IGNORED_CODES:
            return "other"
        self._codes.add(code)
        return code


class SpoolCollector(Collector):
    """What waits in the spool, looked up at each scrape."""

    def __init__(self, measure: Callable[[], Stock | None], *, max_bytes: int) -> None:
        """`measure` returns None where nothing can be told; then the gauges are absent."""
        self._measure = measure
        self._max_bytes = max_bytes

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("ingress_spool_max_bytes", "What the spool may hold", value=self._max_bytes)
        stock = self._measure()
        if stock is not None:
            yield GaugeMetricFamily("ingress_spool_events", "Events that wait in the spool", value=stock.events)
            yield GaugeMetricFamily("ingress_spool_bytes", "What they take of its file", value=stock.bytes)
            yield GaugeMetricFamily(
                "ingress_spool_oldest_seconds", "Age of the oldest of them", value=stock.oldest_seconds
            )
