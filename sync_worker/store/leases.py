"""What the task of this thread holds, and until when. Under a lease that has run out nothing is sent and nothing kept.

A process may stand still for longer than its leases last (SIGSTOP, a machine without memory, a suspended VM). Another
task works on the record by then, and what the first one read is old. So it is stopped at two fences: the gateways ask
right before a call leaves, by this machine's own clock, and the store compares each lease's token in the very step that
keeps a link or a memory. A plain lock has neither: its holder learns too late that it is none any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sync_worker.errors import LeaseLost

LOST = "lost"  # what fence.lua's scripts answer
MARGIN_SHARE = 0.2  # of a lease: a call that leaves in its last moments would arrive after it
_COME_BACK_SECONDS = 1.0
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former goes on while the machine sleeps


@dataclass(slots=True)
class Lease:
    """One name, held. `seconds` is counted from before Redis was asked, so that it ends here no later than there."""

    shown: str  # for messages: no personal data
    key: str
    token: str
    seconds: float
    good_until: float = 0.0
    is_lost: bool = False  # once lost it stays so, though its key may be renewed by a keeper that woke up late

    def renewed(self, asked_at: float) -> None:
        self.good_until = asked_at + self.seconds

    def check(self) -> None:
        """Errors: LeaseLost."""
        self.is_lost = self.is_lost or now() > self.good_until - MARGIN_SHARE * self.seconds
        if self.is_lost:
            raise _lost([self])


_held: ContextVar[tuple[Lease, ...]] = ContextVar("leases", default=())


def now() -> float:
    """Seconds by this machine's own clock, which nobody sets."""
    return time.clock_gettime(_CLOCK)


@contextmanager
def held(lease: Lease) -> Iterator[None]:
    """What this thread does in the block, it does under this lease as well."""
    _held.set((*_held.get(), lease))
    try:
        yield
    finally:
        _held.set(tuple(one for one in _held.get() if one is not lease))


def fence() -> Callable[[], None]:
    """Asked in a task's thread: what a gateway calls, in whichever thread, right before it sends for that task.

    That raises LeaseLost where the task holds no longer what it held when this was asked.
    """
    leases = _held.get()

    def check() -> None:
        for lease in leases:
            lease.check()

    return check


def run_fenced(script: Callable[..., Any], *, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Run a script of fence.lua, which does nothing unless all of this thread's leases are in force.

    Returns its answer. Errors: LeaseLost; those of redis-py.
    """
    leases = _held.get()
    answer = script(keys=[*keys, *(one.key for one in leases)], args=[*args, *(one.token for one in leases)])
    if answer == LOST:
        for lease in leases:
            lease.is_lost = True
        raise _lost(leases)
    return answer


def _lost(leases: Iterable[Lease]) -> LeaseLost:
    shown = ", ".join(lease.shown for lease in leases)
    return LeaseLost(f"held for too long without being renewed: {shown}", retry_after_seconds=_COME_BACK_SECONDS)
