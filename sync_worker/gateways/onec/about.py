"""What the base says of itself: which entities it offers (port CapabilityCheck), and how it is (port Examiner)."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync_worker.domain.identity import EntityKind, System
from sync_worker.entities.registry import REGISTRY
from sync_worker.entities.results import Finding
from sync_worker.errors import BadEvent, CircuitOpen, Misconfigured, RemoteUnavailable, SyncError, TryLater
from sync_worker.gateways.onec.client import Clock, OnecClient
from sync_worker.gateways.onec.schemas.shapes import require

CONTRACT_VERSION = "1.0"
LIFE = timedelta(minutes=10)
MAX_CLOCK_SECONDS = 60  # our signatures' window is 5 minutes, and sweeps overlap by 10
CHANGES = "changes"  # the capability that no entity needs, but the sweep does


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """The contract's About, as far as it is used."""

    configuration: str  # with its version
    contract_version: str
    capabilities: frozenset[str]
    order_statuses: Mapping[str, str]  # code -> name
    max_sessions: int
    max_batch: int  # items in one upsert
    now: datetime | None  # the base's clock


def read_about(content: Mapping[str, Any]) -> About:
    """Errors: BadEvent where it is no About."""
    limits = require(content, "limits")
    return About(
        configuration=f"{require(content, 'configuration')} {content.get('configuration_version', '')}".strip(),
        contract_version=str(require(content, "contract_version")),
        capabilities=frozenset(require(content, "capabilities")),
        order_statuses={status["code"]: status["name"] for status in content.get("order_statuses") or ()},
        max_sessions=int(require(limits, "max_sessions")),
        max_batch=int(limits.get("max_batch") or 1),
        now=datetime.fromisoformat(content["now"]) if content.get("now") else None,
    )


class OnecCapabilities:
    """Asks once in ten minutes. While the base does not answer, what it said last still counts.

    Its client learns here how many items the base takes at once.
    """

    def __init__(self, *, client: OnecClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._about: About | None = None
        self._read_at: datetime | None = None

    def missing(self, entity: EntityKind) -> str | None:
        """Why this entity is off; None where the base offers it. Errors: CircuitOpen; those of a first reading."""
        self._look_whether_it_is_back()
        about, capability = self.about(), REGISTRY[entity].capability
        if capability in about.capabilities:
            return None
        return f"the 1C base ({about.configuration}) does not offer {capability}, so {entity} does not sync"

    def _look_whether_it_is_back(self) -> None:
        """Where the base is known to be away, and nobody has looked for a while."""
        if self._client.absence.may_call():
            return
        try:
            self._client.get("/about")
        except RemoteUnavailable as error:
            self._client.absence.may_call()  # who is not to look is told how long to wait
            raise CircuitOpen(str(error)) from error

    def about(self) -> About:
        with self._lock:
            now = self._clock.now()
            if self._about is None or self._read_at is None or now - self._read_at >= LIFE:
                self._about = self._refresh()
                self._read_at = now
            return self._about

    def _refresh(self) -> About:
        try:
            about = read_about(self._client.get("/about"))
        except TryLater:
            if self._about is None:
                raise
            return self._about
        self._client.allow_items(about.max_batch)
        return about


class OnecExaminer:
    """What `doctor` says of 1C. `mapped_statuses` are those that sync.toml maps or ignores."""

    system = System.ONEC

    def __init__(
        self, *, client: OnecClient, clock: Clock, session_cap: int, mapped_statuses: Collection[str] = ()
    ) -> None:
        self._client = client
        self._clock = clock
        self._session_cap = session_cap
        self._mapped_statuses = mapped_statuses

    def examine(self) -> list[Finding]:
        """One finding a check, in the order in which to mend them."""
        try:
            about = read_about(self._client.get("/about"))
        except (SyncError, ValueError, KeyError, TypeError) as error:
            return [_unreadable(error)]
        return [
            Finding(check="1C answers", ok=True, found=about.configuration),
            _check_contract(about),
            *_check_capabilities(about),
            _check_clock(about, self._clock.now()),
            _check_sessions(about, self._session_cap),
            *_check_statuses(about, frozenset(self._mapped_statuses)),
        ]


def _unreadable(error: Exception) -> Finding:
    if isinstance(error, Misconfigured):
        return Finding(
            check="1C answers",
            ok=False,
            found=str(error),
            advice="check ONEC_URL, ONEC_USER and ONEC_PASSWORD, the user's role, and that the service is published",
        )
    if isinstance(error, TryLater):
        advice = "check that ONEC_URL can be reached from here and that the base is open, then run doctor again"
        return Finding(check="1C answers", ok=False, found=str(error), advice=advice)
    found = str(error) if isinstance(error, BadEvent) else f"an /about that cannot be read ({type(error).__name__})"
    advice = f"install the extension of contract {CONTRACT_VERSION} in the base that ONEC_URL names"
    return Finding(check="1C answers", ok=False, found=found, advice=advice)


def _check_contract(about: About) -> Finding:
    return Finding(
        check="1C contract version",
        ok=about.contract_version == CONTRACT_VERSION,
        found=about.contract_version,
        advice=f"update the extension, or this program: they have to agree on {CONTRACT_VERSION}",
    )


def _check_capabilities(about: About) -> list[Finding]:
    uses = {spec.capability: str(entity) for entity, spec in REGISTRY.items()} | {CHANGES: "reconcile"}
    return [
        Finding(
            check=f"1C offers {capability}",
            ok=capability in about.capabilities,
            found="offered" if capability in about.capabilities else f"not offered: {use} does not work",
            advice=f"turn {capability} on in the extension's settings, and give ONEC_USER its right",
        )
        for capability, use in uses.items()
    ]


def _check_clock(about: About, now: datetime) -> Finding:
    if about.now is None or about.now.tzinfo is None:
        return Finding(check="1C clock", ok=True, found="the base does not tell its time")
    apart_seconds = abs((about.now - now).total_seconds())
    return Finding(
        check="1C clock",
        ok=apart_seconds <= MAX_CLOCK_SECONDS,
        found=f"{apart_seconds:.0f} s from ours",
        advice="set both machines by NTP, and check the time zone of the 1C server",
    )


def _check_sessions(about: About, cap: int) -> Finding:
    return Finding(
        check="1C sessions",
        ok=about.max_sessions >= cap,
        found=f"the base allows {about.max_sessions}, ONEC_MAX_SESSIONS is {cap}",
        advice=f"set ONEC_MAX_SESSIONS to {about.max_sessions} or less, or free licences in 1C",
    )


def _check_statuses(about: About, mapped: frozenset[str]) -> list[Finding]:
    """None where the base has no statuses or nobody says what is mapped."""
    if "statuses" not in about.capabilities or not mapped:
        return []
    unmapped = [f"{code} ({name})" for code, name in about.order_statuses.items() if code not in mapped]
    unknown = sorted(mapped - about.order_statuses.keys())
    return [
        Finding(
            check="1C order statuses are mapped",
            ok=not unmapped,
            found=f"not in sync.toml: {', '.join(unmapped)}" if unmapped else "all of them",
            advice="name them in [pipelines.stages] or in ignore_statuses: until then each is a dead letter",
        ),
        Finding(
            check="mapped statuses are in 1C",
            ok=not unknown,
            found=f"not in 1C: {', '.join(unknown)}" if unknown else "all of them",
            advice="correct the spelling in [pipelines.stages]: the codes are those of the base",
        ),
    ]
