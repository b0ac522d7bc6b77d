"""Calls that are made at the same moment leave together, as a database joins its commits ("group commit").

There is no thread behind it: the first caller leads. It waits for what the remote allows, takes along whoever came
meanwhile, hands the lead to the first who stays behind, and sends. So a call that comes alone leaves at once, from its
own thread, and the longer the wait the fuller the journey.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Ticket(Generic[Item, Answer]):
    """One call in line. It is answered or failed exactly once; what comes later is ignored."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.came_at = time.monotonic()
        self.is_done = False
        self.is_travelling = False  # its thread leads a journey; True may outlast its own part in it
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._woken = threading.Event()

    def answer(self, answer: Answer) -> None:
        if not self.is_done:
            self._answer, self.is_done = answer, True
            self._woken.set()

    def fail(self, error: BaseException) -> None:
        if not self.is_done:
            self._error, self.is_done = error, True
            self._woken.set()

    def result(self) -> Answer:
        """What it was answered. Errors: what it was failed with."""
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]  # answered, if only with None

    def wake(self) -> None:
        self._woken.set()

    def wait(self) -> None:
        """Until it is answered, or has to lead."""
        self._woken.wait()
        self._woken.clear()


class Journey(Protocol[Item, Answer]):
    """What the leader of a line may do with it."""

    def waiting(self) -> list[Ticket[Item, Answer]]:
        """All in line at this moment, in the order of coming."""

    def depart(self, tickets: Sequence[Ticket[Item, Answer]]) -> None:
        """Take these out of the line and let the next one lead; each of them has to be answered or failed.

        Once a journey: afterwards the line is another's. The leader's own ticket need not be among them.
        """


class GroupCommit(Generic[Item, Answer]):
    """A line of calls and who leads it. Thread-safe."""

    def __init__(self, travel: Callable[[Journey[Item, Answer]], None]) -> None:
        """`travel` runs in the leader's thread: it waits, departs with some of those in line, sends and answers.

        What it raises fails those who departed, or the leader alone where nobody did.
        """
        self._travel = travel
        self._line: list[Ticket[Item, Answer]] = []
        self._leader: Ticket[Item, Answer] | None = None
        self._lock = threading.Lock()

    def run(self, item: Item) -> Answer:
        """Wait until it was sent, and return its answer. Errors: those that it was failed with."""
        ticket: Ticket[Item, Answer] = Ticket(item)
        try:
            with self._lock:
                self._line.append(ticket)
                self._appoint()
            while not ticket.is_done:
                ticket.wait()
                if not ticket.is_done:
                    self._lead(ticket)
        finally:
            self._quit(ticket)
        return ticket.result()

    def _lead(self, leader: Ticket[Item, Answer]) -> None:
        journey = _Journey(self, leader)
        leader.is_travelling = True
        try:
            self._travel(journey)
        except Exception as error:  # whatever it is, nobody may be left waiting for ever
            for ticket in journey.aboard or [leader]:
                ticket.fail(error)
        finally:
            # an interrupt is this thread's own and goes on up; the others aboard hear only that they were not answered
            for ticket in journey.aboard:
                ticket.fail(RuntimeError("a joined call was sent, and neither answered nor failed"))
            leader.is_travelling = False
            self._leave(journey, [])

    def _leave(self, journey: _Journey[Item, Answer], tickets: Iterable[Ticket[Item, Answer]]) -> None:
        """Take tickets out of the line; the lead goes to the next."""
        gone = set(map(id, tickets))
        with self._lock:
            self._line = [ticket for ticket in self._line if id(ticket) not in gone and not ticket.is_done]
            if not journey.is_led_on:
                journey.is_led_on = True
                self._leader = None
            self._appoint()

    def _quit(self, ticket: Ticket[Item, Answer]) -> None:
        """Its thread goes, be it by an interrupt: nobody may wait for it to lead."""
        with self._lock:
            if ticket in self._line:
                self._line.remove(ticket)
            if self._leader is ticket:
                self._leader = None
                self._appoint()

    def _appoint(self) -> None:
        """The first in line leads, unless it is still sending others' calls. Under the lock."""
        if self._leader is None:
            self._leader = next((ticket for ticket in self._line if not ticket.is_travelling), None)
            if self._leader is not None:
                self._leader.wake()

    def _waiting(self) -> list[Ticket[Item, Answer]]:
        with self._lock:
            return list(self._line)


class _Journey(Generic[Item, Answer]):
    """Port: Journey."""

    def __init__(self, line: GroupCommit[Item, Answer], leader: Ticket[Item, Answer]) -> None:
        self._of = line
        self.leader = leader
        self.aboard: list[Ticket[Item, Answer]] = []
        self.is_led_on = False

    def waiting(self) -> list[Ticket[Item, Answer]]:
        return self._of._waiting()

    def depart(self, tickets: Sequence[Ticket[Item, Answer]]) -> None:
        self.aboard += tickets
        self._of._leave(self, tickets)
