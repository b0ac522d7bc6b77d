"""What the tests of the dead letters' commands share: a real Redis with letters, commands, and a worker beside them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis
from click.testing import CliRunner, Result

from sync_worker.bootstrap import build_office, build_worker
from sync_worker.cli import cli
from sync_worker.contract import BROKER_KEY_PREFIX, ChangeEvent, EntityKind, Lane, lane_queues
from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref
from sync_worker.domain.letter import DeadLetter, Decision
from sync_worker.domain.outcome import Outcome
from sync_worker.settings import load_settings
from sync_worker.sync.office import DeadLetterOffice
from sync_worker.sync.worker import SyncWorker
from tests.contract.store_worlds import COUNTERPARTY, doorbell, letter
from tests.services import ROOT

COMMAND = [sys.executable, "-c", "from sync_worker.cli import main; main()"]
ENVIRONMENT = {
    "B24_WEBHOOK_URL": "https://portal.example.com/rest/1/webhook-secret/",
    "B24_APPLICATION_TOKENS": "application-token",
    "ONEC_URL": "https://1c.example.com/base",
    "ONEC_USER": "Обмен",
    "ONEC_PASSWORD": "onec-password",
    "ONEC_WEBHOOK_SECRETS": "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
}
RULES = '# asked Anna\n[owners.counterparty]\ninn = "onec"  # always was\n'
CONFLICT = {
    "fields": {
        "name": {"baseline": "ООО Ромашка", "bitrix24": "ООО Лютик", "onec": "ООО Василёк"},
        "phones": {"baseline": [], "bitrix24": ["+74951234567", "+74951234568"], "onec": []},
    }
}
COMMAND_SECONDS = 60


def no_task(*_: Any, **__: Any) -> None:
    raise AssertionError("nothing is sent by the tests themselves")


def the_office() -> DeadLetterOffice:
    """The stores as the commands see them."""
    return build_office(load_settings(), send_task=no_task)


def contact(number: int) -> RecordRef:
    return bitrix24_ref(RecordType.CONTACT, number)


def file_letter(number: int = 42, **changed: Any) -> DeadLetter:
    """File a letter about contact `number`."""
    values = {"record": contact(number), "event": doorbell(contact(number)).dump(), **changed}
    return the_office().letters.add(letter(**values))


def file_conflict(number: int = 42, **changed: Any) -> DeadLetter:
    values = {"details": CONFLICT, "partner": COUNTERPARTY, "words": ("7707083893",), "topic": "name, phones"}
    return file_letter(number, **{**values, "message": "both sides changed: name, phones", **changed})


def look(*arguments: str, answer: str = "") -> Result:
    """A command that sends nothing, in this process."""
    return CliRunner().invoke(cli, arguments, input=answer, catch_exceptions=False)


def figures(*arguments: str) -> dict[str, Any]:
    done = look(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as an operator runs it."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def waiting_for_workers(url: str) -> list[ChangeEvent]:
    """The events that lie in the bulk queues, taken out of them."""
    return list(_taken(url))


def _taken(url: str) -> Iterator[ChangeEvent]:
    with redis.Redis.from_url(url) as broker:
        for queue in lane_queues(Lane.BULK):
            while message := broker.rpop(BROKER_KEY_PREFIX + queue):
                kwargs = json.loads(base64.b64decode(json.loads(str(message, "utf-8"))["body"]))[1]
                yield ChangeEvent.load(kwargs["event"])


@dataclass
class TellingFlow:
    """Takes every event; what it is to fail with is given to it by the record's id."""

    failures: Mapping[str, Exception] = field(default_factory=dict)
    handled: list[tuple[RecordRef, Decision]] = field(default_factory=list)

    def subject(self, event: ChangeEvent) -> RecordRef:
        return event.record

    def handle(self, event: ChangeEvent, decision: Decision) -> Outcome:
        self.handled.append((event.record, decision))
        if failure := self.failures.get(event.record.id):
            raise failure
        return Outcome.UPDATED


class AllThere:
    def missing(self, _entity: EntityKind) -> None:
        return None


@contextmanager
def worker_beside(broker_url: str, **failures: Exception) -> Iterator[TellingFlow]:
    """A worker with its real way of handling letters; only what it would say to both systems is told by a flow."""
    flow = TellingFlow({name.removeprefix("contact"): error for name, error in failures.items()})
    built: Any = build_worker(load_settings(), send_task=no_task)
    worker: SyncWorker = replace(built, flows=dict.fromkeys(EntityKind, flow), capabilities=AllThere())
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(worker, broker_url, stop))
    thread.start()
    try:
        yield flow
    finally:
        stop.set()
        thread.join(timeout=COMMAND_SECONDS)


def _work(worker: SyncWorker, broker_url: str, stop: threading.Event) -> None:
    sending = replace(the_office(), outbox=_Straight(broker_url))
    while not stop.wait(0.01):
        sending.advance()  # as the upkeep task does every second
        for event in _taken(broker_url):
            try:
                worker.handle(event)
            except Exception as error:  # every failure is settled, as tasks/base.py does
                worker.settle(event, error)


class _Straight:
    """Puts an event where `_taken` finds it; the commands themselves send through Celery."""

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url

    def publish(self, event: ChangeEvent) -> None:
        body = base64.b64encode(json.dumps([[], {"event": event.dump()}, {}]).encode()).decode()
        with redis.Redis.from_url(self._url) as broker:
            broker.lpush(f"{BROKER_KEY_PREFIX}{event.entity}.{Lane.BULK}", json.dumps({"body": body}))


def write_settings(folder: Path) -> None:
    (folder / "sync.toml").write_text(RULES, encoding="utf-8")
