from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Ignore, Reject, Retry

from sync_worker.errors import StoreUnavailable
from sync_worker.tasks import giving_back
from sync_worker.tasks.giving_back import never_lost
from tests.services import free_port


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """One that runs for a message from a quorum queue whose broker is gone now."""
    monkeypatch.setattr(giving_back, "REST_SECONDS", 0)
    app = Celery("test", broker=f"amqp://127.0.0.1:{free_port()}//", set_as_current=False)
    app.conf.update(
        task_default_queue_type="quorum",
        task_publish_retry=False,
        broker_transport_options={"max_retries": 0, "interval_start": 0},
    )

    @app.task(bind=True)  # type: ignore[untyped-decorator]
    def work(self: Any, event: dict[str, Any]) -> None:
        """Never run here."""

    place = {"exchange": "sync", "routing_key": "contact", "redelivered": True}
    work.push_request(id="t1", args=[], kwargs={"event": {}}, delivery_info=place)
    yield work
    work.pop_request()
    app.close()


def fail(task: Task | None) -> None:
    with never_lost(task):
        raise StoreUnavailable("the store is away")


def test_what_cannot_be_sent_anew_goes_back_as_it_is(task: Task) -> None:
    with pytest.raises(Reject) as raised:
        fail(task)

    assert raised.value.requeue


def test_where_nobody_counts_it_goes_back_as_it_is(task: Task) -> None:
    task.app.conf.task_default_queue_type = "classic"

    with pytest.raises(Reject) as raised:
        fail(task)

    assert raised.value.requeue


def test_what_took_anothers_place_goes_back_as_it_is(task: Task) -> None:  # no rest
    with pytest.raises(Reject) as raised:
        fail(None)

    assert raised.value.requeue


def test_what_is_sent_anew_is_acknowledged_and_stays_watched(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(task, "apply_async", lambda *_args, **options: sent.append(options))

    with pytest.raises(Ignore):
        fail(task)

    [options] = sent
    assert (options["task_id"], options["exchange"], options["routing_key"]) == ("t1", "sync", "contact")
    assert options["headers"] == {"suspect": True}


@pytest.mark.parametrize("decided", [Retry("later"), Ignore("done")])
def test_what_was_decided_stays_so(task: Task, decided: Exception) -> None:
    with pytest.raises(type(decided)), never_lost(task):
        raise decided
