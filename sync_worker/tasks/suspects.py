"""Events whose worker died while it was at them: which of them kills, and which were only there.

A message that a broker gives out again may be one that kills its worker (a crash in C code, memory), and would do so
for ever. It may just as well have stood beside that one, or have been in flight when somebody ended the worker with
kill -9. So its crashes are counted in two steps. The first time it comes back it runs among others, and is counted.
Where that ended in a crash too, it is a suspect: it runs alone in its process, and what kills the process then is
this event and no other. So a killer is a dead letter after three crashes, and its neighbours never are. An innocent
event would have to be in flight in two crashes and then be alone in its process in the very second of a third.

An ordinary message, on its first delivery, costs no question to the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sync_worker.errors import WorkerCrash
from sync_worker.store.crashes import RedisCrashes
from sync_worker.store.locks import RedisLocks

PROVEN = 2  # crashes counted: once among others, once alone. The first delivery's is known, but not counted
SUSPECT_HEADER = "suspect"
"""On the next message of a watched one that waits by a countdown: it is a fresh message to the broker."""


class Room:
    """The tasks of one process: many at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_taken = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Once all who are inside have left. Whoever comes meanwhile waits outside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taken)
            self._is_taken = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()


def is_watched(request: Any) -> bool:
    """True for a Celery request whose message was given out before, to somebody who did not finish it."""
    return bool((request.delivery_info or {}).get("redelivered") or request.get(SUSPECT_HEADER))


class Watch:
    """Lets each task of this process run when it may, and sees which do not survive it."""

    def __init__(self, *, crashes: RedisCrashes, locks: RedisLocks) -> None:
        self._crashes = crashes
        self._locks = locks
        self._room = Room()

    def hold(self, name: str) -> AbstractContextManager[None]:
        """What is done under this name is done once at a time, over all processes. Errors: RecordBusy."""
        return self._locks.hold(f"task:{name}")

    @contextmanager
    def over(self, task_id: str, *, is_watched: bool) -> Iterator[None]:
        """Hold the block back until it may run.

        Errors: WorkerCrash where it must not run any more; RecordBusy where the same message is being worked on, or
        was until some seconds ago; StoreUnavailable.
        """
        if not is_watched:
            with self._room.among_others():
                yield
            return
        # Redis gives a message out again whose task merely takes long: it counts as dead once its lock has run out
        with self.hold(task_id):
            so_far = self._crashes.so_far(task_id)
            if so_far >= PROVEN:
                raise WorkerCrash("the worker died each time it was at this event, at last with nothing else in hand")
            place = self._room.alone() if so_far else self._room.among_others()
            with place, self._crashes.counting(task_id, so_far):
                yield
