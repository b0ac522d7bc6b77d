"""What RabbitMQ has given up: each such message becomes a dead letter of ours, and ends no worker any more.

Our own watch (tasks/suspects.py) counts the crashes of tasks. A worker that dies before its task begins, or always
before the store has answered, is seen by the broker only: it gives a message out so many times (DELIVERY_LIMIT), and
then puts it into the dead queue. From there it is filed by a task of ours in its place, under its record if it is an
event, so that it can be replayed. Whoever files it may die of it too; so that is watched, and what is fatal even so
gets a letter without its content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from celery import Task
from kombu import Message

from sync_worker.app import app
from sync_worker.contract import DEAD_EXCHANGE, DELIVERY_LIMIT, ChangeEvent
from sync_worker.errors import WorkerCrash
from sync_worker.sync.worker import SyncWorker
from sync_worker.tasks.base import watch_of_process, worker_of_process
from sync_worker.tasks.giving_back import never_lost
from sync_worker.tasks.poison import UNDELIVERED_TASK, file_once, in_its_place

TOO_OFTEN = f"RabbitMQ gave it out {DELIVERY_LIMIT + 1} times, and no worker came to an end with it"
UNTOUCHABLE = f"{TOO_OFTEN}; who filed it died as well, so its content is not here"


@app.task(name=UNDELIVERED_TASK, bind=True)
def keep_undelivered(self: Task, trace: str, came: dict[str, str]) -> str:
    with never_lost():
        worker, watch = worker_of_process(), watch_of_process()
        try:
            with watch.over(trace, is_watched=True):
                return _file(worker, trace, came)
        except WorkerCrash:
            with watch.hold(trace):
                return file_once(worker, trace, {"fault": UNTOUCHABLE, "queue": came["queue"], "id": self.request.id})


def _file(worker: SyncWorker, trace: str, came: Mapping[str, str]) -> str:
    event = find_event(came["body"])
    if event is None:
        return file_once(worker, trace, came)
    letter = worker.give_up(event, WorkerCrash(came["fault"]))
    return letter.id if letter is not None else "given_up"


def find_event(body: str) -> ChangeEvent | None:
    """The event in a task's body; None where there is none, or none that can be read."""
    try:
        _args, kwargs, _embed = json.loads(body)
        return ChangeEvent.load(kwargs["event"])
    except Exception:  # whatever a strange body leads to
        return None


def is_undelivered(message: Message) -> bool:
    """Only the broker itself sends over this exchange."""
    return bool((message.delivery_info or {}).get("exchange") == DEAD_EXCHANGE)


def has_run_out(headers: Mapping[str, Any]) -> bool:
    """True for what was sent with a time of expiry (beat's tasks) and waited too long: it is of no use to anybody."""
    return bool(headers.get("expires")) and newest_death(headers).get("reason") == "expired"


def in_place_of_undelivered(message: Message) -> Message:
    death = newest_death(message.headers)
    reason = death.get("reason")
    fault = TOO_OFTEN if reason == "delivery_limit" else f"RabbitMQ has put it aside: {reason}"
    return in_its_place(message, fault, task=UNDELIVERED_TASK, queue=str(death.get("queue") or ""))


def newest_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """RabbitMQ's own note of why and where a message was last put aside."""
    match headers.get("x-death"):
        case [dict() as death, *_]:
            return death
    return {}
