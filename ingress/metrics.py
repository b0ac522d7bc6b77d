"""What Prometheus reads at /metrics. A registry of its own, so that two applications in one process do not clash."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.registry import Collector

MAX_IGNORED_CODES = 100  # distinct labels; a caller must not be able to grow the memory of everybody who scrapes
_CODE = re.compile(r"[A-Z0-9_]{1,64}")
_PUBLISH_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The counters of one application, and what it can tell of the whole exchange."""

    def __init__(self, exchange: Collector | None = None) -> None:
        self.registry = CollectorRegistry()
        if exchange is not None:
            self.registry.register(exchange)
        self.events = Counter("ingress_events", "Events queued", ["source", "entity"], registry=self.registry)
        self.answers = Counter("ingress_answers", "Answers", ["path", "status"], registry=self.registry)
        self.misfits = Counter(
            "ingress_misfits", "Authentic events kept for a person", ["source"], registry=self.registry
        )
        self.publish_seconds = Histogram(
            "ingress_publish_seconds",
            "Time until the broker confirmed or failed",
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
