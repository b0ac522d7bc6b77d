"""Messages that no task can take: each becomes a dead letter, and none of them ends the worker.

Celery drops most of them without a word (a body that is no JSON, a task it does not know, arguments that do not fit),
and some end its consumer, again and again (no id, a body that is not args, kwargs and embed). So each message is
looked at before Celery does that (tasks/consumer.py). What cannot run is taken in as a task of ours in its place: the
one that files it.
It has all that tasks have: it runs in the pool, is acknowledged after its letter is filed, and while that cannot be
done the message goes back into its queue as it came.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from celery import Task
from kombu import Message

from sync_worker.app import app
from sync_worker.contract import Misfit, System
from sync_worker.sync.worker import SyncWorker
from sync_worker.tasks.base import strike, watch_of_process, worker_of_process
from sync_worker.tasks.giving_back import never_lost

POISON_TASK = "sync.poison"
UNDELIVERED_TASK = "sync.undelivered"
NEVER_SENT = (POISON_TASK, UNDELIVERED_TASK)  # they take another message's place inside of a worker
LONGEST_READ = 8 * 1024 * 1024  # of a body; an event of ours is never so long, since the ingress takes 1 MiB
LONGEST_SHOWN = 8 * 1024  # characters kept of a body, and of its headers


@app.task(name=POISON_TASK, bind=True)
def keep_poison(self: Task, trace: str, came: dict[str, str]) -> str:
    with never_lost(), watch_of_process().hold(trace):
        letter_id = file_once(worker_of_process(), trace, came)
    strike(self.request.id)
    return letter_id


def file_once(worker: SyncWorker, trace: str, came: Mapping[str, str]) -> str:
    """A broker may give out a message again that has its letter: its worker died before it could acknowledge it."""
    for letter in worker.letters.search(trace, limit=1):
        return letter.id
    shown = {name: _cut(worker.mask(text)) for name, text in came.items()}  # in this order: half a secret is not seen
    misfit = Misfit(
        system=System.BITRIX24,
        seen_at=worker.clock.now(),
        trace=trace,
        errors={"message": shown.pop("fault")},
        raw=shown,
    )
    return worker.keep(misfit).id


def find_fault(message: Message, tasks: Mapping[str, Task]) -> str | None:
    """Why no task can take the message; None where one can. Our own senders use protocol 2 alone."""
    name, task_id = message.headers.get("task"), message.headers.get("id")
    if not isinstance(name, str) or not isinstance(task_id, str):
        return "it names no task"
    if name not in tasks or name in NEVER_SENT:
        return f"there is no task {name}"
    return find_header_fault(message.headers) or find_body_fault(message, tasks[name])


def find_header_fault(headers: Mapping[str, Any]) -> str | None:
    """Of what Celery reads without looking."""
    if not isinstance(headers.get("retries", 0), int):
        return "its retries are no number"
    match headers.get("timelimit") or [None, None]:
        case [_, _]:
            return None
    return "its timelimit is no pair"


def find_body_fault(message: Message, task: Task) -> str | None:
    try:
        payload = message.decode()  # kept by the message: Celery does not decode it again here
    except Exception as error:  # whatever a serializer raises
        return explain("its body cannot be read", error)
    match payload:
        case [list() as args, dict() as kwargs, dict() | None]:
            return find_misfit_arguments(task, args, kwargs)
    return "its body is not args, kwargs and embed"


def find_misfit_arguments(task: Task, args: list[Any], kwargs: dict[str, Any]) -> str | None:
    try:
        task.__header__(*args, **kwargs)  # Celery's own check, which it makes of what it sends
    except TypeError as error:
        return explain("its arguments do not fit", error)
    return None


def in_its_place(message: Message, fault: str, *, task: str = POISON_TASK, queue: str = "") -> Message:
    """The message of the task that files this one, under this one's delivery: what becomes of it becomes of this."""
    queue = queue or as_text((message.delivery_info or {}).get("routing_key"))
    task_id = message.headers.get("id")
    if not isinstance(task_id, str):
        task_id = str(uuid.uuid4())
    came = {
        "fault": fault,
        "queue": queue,
        "content_type": as_text(message.content_type),
        "headers": as_text(message.headers),
        "body": as_text(_start_of(message)),
    }
    headers = {"task": task, "id": task_id, "root_id": task_id, "argsrepr": "()", "kwargsrepr": f"from {queue}"}
    return Message(
        body=json.dumps([[], {"trace": trace_of(message), "came": came}, None]),
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        delivery_tag=message.delivery_tag,
        delivery_info=message.delivery_info,
        channel=message.channel,
        accept=message.accept,
    )


def trace_of(message: Message) -> str:
    """The same each time the message is given out. On RabbitMQ two messages of one id and body have one trace."""
    tag = message.delivery_tag
    # Redis: the tag it was sent with. RabbitMQ: a number that counts deliveries, and headers that do so too
    named = [message.headers.get("id"), message.headers.get("task")]
    marks = [tag] if isinstance(tag, str) else [*named, _start_of(message)]
    return hashlib.blake2s(" ".join(map(as_text, marks)).encode(errors="replace"), digest_size=16).hexdigest()


def as_text(value: Any) -> str:
    """Bytes that are no text with escapes rather than in base64: a secret in them is seen, and masked."""
    if isinstance(value, memoryview):
        value = value.tobytes()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _start_of(message: Message) -> Any:
    """The body, whole if it is one of ours: a monstrous one must not take the memory of who files it."""
    return message.body[:LONGEST_READ] if message.body else message.body


def explain(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}: {error}"


def _cut(text: str) -> str:
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}... ({len(text)} characters in all)"
