"""Reading the portal's offline queue: a second source of doorbells, and the only one where no webhook arrives.

A row leaves the portal only when its event is in safety. With reservation the portal keeps it, hidden, until it is
cleared; what was reserved and never cleared, since somebody was killed or an answer was lost, is found by asking for
it. Without reservation the row is noted here before it is taken. So a kill at any step rings twice at the worst, and
a doorbell may.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sync_worker.contract import ChangeEvent, Ignored, Misfit, Reading, bitrix24_misfit, read_bitrix24
from sync_worker.domain.offline import PAGE, OfflineRow, Readiness, Trouble
from sync_worker.errors import (
    CircuitOpen,
    Misconfigured,
    RecordBusy,
    RemoteRejected,
    RemoteUnavailable,
    SyncError,
    TryLater,
)
from sync_worker.sync.offline_ports import OfflineNotes, OfflineQueue, Subscriptions
from sync_worker.sync.ports import Clock, Locks, Outbox

logger = logging.getLogger(__name__)

LOCK = "offline_queue"
MOST_PAGES = 20  # of one look; the next one goes on
READY_FOR = timedelta(hours=1)  # an application that is updated or installed anew loses its subscriptions
PAUSE_SECONDS = 15.0  # after a failure that passes by itself
FIRST_GAP_SECONDS, LONGEST_GAP_SECONDS = 60.0, 600.0  # while a person has to do something
RUNG, KEPT, IGNORED, FAILED = "rung", "kept", "ignored", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look at the queue came to."""

    rows: Mapping[str, int] = field(default_factory=dict)  # RUNG, KEPT, IGNORED, FAILED -> how many
    error: SyncError | None = None
    is_alarm: bool = False  # the error needs a person, and nobody was told of it yet
    is_well_again: bool = False  # the first look that succeeds after one that needed a person


@dataclass(frozen=True, kw_only=True, slots=True)
class OfflineSource:
    queue: OfflineQueue
    subscriptions: Subscriptions
    notes: OfflineNotes
    outbox: Outbox
    keep: Callable[[Misfit], object]  # a row that cannot be read becomes a dead letter
    ensure_open: Callable[[], object]  # raises CircuitOpen while the portal is shut to all of us
    locks: Locks
    clock: Clock
    codes: tuple[str, ...]  # the events to listen to
    mask: Callable[[str], str]

    def look(self) -> Look:
        """Take what is there. Errors: StoreUnavailable; all others are told in the Look, and tried again later."""
        trouble = self.notes.trouble()
        if trouble is not None and self.clock.now() < trouble.again_at:
            return Look()
        rows: Counter[str] = Counter()
        try:
            with self.locks.hold(LOCK):
                self._take_all(rows)
        except RecordBusy:
            return Look()  # somebody else looks, or renews the tokens
        except SyncError as error:
            return self._note_failure(error, trouble, rows)
        finally:
            self.notes.count(rows)
        if trouble is not None:
            self.notes.note_trouble(None)
        return Look(rows=rows, is_well_again=trouble is not None and trouble.needs_person)

    def _take_all(self, rows: Counter[str]) -> None:
        self._ensure_open()
        ready, is_new = self._readiness()
        self._take_up(rows, can_reserve=ready.can_reserve, is_new=is_new)
        take = self._take_reserved if ready.can_reserve else self._take_noted
        for _ in range(MOST_PAGES):
            if take(rows) < PAGE:
                return

    def _ensure_open(self) -> None:
        try:
            self.ensure_open()
        except Misconfigured as shut:  # the webhook's trouble, of which the circuit has told already
            raise CircuitOpen(str(shut)) from shut

    # --- what is listened to -----------------------------------------------------------------------------------------

    def _readiness(self) -> tuple[Readiness, bool]:
        """What the portal has, and whether it was asked just now."""
        known, now = self.notes.readiness(), self.clock.now()
        if known is not None and known.codes == self.codes and now < known.at + READY_FOR:
            return known, False
        self._bind_missing()
        ready = Readiness(at=now, codes=self.codes, can_reserve=self.subscriptions.can_reserve())
        if known is None or known.can_reserve != ready.can_reserve:
            how = "reserved until they are handled" if ready.can_reserve else "noted here and then taken: see doctor"
            logger.info("the offline queue of Bitrix24 is read; its rows are %s", how)
        self.notes.note_readiness(ready)
        return ready, True

    def _bind_missing(self) -> None:
        bound = self.subscriptions.bound()
        missing = [code for code in self.codes if code not in bound]
        unknown = [code for code in missing if not self.subscriptions.bind(code)]
        if unknown:
            logger.warning("this portal has no offline event %s", ", ".join(unknown))
        if newly := [code for code in missing if code not in unknown]:
            logger.info("the application now listens to %s", ", ".join(newly))

    # --- rows --------------------------------------------------------------------------------------------------------

    def _take_up(self, rows: Counter[str], *, can_reserve: bool, is_new: bool) -> None:
        """Finish what somebody began who did not come to the end of it. Our own notes may be lost, so is_new counts."""
        opened = self.notes.opened()
        if opened is None and not is_new:
            return
        self._hand_over_noted(opened or (), rows)
        if can_reserve:
            self._take_up_reserved(rows)
        self.notes.close()

    def _take_up_reserved(self, rows: Counter[str]) -> None:
        seen: set[str] = set()
        while found := self.queue.reserved():
            ids = {row.id for one in found for row in one.rows}
            if ids <= seen:
                raise RemoteUnavailable("Bitrix24 event.offline.clear: rows that were cleared are still there")
            seen |= ids
            for one in found:
                self._finish(one.process_id, one.rows, rows)

    def _take_reserved(self, rows: Counter[str]) -> int:
        self.notes.open(())  # before the portal reserves: the answer that names them may be lost
        page = self.queue.reserve()
        if page.rows:
            self._finish(page.process_id, page.rows, rows)
        self.notes.close()
        return len(page.rows)

    def _take_noted(self, rows: Counter[str]) -> int:
        page = self.queue.look()
        if page:
            self.notes.open(page)
            self.queue.remove(page)
            self._hand_over_noted(page, rows)  # after they are gone: a change from now on makes a row of its own
            self.notes.close()
        return len(page)

    def _hand_over_noted(self, page: Sequence[OfflineRow], rows: Counter[str]) -> None:
        """Of rows that the portal has no more: one that is beyond us is for a person."""
        for row in self._hand_over(page, rows):
            wrong = {"event": ["it could not be handled; the log has the traceback"]}
            self.keep(bitrix24_misfit(row.raw, wrong, seen_at=self.clock.now()))

    def _finish(self, process_id: str, page: Sequence[OfflineRow], rows: Counter[str]) -> None:
        failed = self._hand_over(page, rows)
        if failed:
            self.queue.mark_failed(process_id, failed)
        if done := [row for row in page if row not in failed]:
            self.queue.clear(process_id, done)

    def _hand_over(self, page: Sequence[OfflineRow], rows: Counter[str]) -> list[OfflineRow]:
        """Bring each row's event into safety. Returns those where that is beyond us. Errors: StoreUnavailable.

        Seen now, and not when the portal's clock says that it changed: a read that begins after this moment sees it.
        """
        seen_at = self.clock.now()
        rung: set[tuple[object, ...]] = set()
        failed = []
        for row in page:
            try:
                reading = read_bitrix24(row.code, row.fields, row.raw, seen_at=seen_at, fields_at="EVENT_DATA[FIELDS]")
                rows[self._settle(reading, rung)] += 1
            except SyncError:
                raise
            except Exception:  # whatever one row is, the others behind it must come through
                logger.exception("row %s (%s) of the offline queue cannot be handled", row.id, row.code)
                rows[FAILED] += 1
                failed.append(row)
        return failed

    def _settle(self, reading: Reading, rung: set[tuple[object, ...]]) -> str:
        match reading:
            case ChangeEvent():
                bell = (reading.entity, reading.record, reading.change, reading.whole)
                if bell not in rung:  # a new record is told of by an ADD and an UPDATE at once
                    self.outbox.publish(reading)
                rung.add(bell)
                return RUNG
            case Misfit():
                self.keep(reading)
                return KEPT
            case Ignored():
                return IGNORED

    # --- failures ----------------------------------------------------------------------------------------------------

    def _note_failure(self, error: SyncError, before: Trouble | None, rows: Mapping[str, int]) -> Look:
        """Wait, ever longer where a person has to do something; he is told once."""
        needs_person = isinstance(error, (Misconfigured, RemoteRejected))
        was_told = before is not None and before.needs_person
        gap = PAUSE_SECONDS
        if isinstance(error, TryLater) and error.retry_after_seconds is not None:
            gap = min(max(error.retry_after_seconds, 1.0), LONGEST_GAP_SECONDS)
        if needs_person:
            gap = min(before.gap_seconds * 2, LONGEST_GAP_SECONDS) if before and was_told else FIRST_GAP_SECONDS
            self.notes.note_readiness(None)  # what the portal has may be another by then
        trouble = Trouble(
            message=self.mask(str(error)),
            again_at=self.clock.now() + timedelta(seconds=gap),
            gap_seconds=gap,
            needs_person=needs_person or was_told,  # an outage in between does not make it well
        )
        self.notes.note_trouble(trouble)
        return Look(rows=rows, error=error, is_alarm=needs_person and not was_told)
