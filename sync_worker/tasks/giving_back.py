"""A message whose event could not be put in safety goes back to its queue: the store may be away for an hour.

Celery acknowledges a task that fails, and drops one whose retry could not be published: either would lose the event.
On RabbitMQ each time that a message is given back counts towards its queue's limit, and an outage of some seconds
would make dead letters of innocent events. So there it is sent anew, confirmed, and the old one is acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery import Task
from celery.exceptions import Ignore, Reject, Retry

from sync_worker.contract import CONFIRM_SECONDS
from sync_worker.tasks.suspects import SUSPECT_HEADER, is_watched

logger = structlog.get_logger("sync.task")

REST_SECONDS = 1  # before a message is given back, so that the loop stays cool


@contextmanager
def never_lost(task: Task | None = None) -> Iterator[None]:
    """Give the message back to its queue where the block could not put its event in safety.

    `task`: the one that runs, where its message can be sent anew. What took another message's place cannot: on
    RabbitMQ such a one goes to the dead queue in the end, and waits there.
    """
    try:
        yield
    except (Retry, Ignore):
        raise
    except Exception as error:
        reason = error.reason if isinstance(error, Reject) else error
        failure = type(reason).__name__
        logger.warning("event_given_back", reason=f"{failure}: {reason}")
    else:
        return
    time.sleep(REST_SECONDS)
    if task is not None and counts_deliveries(task) and _is_sent_anew(task):
        raise Ignore(failure)  # Celery acknowledges the old one
    raise Reject(reason=failure, requeue=True)


def counts_deliveries(task: Task) -> bool:
    return bool(task.app.conf.task_default_queue_type == "quorum")


def _is_sent_anew(task: Task) -> bool:
    """Put the running task's message into its queue once more: same id, same content, and still watched if it was."""
    request = task.request
    shown = {name: request.get(name) or "()" for name in ("argsrepr", "kwargsrepr")}  # else Celery shows the content
    watched = {"headers": {SUSPECT_HEADER: True}} if is_watched(request) else {}
    try:
        # mandatory: where no queue takes it, that is an error and no confirmation
        message = task.signature_from_request(mandatory=True, **shown, **watched)
        with task.app.producer_pool.acquire(block=True) as producer:
            try:
                message.apply_async(producer=producer, confirm_timeout=CONFIRM_SECONDS)
            except BaseException:
                producer.connection.collect()  # the next one must not find this one's confirmation there
                raise
    except Exception as error:  # whatever it is, the message is not lost: it is still unacknowledged
        logger.warning("not_sent_anew", reason=f"{type(error).__name__}: {error}")
        return False
    return True
