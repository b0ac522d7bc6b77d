"""Walking through long lists with patience, and one long job of a kind at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from sync_worker.domain.listed import ListPage
from sync_worker.errors import RecordBusy, TryLater
from sync_worker.sync.ports import Clock, Locks
from sync_worker.sync.retry_policy import asked_seconds

DONE = "done"  # in the place of a place: the source was seen to its end
PATIENCE = timedelta(minutes=15)  # without a single page: then a person is told, and goes on later
RETRY_SECONDS = 5.0
LEASE_PATIENCE_SECONDS = 20  # a killed job's lock lasts for less


def walk(
    pages: Callable[[str | None], Iterator[ListPage]], place: str | None, *, clock: Clock
) -> Iterator[tuple[ListPage, str]]:
    """Each page from `place` on, with the place to go on from after it (DONE after the last).

    What may work later is tried again. Errors: TryLater where nothing came for long, and all that no waiting mends.
    """
    if place == DONE:
        return
    moved_at = clock.now()
    while True:
        try:
            for page in pages(place):
                place = page.after
                yield page, place or DONE
                moved_at = clock.now()
        except TryLater as error:
            if clock.now() - moved_at > PATIENCE:
                raise
            clock.sleep(asked_seconds(error, RETRY_SECONDS))
        else:
            return


@contextmanager
def hold_job(locks: Locks, name: str, *, clock: Clock) -> Iterator[None]:
    """The lock of a job, waited for as long as that of a killed one may last. Errors: RecordBusy."""
    with ExitStack() as held:
        for turn in range(LEASE_PATIENCE_SECONDS + 1):
            try:
                held.enter_context(locks.hold(name))
                break
            except RecordBusy as error:
                if turn == LEASE_PATIENCE_SECONDS:
                    raise RecordBusy(f"another {name} is running; let it end, or stop it first") from error
                clock.sleep(1)
        yield
