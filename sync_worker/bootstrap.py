"""The composition root: what is plugged into what. Plain lines, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import redis
import requests
import structlog
from requests.adapters import HTTPAdapter

from sync_worker.alert_webhook import AlertWebhook
from sync_worker.domain.doorbell import codes_to_hear
from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.domain.rules import BudgetRules
from sync_worker.gateways.bitrix24.application import ApplicationClient
from sync_worker.gateways.bitrix24.changed import Bitrix24Changed
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.contact import Bitrix24Counterparties
from sync_worker.gateways.bitrix24.deal import Bitrix24Deals
from sync_worker.gateways.bitrix24.directories import Directories
from sync_worker.gateways.bitrix24.examine import Bitrix24Examiner, PortalSetup
from sync_worker.gateways.bitrix24.examine_offline import NoOfflineExaminer, OfflineExaminer
from sync_worker.gateways.bitrix24.invoice import invoice_gateway
from sync_worker.gateways.bitrix24.lead import Bitrix24Leads
from sync_worker.gateways.bitrix24.listing import Bitrix24Listing
from sync_worker.gateways.bitrix24.oauth import OAuthSession
from sync_worker.gateways.bitrix24.offline import Bitrix24Offline
from sync_worker.gateways.bitrix24.schemas.invoice import as_old
from sync_worker.gateways.bitrix24.throttle import PLAN_LIMITS, Limits
from sync_worker.gateways.bitrix24.transport import TokenTransport, Transport
from sync_worker.gateways.onec.about import OnecCapabilities, OnecExaminer
from sync_worker.gateways.onec.changes import OnecChanges
from sync_worker.gateways.onec.client import OnecClient
from sync_worker.gateways.onec.contact import OnecCounterparties
from sync_worker.gateways.onec.document_reader import OnecDocumentReader
from sync_worker.gateways.onec.documents import OnecInvoicesReader, OnecOrdersAndLeads
from sync_worker.gateways.onec.listing import OnecListing
from sync_worker.gateways.onec.states import OnecStates
from sync_worker.outbox import CeleryOutbox, SendTask
from sync_worker.settings import Settings
from sync_worker.store.absence import RedisAbsence
from sync_worker.store.accepted import NoLedger, RedisLedger
from sync_worker.store.alerts import RedisAlarms
from sync_worker.store.audit import RedisAudit
from sync_worker.store.claims import RedisClaims, RedisNewLinks
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.governor import Governor
from sync_worker.store.intents import RedisIntents
from sync_worker.store.leases import fence
from sync_worker.store.links import RedisLinks
from sync_worker.store.locks import RedisLocks
from sync_worker.store.memories import RedisMemories
from sync_worker.store.offline import RedisOfflineNotes, RedisTokens
from sync_worker.store.parked import RedisParked
from sync_worker.store.progress import RedisProgress
from sync_worker.store.queues import RedisQueues
from sync_worker.store.reads import RedisReads
from sync_worker.store.replays import RedisReplays
from sync_worker.store.sessions import RedisSessions
from sync_worker.store.slots import Slots
from sync_worker.store.stock import RedisStock
from sync_worker.store.stories import RedisStories
from sync_worker.store.sweeps import RedisSweeps, RedisUnderWay
from sync_worker.store.tally import RedisTally
from sync_worker.sync.alerts import AlertSender
from sync_worker.sync.backfill import JOB as BACKFILL_JOB
from sync_worker.sync.backfill import Backfill
from sync_worker.sync.chapter import note_call
from sync_worker.sync.counterparty import CounterpartyFlow
from sync_worker.sync.deal import DealFlow
from sync_worker.sync.explain import Explainer
from sync_worker.sync.invoice import InvoiceFlow
from sync_worker.sync.journal import Journal
from sync_worker.sync.lead import LeadFlow
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.sync.offline import OfflineSource
from sync_worker.sync.ports import Clock, Examiner
from sync_worker.sync.rebuild import Rebuild
from sync_worker.sync.reconcile import Reconciler
from sync_worker.sync.status import StatusFlow
from sync_worker.sync.sweep_news import News
from sync_worker.sync.worker import SyncWorker
from sync_worker.telemetry import masker, report_letter

HTTP_CONNECTIONS = 32  # kept open to each system; more tasks than that at once wait for one


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gateways:
    """Both systems, and what the commands need of them."""

    bitrix24: Bitrix24Client
    governor: Governor
    onec: OnecClient
    examiners: tuple[Examiner, ...]
    portal_setup: PortalSetup
    application: ApplicationClient | None  # None: no local application is set up


def build_gateways(
    settings: Settings, *, store: redis.Redis, clock: Clock, lane: Callable[[], Lane] | None = None
) -> Gateways:
    """The two clients, each behind its shared limit. `lane`: for whom they work; by default, whoever calls."""
    governor = build_governor(settings, store=store)
    bitrix24 = Bitrix24Client(
        webhook_url=settings.b24_webhook_url,
        governor=governor,
        http=_http(),
        lane=lane or _current_lane,
        told=note_call,
        fence=fence,
        sleep=clock.sleep,
    )
    slots = Slots(store, name="onec", limit=settings.onec_max_sessions)
    onec = OnecClient(
        url=settings.onec_url,
        user=settings.onec_user,
        password=settings.onec_password,
        slots=slots,
        cookies=RedisSessions(store, url=settings.onec_url, user=settings.onec_user, slots=slots),
        clock=clock,
        trace=_current_trace,
        lane=lane or _current_lane,
        told=note_call,
        fence=fence,
        absence=RedisAbsence(store),
    )
    rules = settings.rules
    application = build_application(settings, store=store, clock=clock, governor=governor)
    mapped = {
        status for pipeline in rules.pipelines.values() for status in (*pipeline.stages, *pipeline.ignore_statuses)
    }
    return Gateways(
        bitrix24=bitrix24,
        governor=governor,
        onec=onec,
        examiners=(
            Bitrix24Examiner(client=bitrix24, clock=clock, rules=rules),
            OnecExaminer(
                client=onec, clock=clock, session_cap=settings.onec_max_sessions, mapped_statuses=frozenset(mapped)
            ),
            OfflineExaminer(client=application, codes=_codes(settings)) if application else NoOfflineExaminer(),
        ),
        portal_setup=PortalSetup(client=bitrix24, rules=rules),
        application=application,
    )


def build_application(
    settings: Settings, *, store: redis.Redis, clock: Clock, governor: Governor
) -> ApplicationClient | None:
    """The portal as a local application calls it; None where the settings name none."""
    if not settings.has_application:
        return None
    first = settings.b24_oauth_refresh_token
    locks = RedisLocks(store)
    session = OAuthSession(
        transport=TokenTransport(server=settings.b24_oauth_url, http=_http()),
        client_id=settings.b24_oauth_client_id,
        client_secret=settings.b24_oauth_client_secret,
        first_refresh_token=first,
        keeper=RedisTokens(store, client_id=settings.b24_oauth_client_id, first_refresh_token=first),
        alone=lambda: locks.hold("oauth:bitrix24"),
        clock=clock,
    )
    return ApplicationClient(
        transport=Transport(webhook_url=f"{settings.portal_origin}/rest", http=_http()),
        session=session,
        governor=governor,
        sleep=clock.sleep,
    )


def _codes(settings: Settings) -> tuple[str, ...]:
    return codes_to_hear(smart_invoices=settings.rules.invoices.is_smart)


def build_governor(settings: Settings, *, store: redis.Redis) -> Governor:
    """The portal's budget, which all that call it share."""
    limits, rules = _limits(settings.b24_plan, settings.rules.budget), settings.rules.budget
    return Governor(
        store,
        name="bitrix24",
        rate_per_second=limits.rate_per_second,
        burst=limits.burst,
        live_share=float(rules.live_share),
        operating_limit_seconds=rules.operating_limit_seconds,
    )


def build_ledger(broker_url: str) -> RedisLedger | NoLedger:
    """What finds lost messages again; RabbitMQ loses none."""
    return RedisLedger(connect(broker_url)) if _is_redis(broker_url) else NoLedger()


def _is_redis(broker_url: str) -> bool:
    return broker_url.startswith(("redis://", "rediss://"))


def build_worker(
    settings: Settings, *, send_task: SendTask, clock: Clock | None = None, store: redis.Redis | None = None
) -> SyncWorker:
    """Everything a task or a command needs. Opens no connection: the first use does."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url) if store is None else store
    gateways = build_gateways(settings, store=store, clock=clock)
    rules = settings.rules
    links, memories, locks = RedisLinks(store), RedisMemories(store), RedisLocks(store)
    journal = Journal(intents=RedisIntents(store), clock=clock)
    directories = Directories(client=gateways.bitrix24, monotonic=time.monotonic)
    states = OnecStates()
    parties = Bitrix24Counterparties(
        client=gateways.bitrix24, directories=directories, presets=rules.counterparties.presets
    )
    deals = Bitrix24Deals(client=gateways.bitrix24, directories=directories, portal_origin=settings.portal_origin)
    documents = OnecOrdersAndLeads(client=gateways.onec)
    counterparties = CounterpartyFlow(
        bitrix24=parties,
        cards=parties,
        onec=OnecCounterparties(client=gateways.onec),
        requisites=parties,
        states=states,
        links=links,
        memories=memories,
        locks=locks,
        journal=journal,
        rules=rules.counterparties,
    )
    return SyncWorker(
        flows={
            EntityKind.CONTACT: counterparties,
            EntityKind.LEAD: LeadFlow(
                leads=Bitrix24Leads(
                    client=gateways.bitrix24, directories=directories, portal_origin=settings.portal_origin
                ),
                onec=documents,
                links=links,
                memories=memories,
                locks=locks,
                journal=journal,
                qualified_statuses=rules.qualified_lead_statuses,
            ),
            EntityKind.DEAL: DealFlow(
                deals=deals,
                onec=documents,
                counterparties=counterparties,
                links=links,
                memories=memories,
                locks=locks,
                journal=journal,
                clock=clock,
                rules=rules,
            ),
            EntityKind.INVOICE: InvoiceFlow(
                cards=invoice_gateway(
                    client=gateways.bitrix24,
                    directories=directories,
                    is_smart=rules.invoices.is_smart,
                    category=rules.invoices.category,
                ),
                onec=OnecInvoicesReader(client=gateways.onec),
                states=states,
                counterparties=counterparties,
                links=links,
                memories=memories,
                locks=locks,
                journal=journal,
                rules=rules.invoices,
            ),
            EntityKind.STATUS: StatusFlow(
                deals=deals, states=states, links=links, memories=memories, locks=locks, rules=rules
            ),
        },
        capabilities=OnecCapabilities(client=gateways.onec, clock=clock),
        links=links,
        letters=RedisDeadLetters(store),
        parked=RedisParked(store),
        reads=RedisReads(store),
        tally=RedisTally(store),
        outbox=CeleryOutbox(send_task, build_ledger(settings.broker_url)),
        replays=RedisReplays(store),
        stories=RedisStories(store),
        clock=clock,
        filed=report_letter,
        max_age_hours=rules.max_age_hours,
        code_version=version("bitrix24-onec-sync"),
        mask=masker(settings.secrets()),
    )


def build_office(
    settings: Settings, *, send_task: SendTask, clock: Clock | None = None, store: redis.Redis | None = None
) -> DeadLetterOffice:
    """What a person does with dead letters. Opens no connection, and asks neither system."""
    store = connect(settings.redis_url) if store is None else store
    return DeadLetterOffice(
        letters=RedisDeadLetters(store),
        replays=RedisReplays(store),
        audit=RedisAudit(store),
        stories=RedisStories(store),
        links=RedisLinks(store),
        outbox=CeleryOutbox(send_task, build_ledger(settings.broker_url)),
        clock=SystemClock() if clock is None else clock,
    )


def build_reconciler(
    settings: Settings, *, send_task: SendTask, clock: Clock | None = None, store: redis.Redis | None = None
) -> Reconciler:
    """What looks for changes that no event announced. Opens no connection: the first sweep does."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url) if store is None else store
    gateways = build_gateways(settings, store=store, clock=clock, lane=lambda: Lane.BULK)
    worker = build_worker(settings, send_task=send_task, clock=clock, store=store)
    links, capabilities = RedisLinks(store), OnecCapabilities(client=gateways.onec, clock=clock)
    return Reconciler(
        portal=Bitrix24Changed(client=gateways.bitrix24, has_smart_invoices=settings.rules.invoices.is_smart),
        onec=OnecChanges(client=gateways.onec, capabilities=capabilities),
        news=News(
            links=links,
            memories=RedisMemories(store),
            reads=worker.reads,
            letters=worker.letters,
            stories=worker.stories,
            clock=clock,
        ),
        links=links,
        intents=RedisIntents(store),
        under_way=RedisUnderWay(store, connect(settings.broker_url) if _is_redis(settings.broker_url) else None),
        sweeps=RedisSweeps(store),
        capabilities=capabilities,
        outbox=worker.outbox,
        keep=worker.keep,
        locks=RedisLocks(store),
        clock=clock,
        rules=settings.rules.reconcile,
        mask=worker.mask,
    )


def build_offline(
    settings: Settings, *, send_task: SendTask, clock: Clock | None = None, store: redis.Redis | None = None
) -> OfflineSource | None:
    """What reads the portal's offline queue; None where no local application is set up. Opens no connection."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url) if store is None else store
    gateways = build_gateways(settings, store=store, clock=clock, lane=lambda: Lane.LIVE)
    if gateways.application is None:
        return None
    worker = build_worker(settings, send_task=send_task, clock=clock, store=store)
    queue = Bitrix24Offline(client=gateways.application)
    return OfflineSource(
        queue=queue,
        subscriptions=queue,
        notes=RedisOfflineNotes(store),
        outbox=worker.outbox,
        keep=worker.keep,
        # an open circuit is the webhook's: one of its own calls finds out whether it may close
        ensure_open=lambda: gateways.governor.is_open() and gateways.bitrix24.call("server.time"),
        locks=RedisLocks(store),
        clock=clock,
        codes=_codes(settings),
        mask=worker.mask,
    )


def build_alerts(settings: Settings) -> AlertSender | None:
    """What tells people of dead letters; None where ALERT_WEBHOOK_URL names nobody."""
    if not settings.alert_webhook_url:
        return None
    store = connect(settings.redis_url)
    return AlertSender(
        letters=RedisDeadLetters(store),
        alarms=RedisAlarms(store),
        receiver=AlertWebhook(settings.alert_webhook_url, http=_http()),
        locks=RedisLocks(store),
        clock=SystemClock(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetSources:
    """What tells how the budget and the backlog stand."""

    governor: Governor
    tally: RedisTally
    parked: RedisParked
    queues: RedisQueues | None  # None: the broker is RabbitMQ
    stock: RedisStock
    live_share: float


def build_budget(settings: Settings) -> BudgetSources:
    """For `sync-worker budget`, and for the beat that notes the budget for /metrics. Opens no connection."""
    store = connect(settings.redis_url)
    return BudgetSources(
        governor=build_governor(settings, store=store),
        tally=RedisTally(store),
        parked=RedisParked(store),
        queues=RedisQueues(connect(settings.broker_url)) if _is_redis(settings.broker_url) else None,
        stock=RedisStock(store),
        live_share=float(settings.rules.budget.live_share),
    )


def build_rebuild(settings: Settings, *, clock: Clock | None = None) -> Rebuild:
    """For `sync-worker rebuild`. Opens no connection."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url)
    gateways = build_gateways(settings, store=store, clock=clock, lane=lambda: Lane.BULK)
    return Rebuild(
        bitrix24=_bitrix24_listing(settings, gateways),
        onec=OnecListing(client=gateways.onec),
        claims=lambda kind: RedisClaims(store, kind),
        links=RedisLinks(store),
        new_links=RedisNewLinks(store),
        locks=RedisLocks(store),
        capabilities=OnecCapabilities(client=gateways.onec, clock=clock),
        clock=clock,
    )


def build_backfill(
    settings: Settings, *, send_task: SendTask, waiting: Callable[[], int], clock: Clock | None = None
) -> Backfill:
    """For `sync-worker backfill`; `waiting` tells how many events the bulk lane has to do. Opens no connection."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url)
    gateways = build_gateways(settings, store=store, clock=clock, lane=lambda: Lane.BULK)
    return Backfill(
        bitrix24=_bitrix24_listing(settings, gateways),
        onec=OnecListing(client=gateways.onec),
        links=RedisLinks(store),
        outbox=CeleryOutbox(send_task, build_ledger(settings.broker_url)),
        progress=RedisProgress(store, BACKFILL_JOB),
        locks=RedisLocks(store),
        capabilities=OnecCapabilities(client=gateways.onec, clock=clock),
        clock=clock,
        rules=settings.rules,
        waiting=waiting,
    )


def _bitrix24_listing(settings: Settings, gateways: Gateways) -> Bitrix24Listing:
    return Bitrix24Listing(client=gateways.bitrix24, has_smart_invoices=settings.rules.invoices.is_smart)


def _limits(plan: str, budget: BudgetRules) -> Limits:
    """The plan's, unless the rules say otherwise: a self-hosted portal has limits of its own."""
    limits = PLAN_LIMITS[plan]
    return Limits(
        rate_per_second=budget.requests_per_second or limits.rate_per_second, burst=budget.burst or limits.burst
    )


def _http() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=HTTP_CONNECTIONS))
    session.mount("http://", HTTPAdapter(pool_maxsize=HTTP_CONNECTIONS))
    session.headers["User-Agent"] = f"bitrix24-onec-sync/{version('bitrix24-onec-sync')}"
    return session


def _current_trace() -> str | None:
    """The trace of the event that this thread is working on; sent to 1C as a header."""
    trace = structlog.contextvars.get_contextvars().get("trace")
    return str(trace) if trace else None


def _current_lane() -> Lane:
    """The lane of the event that this thread is working on; a command that a person runs is live."""
    return Lane(structlog.contextvars.get_contextvars().get("lane", Lane.LIVE))


def build_explainer(settings: Settings, *, clock: Clock | None = None, store: redis.Redis | None = None) -> Explainer:
    """A dry run of the worker's own flows. Opens no connection, and sends nothing into any queue."""
    clock = SystemClock() if clock is None else clock
    store = connect(settings.redis_url) if store is None else store
    return Explainer(
        worker=build_worker(settings, send_task=_send_nothing, clock=clock, store=store),
        documents=OnecDocumentReader(client=build_gateways(settings, store=store, clock=clock).onec),
        parked=RedisParked(store),
        held=(lambda card: card) if settings.rules.invoices.is_smart else as_old,
    )


def _send_nothing(*_task: Any, **_how: Any) -> Any:
    raise AssertionError("a dry run sends nothing")
