"""For `celery worker --include`: ends the worker by SIGKILL at one step of a create, with all records that stand there.

A test arms it with `arm`: the records that reach `point` wait there for each other, so that one kill is a trial of
each of them, and not of one among many that were elsewhere. How many stood there is told in Redis before the end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import redis
from requests.adapters import HTTPAdapter

from sync_worker.gateways.bitrix24.contact import Bitrix24Counterparties
from sync_worker.gateways.bitrix24.invoice import SmartInvoices
from sync_worker.gateways.onec.contact import OnecCounterparties
from sync_worker.gateways.onec.documents import OnecOrdersAndLeads
from sync_worker.store.links import RedisLinks
from sync_worker.tasks.base import SyncTask
from sync_worker.tasks.suspects import is_watched

POINTS = ("before_send", "after_send", "before_link", "after_link", "before_ack")
DATABASE = 9
ARMED, STOOD = "trial:armed", "trial:stood"
LONGEST_SECONDS = 3.0  # so long the first who stands there waits for the others
CREATES = ("crm.contact.add", "crm.item.add")  # as they stand in a request to the portal
RESOURCES = ("/counterparties", "/orders", "/leads")  # of 1C: what is posted there while armed is new

_mine = threading.local()
_changed = threading.Condition()
_standing = 0


def arm(client: redis.Redis, point: str, *, wanted: int) -> None:
    """Let the next `wanted` creates die at `point`."""
    assert point in POINTS
    client.delete(STOOD)
    client.hset(ARMED, mapping={"point": point, "wanted": wanted})


def stood(client: redis.Redis) -> int:
    """How many creates stood at the point when the worker died; 0 where it lives."""
    return int(client.get(STOOD) or 0)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["TRIAL_REDIS_URL"], decode_responses=True)


def _armed(point: str) -> int:
    told: Any = _client().hgetall(ARMED)
    return int(told["wanted"]) if told.get("point") == point else 0


def _reach(point: str, count: int = 1) -> None:
    """Stand here until enough do, and die."""
    global _standing  # noqa: PLW0603  # one process, one end
    if getattr(_mine, "has_died", False):
        return
    wanted = _armed(point)
    if not wanted:
        return
    with _changed:
        _standing += count
        _changed.notify_all()
        _changed.wait_for(lambda: _standing >= wanted, timeout=LONGEST_SECONDS)
        _client().delete(ARMED)
        _client().set(STOOD, _standing)
        os.kill(os.getpid(), signal.SIGKILL)


def _watch_create(owner: type, name: str) -> None:
    create: Callable[..., Any] = getattr(owner, name)

    @wraps(create)
    def watched(*args: Any, **kwargs: Any) -> Any:
        _reach("before_send")
        done = create(*args, **kwargs)
        _mine.created = True
        _reach("before_link")
        return done

    setattr(owner, name, watched)


_save, _run_event, _send = RedisLinks.save, SyncTask.run_event, HTTPAdapter.send


def _save_watched(links: RedisLinks, link: Any) -> None:
    _save(links, link)
    if getattr(_mine, "created", False):
        _reach("after_link")


def _run_event_watched(task: SyncTask, message: dict[str, Any]) -> str:
    _mine.created = False
    _mine.has_died = is_watched(task.request)  # a third death would make a dead letter of it, and rightly so
    done = _run_event(task, message)
    if _mine.created:
        _reach("before_ack")
    return done


def _send_watched(adapter: HTTPAdapter, request: Any, **how: Any) -> Any:
    answer = _send(adapter, request, **how)
    if request.method == "POST" and (creates := _creates_in(request)):
        _reach("after_send", creates)
    return answer


def _creates_in(request: Any) -> int:
    """How many records the request makes; the answer is here and nobody has read it."""
    body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
    if str(request.url).endswith(RESOURCES):
        return body.count('"external_id"')
    return sum((body + request.url).count(method) for method in CREATES)


def watch() -> None:
    """Put the steps of a create under watch, in this process."""
    for owner, name in (
        (OnecCounterparties, "create"),
        (Bitrix24Counterparties, "create"),
        (OnecOrdersAndLeads, "upsert_order"),
        (OnecOrdersAndLeads, "upsert_lead"),
        (SmartInvoices, "create"),
    ):
        _watch_create(owner, name)
    RedisLinks.save = _save_watched  # type: ignore[method-assign,assignment]
    SyncTask.run_event = _run_event_watched  # type: ignore[method-assign,assignment]
    HTTPAdapter.send = _send_watched  # type: ignore[method-assign,assignment]


if "TRIAL_REDIS_URL" in os.environ:  # a trial's worker; the tests themselves import this for `arm` only
    watch()
