"""Whatever happens in whatever order, the last edit of a record is read after it was made.

A history is edits, deliveries (late, in any order, twice), failures and crashes, over two workers whose clocks differ
from the ingress's by as much as is allowed for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_worker.contract import ChangeEvent
from sync_worker.errors import RemoteUnavailable
from sync_worker.sync.coalescing import CLOCK_MARGIN
from sync_worker.sync.retry_policy import WaitFor
from sync_worker.sync.worker import SyncWorker, after_failure
from tests.fakes.stores import FakeClock
from tests.unit.sync.world import DEAL, World

MARGIN_SECONDS = CLOCK_MARGIN.total_seconds()
CALLS = {  # where a crash or a failure may strike: the remote, its call, whether the call's work was done
    "before the read": ("deals", "read", False),
    "after the read": ("deals", "read", True),
    "before the write": ("documents", "upsert_order", False),
    "after the write": ("documents", "upsert_order", True),
}


@dataclass(frozen=True)
class SkewedClock:
    """What one machine takes the time to be."""

    true: FakeClock
    ahead: timedelta

    def now(self) -> datetime:
        return self.true.now() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.true.sleep(seconds)


@dataclass(frozen=True)
class Step:
    """Time passes; then an edit, or one worker handles one queued event, or releases what is parked."""

    kind: str
    wait: float
    which: int  # of the queue
    worker: int
    fate: str | None  # what befalls the work, and where
    fails: bool  # the fate is a failure that is settled, and no crash
    edits_at: str | None  # somebody edits the record in the middle of the work
    work_seconds: float  # between the record's being read and written


steps = st.builds(
    Step,
    kind=st.sampled_from(["edit", "deliver", "deliver", "release"]),
    wait=st.sampled_from([0.0, 0.1, 0.5, 0.99, 1.0, 1.5, 3.0]),
    which=st.integers(0, 20),
    worker=st.integers(0, 1),
    fate=st.none() | st.sampled_from([*CALLS, "before the acknowledgement"]),
    fails=st.booleans(),
    edits_at=st.none() | st.sampled_from(list(CALLS)),
    work_seconds=st.sampled_from([0.0, 0.3, 2.0]),
)


@dataclass
class History:
    skews: tuple[float, float]
    world: World = field(default_factory=World)
    queue: list[ChangeEvent] = field(default_factory=list)
    edits: int = 0

    def __post_init__(self) -> None:
        self.world.sent_deal()
        self.workers = [self._worker(ahead) for ahead in self.skews]

    def _worker(self, ahead: float) -> SyncWorker:
        return replace(self.world.worker, clock=SkewedClock(self.world.clock, timedelta(seconds=ahead)))

    def pass_time(self, seconds: float) -> None:
        self.world.clock.time += timedelta(seconds=seconds)

    def edit(self) -> None:
        self.edits += 1
        record = self.world.deals.records[DEAL]
        self.world.deals.records[DEAL] = replace(record, fields={"title": str(self.edits)})
        now = self.world.clock.now()
        self.queue.append(replace(self.world.ring(DEAL), seen_at=now))
        self.world.clock.time = now

    def take(self, step: Step) -> None:
        self.pass_time(step.wait)
        if step.kind == "edit":
            self.edit()
        elif step.kind == "release":
            self.release(step.worker)
        elif self.queue:
            self.deliver(self.queue.pop(step.which % len(self.queue)), step)

    def release(self, worker: int) -> None:
        self.workers[worker].release_parked()
        self.queue += self.world.outbox.published
        self.world.outbox.published.clear()

    def deliver(self, event: ChangeEvent, step: Step) -> None:
        self._plan(step)
        try:
            self._run(self.workers[step.worker], event)
        except KeyboardInterrupt:
            self.queue.append(event)  # never acknowledged: the broker gives it out again
        else:
            if step.fate == "before the acknowledgement":
                self.queue.append(event)
        self._forget_plans()

    def _plan(self, step: Step) -> None:
        if step.fate in CALLS:
            remote, call, is_done = CALLS[step.fate]
            error: BaseException = RemoteUnavailable("503") if step.fails else KeyboardInterrupt()
            getattr(self.world, remote).fail(call, error, is_done=is_done)
        if step.edits_at is not None:
            remote, call, is_done = CALLS[step.edits_at]
            when = getattr(self.world, remote).after if is_done else getattr(self.world, remote).before
            when(call, self.edit)
        if step.edits_at != "before the write":
            self.world.documents.before("upsert_order", lambda: self.pass_time(step.work_seconds))

    def _forget_plans(self) -> None:
        for remote in (self.world.deals, self.world.documents):
            remote.forget_plans()

    def _run(self, worker: SyncWorker, event: ChangeEvent) -> None:
        """As tasks/base.py."""
        try:
            worker.handle(event)
        except Exception as error:
            decision: Any = worker.settle(event, error)
            if isinstance(decision, WaitFor):
                self.queue.append(after_failure(event, decision))

    def come_to_rest(self) -> None:
        """Handle all that is queued or parked, without a further accident."""
        for _round in range(100):
            while self.queue:
                self._run(self.workers[0], self.queue.pop())
            if not self.world.parked.count():
                return
            self.pass_time(1000)
            self.release(1)
        raise AssertionError("no rest")


EDITED_JUST_AFTER_THE_READ = Step(
    kind="deliver", wait=0.5, which=0, worker=0, fate=None, fails=False, edits_at="before the write", work_seconds=0.0
)


@example(skews=(MARGIN_SECONDS, 0.0), taken=[EDITED_JUST_AFTER_THE_READ])
@settings(max_examples=250, deadline=None)
@given(
    skews=st.tuples(*[st.sampled_from([-MARGIN_SECONDS, -0.4, 0.0, 0.4, MARGIN_SECONDS])] * 2),
    taken=st.lists(steps, min_size=3, max_size=25),
)
def test_the_last_edit_is_always_read_after_it_was_made(skews: tuple[float, float], taken: list[Step]) -> None:
    history = History(skews)
    history.edit()

    for step in taken:
        history.take(step)
    history.come_to_rest()

    assert history.world.documents.documents["b24:deal:5"][1]["title"] == str(history.edits)
    assert history.world.letters.count_by_cause() == {}
