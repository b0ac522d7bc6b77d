"""Making an event safe: in the broker, or, while the broker is away, in the spool, which is drained into it later.

While anything waits in the spool, what comes after goes through the spool too, so the order of events is kept. That
is also why a hung broker costs one request a part of a second, and the following ones nothing: they do not ask it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sentry_sdk

from ingress.publisher import BrokerUnavailableError, Publisher, QueueRefusedError
from ingress.spool import Row, Spool, SpoolUnavailableError, Stock
from sync_worker.contract import TaskMessage

OPEN_SECONDS = 1.0  # only while the spool cannot take it either does a request ask a broker that failed
BATCH_ROWS = 100
BATCH_CHARS = 1024 * 1024
LOOK_SECONDS = 0.05  # so long an empty spool is believed to be empty, but for what this process adds to it
GATE_SECONDS = 0.2  # the last rows take a few milliseconds
IDLE_SECONDS = 0.5  # until rows of another process are looked for
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
STOP_SECONDS = 3.0


class Place(StrEnum):
    """Where events are safe now."""

    QUEUED = "queued"
    SPOOLED = "spooled"


class NotAcceptedError(Exception):
    """Neither broker nor spool can take it. Some of it may be in the broker; the text is for logs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """`troubles` are in words for the operator; with one, events are still taken."""

    troubles: tuple[str, ...] = ()
    spooled: int = 0

    @property
    def status(self) -> str:
        return "degraded" if self.troubles else "ready"


class Breaker:
    """Remembers that the broker failed, so that not every request has to find out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._again_at: float | None = None  # on the monotonic clock; None: the broker is well

    def allows(self) -> bool:
        """Whether to ask the broker now. After a failure one caller in OPEN_SECONDS may."""
        with self._lock:
            if self._again_at is None:
                return True
            if time.monotonic() < self._again_at:
                return False
            self._again_at = time.monotonic() + OPEN_SECONDS
            return True

    def note(self, *, failed: bool) -> None:
        with self._lock:
            self._again_at = time.monotonic() + OPEN_SECONDS if failed else None


class Alarms:
    """Tells a trouble once when it begins, as an error, and once when it is over."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self._lock = threading.Lock()
        self._on: set[str] = set()

    def sound(self, name: str, **facts: object) -> None:
        with self._lock:
            is_new = name not in self._on
            self._on.add(name)
        if is_new:
            self.log.error(name, **facts)
            sentry_sdk.capture_message(name, level="error")  # where Sentry is set up; the name alone

    def sound_refusal(self, error: Exception) -> None:
        """Of what only a person can mend; a broker that is away comes back by itself, and has an alarm of its own."""
        if isinstance(error, QueueRefusedError):
            self.sound("queue_refused", reason=str(error))

    def is_on(self, name: str) -> bool:
        return name in self._on

    def clear(self, name: str) -> None:
        with self._lock:
            was_on = name in self._on
            self._on.discard(name)
        if was_on:
            self.log.info("over", alarm=name)


class Acceptor:
    """The one way in for events. Safe to share between threads."""

    def __init__(self, publisher: Publisher, spool: Spool | None, *, log: Any) -> None:
        """Without a `spool`, what the broker cannot take is not accepted."""
        self._publisher = publisher
        self._spool = spool
        self._counter = itertools.count(1)
        self._appends = 0
        self._seen_empty = (-1, 0.0)  # at which append, and until when that is believed
        self.breaker = Breaker()
        self.alarms = Alarms(log)
        self.spooled = threading.Event()  # wakes the drain
        self.gate = threading.Event()  # closed by the drain for the moment of its last rows
        self.gate.set()

    def accept(self, messages: Sequence[TaskMessage]) -> Place:
        """Return where all of `messages` are safe. Errors: NotAcceptedError, within a second or so."""
        if self._spool is None:
            self._publish(messages)
            return Place.QUEUED
        self.gate.wait(GATE_SECONDS)
        if self._goes_straight(self._spool) and self.breaker.allows():
            try:
                self._publish(messages)
            except NotAcceptedError as error:
                return self._keep(self._spool, messages, reason=str(error))
            self.alarms.clear("broker_away")
            return Place.QUEUED
        return self._keep(self._spool, messages)

    def measure(self) -> Stock | None:
        """How much is spooled; None where that cannot be told."""
        try:
            return self._spool.measure() if self._spool is not None else None
        except SpoolUnavailableError:
            return None

    def check(self) -> Readiness:
        """Whether events can be taken, tried on both. Errors: NotAcceptedError where neither can."""
        broker = self._broker_trouble()
        spool = self._spool_trouble()
        if broker and (spool or self._spool is None):
            raise NotAcceptedError(f"{broker}; {spool or 'there is no spool'}")
        stock = self.measure()
        spooled = stock.events if stock else 0
        waiting = f"{spooled} events wait in the spool" if spooled else ""
        refused = "RabbitMQ refuses a queue: the log says which" if self.alarms.is_on("queue_refused") else ""
        return Readiness(troubles=tuple(filter(None, (broker, refused, spool, waiting))), spooled=spooled)

    def _goes_straight(self, spool: Spool) -> bool:
        """Whether nothing waits. A look at the file takes longer than all the rest, so it is not done each time."""
        appends = self._appends
        if self._seen_empty[0] == appends and time.monotonic() < self._seen_empty[1]:
            return True
        try:
            is_empty = spool.is_empty()
        except SpoolUnavailableError:
            return True  # it could not be added to either
        if is_empty:
            self._seen_empty = (appends, time.monotonic() + LOOK_SECONDS)
        return is_empty

    def _publish(self, messages: Sequence[TaskMessage]) -> None:
        try:
            self._publisher.publish(messages)
        except BrokerUnavailableError as error:
            self.breaker.note(failed=True)
            self.alarms.sound_refusal(error)
            raise NotAcceptedError(f"broker: {error.refusal or type(error.__cause__).__name__}") from error
        self.breaker.note(failed=False)
        self.alarms.clear("queue_refused")

    def _keep(self, spool: Spool, messages: Sequence[TaskMessage], *, reason: str = "events wait for it") -> Place:
        try:
            spool.append(messages)
        except SpoolUnavailableError as error:
            self.alarms.sound("spool_fails", reason=str(error))
            if not self.breaker.allows():
                raise NotAcceptedError(str(error)) from error
            self._publish(messages)  # out of order, which is better than not at all: nobody sends it again
            return Place.QUEUED
        self._appends = next(self._counter)
        advice = "events are spooled until it takes them; see ingress_spool_events"
        self.alarms.sound("broker_away", reason=reason, advice=advice)
        self.spooled.set()
        return Place.SPOOLED

    def _broker_trouble(self) -> str:
        try:
            self._publisher.check()
        except BrokerUnavailableError as error:
            return f"the broker refuses to write: {error.refusal}" if error.refusal else "the broker does not answer"
        return ""

    def _spool_trouble(self) -> str:
        try:
            if self._spool is not None:
                self._spool.check()
        except SpoolUnavailableError as error:
            return str(error)
        return ""


class Drain:
    """A thread that brings what is spooled into the broker, in order; of all processes on one spool, one does it."""

    def __init__(self, spool: Spool, publisher: Publisher, *, acceptor: Acceptor) -> None:
        """`publisher` is its own, and may be patient: nobody waits for the drain."""
        self._spool = spool
        self._publisher = publisher
        self._spooled = acceptor.spooled
        self._gate = acceptor.gate
        self._breaker = acceptor.breaker
        self._alarms = acceptor.alarms
        self._stopping = threading.Event()
        self._sent_up_to = 0  # confirmed and not deleted yet: a full disk cannot delete either
        self._moved = 0
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is not drained by then stays for the next start."""
        self._stopping.set()
        self._spooled.set()
        self._thread.join(STOP_SECONDS)
        self._publisher.close()

    def _run(self) -> None:
        lock: int | None = None
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                lock = _try_lock(self._spool) if lock is None else lock
                if lock is not None:
                    self._move_all()
                    self._end_alarm()
                pause_seconds = FIRST_PAUSE_SECONDS
                self._spooled.wait(IDLE_SECONDS)
                self._spooled.clear()
            except Exception as error:  # whatever it is, this thread must live: events depend on it
                self._note_failure(error)
                self._stopping.wait(pause_seconds)
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        if lock is not None:
            os.close(lock)

    def _move_all(self) -> None:
        try:
            while not self._stopping.is_set() and (rows := self._spool.read_first(BATCH_ROWS, after=self._sent_up_to)):
                self._move(_batch(rows))
                if len(rows) < BATCH_ROWS:
                    # the broker is well: who comes now waits a moment and goes straight. Under a steady load each
                    # would else find one before it, and the spool would never be empty
                    self._gate.clear()
        finally:
            self._gate.set()
        self._forget_sent()
        if self._moved and not self._stopping.is_set():
            self._alarms.log.info("spool_drained", messages=self._moved)
            self._moved = 0
            self._spool.shrink()

    def _move(self, rows: Sequence[Row]) -> None:
        """Confirmed first, deleted after: a crash in between sends twice, which is harmless."""
        messages = [row.message for row in rows if row.message is not None]
        if not messages:
            self._alarms.log.error("spool_row_unreadable", id=rows[0].id)
            self._spool.set_aside(rows[0].id)
            return
        self._publisher.publish(messages)
        self._breaker.note(failed=False)
        self._alarms.clear("queue_refused")
        self._sent_up_to = rows[-1].id
        self._moved += len(messages)
        self._forget_sent()

    def _end_alarm(self) -> None:
        if self._alarms.is_on("spool_fails"):
            self._spool.check()
            self._alarms.clear("spool_fails")

    def _forget_sent(self) -> None:
        if self._sent_up_to:
            self._spool.delete_up_to(self._sent_up_to)
            self._sent_up_to = 0

    def _note_failure(self, error: Exception) -> None:
        match error:
            case BrokerUnavailableError():
                self._breaker.note(failed=True)
                self._alarms.sound_refusal(error)
            case SpoolUnavailableError() | OSError():
                self._alarms.sound("spool_fails", reason=str(error))
            case _:
                self._alarms.log.error("drain_failed", error=type(error).__name__)


def _batch(rows: Sequence[Row]) -> Sequence[Row]:
    """The first rows: either one that cannot be read, or those before it, of about BATCH_CHARS together."""
    taken: list[Row] = []
    for row in rows:
        if taken and (row.message is None or sum(one.size for one in taken) + row.size > BATCH_CHARS):
            break
        taken.append(row)
        if row.message is None:
            break
    return taken


def _try_lock(spool: Spool) -> int | None:
    """A descriptor that holds the lock of `spool`'s folder until it is closed, or its process ends; None: taken."""
    spool.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(spool.folder / "drain.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor
