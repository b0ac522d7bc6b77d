"""How the budget and the backlog stand, gathered for `budget`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.app import app
from sync_worker.bootstrap import BudgetSources
from sync_worker.contract import EntityKind, Lane, all_queues, queue_name
from sync_worker.domain.budget import BudgetReport
from sync_worker.domain.estimate import Backlog, Estimate, estimate, handled_by_lane
from sync_worker.errors import StoreUnavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """All that the command shows."""

    report: BudgetReport
    handled: Mapping[Lane, int]  # events that came to an end
    queues: Mapping[str, int]  # messages
    parked: int
    estimate: Estimate


def take_stock(sources: BudgetSources) -> Standing:
    """Read everything. Errors: StoreUnavailable."""
    report, handled = sources.governor.report(), handled_by_lane(sources.tally.events())
    queues = sources.queues.waiting() if sources.queues else ask_rabbitmq()
    parked = sources.parked.count()
    waiting = waiting_by_lane(queues)
    waiting[Lane.LIVE] += parked  # their lanes are not counted; most were live
    backlog = Backlog(waiting=waiting, handled=handled, live_share=sources.live_share)
    return Standing(report=report, handled=handled, queues=queues, parked=parked, estimate=estimate(backlog, report))


def waiting_by_lane(queues: Mapping[str, int]) -> dict[Lane, int]:
    """Events only: what waits for upkeep is none."""
    return {lane: sum(queues.get(queue_name(kind, lane), 0) for kind in EntityKind) for lane in Lane}


def ask_rabbitmq() -> dict[str, int]:
    """Messages by queue, without those that a worker holds. Errors: StoreUnavailable."""
    with app.connection_for_read() as connection:
        try:
            connection.connect()  # `channel()` alone would wait with kombu's own, much longer, patience
            return {name: _length(connection, name) for name in all_queues()}
        except (OSError, *connection.connection_errors) as error:
            raise StoreUnavailable(f"the broker does not tell its queues: {type(error).__name__}") from error


def _length(connection: Any, queue: str) -> int:
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0  # no worker has declared it yet; RabbitMQ closes the channel with that answer
    finally:
        channel.close()


def quotient(of: float, by: float) -> float | None:
    """None where nothing was counted yet."""
    return of / by if by else None
