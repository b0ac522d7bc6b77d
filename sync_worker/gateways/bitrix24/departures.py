"""When the calls of one lane leave, and with whom: the strategy of its group commit.

With tokens to spare a call goes at once, alone. With few, it waits for the requests under way, as a database commit
waits for the disk, and with none for the next token; whoever comes meanwhile goes along.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sync_worker.domain.budget import BATCH, Permit, Spent
from sync_worker.domain.identity import Lane
from sync_worker.errors import (
    CircuitOpen,
    RateLimited,
    RemoteUnavailable,
    ShutOut,
    StoreUnavailable,
    SyncError,
)
from sync_worker.gateways.bitrix24.answers import (
    is_own,
    lost_answer,
    own_error,
    read_answers,
    refused_methods,
    request_name,
    spent_by_method,
    whole_error,
)
from sync_worker.gateways.bitrix24.commands import MAX_BATCH, Batch, Command, Group
from sync_worker.gateways.bitrix24.joining import Request, arrange, distribute, first_to_leave, within
from sync_worker.gateways.bitrix24.problems import is_operating_limit, problem_error
from sync_worker.gateways.bitrix24.throttle import Governor
from sync_worker.gateways.bitrix24.transport import NoReplyError, Reply, Transport
from sync_worker.gateways.group_commit import GroupCommit, Journey, Ticket

logger = logging.getLogger(__name__)

PLENTY = 0.5  # while more than this share of the burst is free, nobody waits for company
LONGEST_GATHERING_SECONDS = 0.5  # about as long as a token takes to come
SHORT_BLOCK_SECONDS = 2.0  # a method that is blocked for less is waited for in line
LONGEST_STAND_SECONDS = 30.0  # without a token of one's own; then the task comes back another time
COME_BACK_SECONDS = 5.0

Line = GroupCommit[Group, Batch]
Caller = Ticket[Group, Batch]


class BatchesSpentError(Exception):
    """The portal bills batches as such, and their running time is spent: send the commands one by one."""


class Departures:
    """One lane of one portal, in one process."""

    def __init__(self, *, lane: Lane, transport: Transport, governor: Governor, sleep: Callable[[float], None]) -> None:
        self.line: Line = GroupCommit(self._travel)
        self._lane = lane
        self._transport = transport
        self._governor = governor
        self._sleep = sleep
        self._returned = threading.Condition()
        self._under_way = 0
        self._spare = 1.0
        self._cost_seconds: dict[str, float] = {}

    def _travel(self, journey: Journey[Group, Batch]) -> None:
        self._gather(journey)
        permit, aboard = self._board(journey)
        if not aboard:
            return
        with self._returned:
            self._under_way += 1
        try:
            self._send(aboard, permit)
        except (KeyboardInterrupt, SystemExit):
            for caller, group in aboard:  # it is this thread's alone; the others only lose their answers
                caller.fail(lost_answer("call", NoReplyError("broken off", was_sent=True), is_write=group.is_write))
            raise
        finally:
            with self._returned:
                self._under_way -= 1
                self._returned.notify_all()

    # --- who leaves, and when ----------------------------------------------------------------------------------------

    def _gather(self, journey: Journey[Group, Batch]) -> None:
        """With few tokens left, wait for the requests under way: their callers' next calls go along."""
        if self._spare >= PLENTY or _commands(journey) >= MAX_BATCH:
            return
        with self._returned:
            self._returned.wait_for(lambda: not self._under_way, timeout=LONGEST_GATHERING_SECONDS)

    def _board(self, journey: Journey[Group, Batch]) -> tuple[Permit, list[tuple[Caller, Group]]]:
        """Wait for the budget; then depart with those who may go. Nobody goes where their methods are all blocked.

        Errors: RateLimited and CircuitOpen, for the first in line.
        """
        is_paid, stood_seconds = False, 0.0
        while True:
            callers = journey.waiting()
            places = first_to_leave([caller.item for caller in callers], cost_seconds=self._cost_seconds)
            request = arrange([group for _, group in places])
            permit = self._governor.take(self._lane, request.methods(), is_batch=request.is_batch, is_paid=is_paid)
            self._cost_seconds |= permit.cost_seconds
            if permit.wait_seconds <= 0:
                break
            if stood_seconds > LONGEST_STAND_SECONDS and not permit.is_reserved:
                raise RateLimited("live work has taken what there was", retry_after_seconds=COME_BACK_SECONDS)
            self._sleep(permit.wait_seconds)
            is_paid = permit.is_reserved
            stood_seconds += permit.wait_seconds
        self._spare = permit.spare
        chosen = [(callers[place], group) for place, group in places]
        return permit, self._depart(journey, chosen, request, permit)

    def _depart(
        self, journey: Journey[Group, Batch], chosen: Sequence[tuple[Caller, Group]], request: Request, permit: Permit
    ) -> list[tuple[Caller, Group]]:
        if permit.is_probe:
            aboard = list(chosen[:1])
            journey.depart([chosen[0][0]])
            return aboard
        if BATCH in permit.blocked_seconds:
            self._send_singly(journey, chosen[0][0], permit.blocked_seconds[BATCH])
            return []
        kept = within([group for _, group in chosen], request, permit.allowed)
        aboard, late = [], []
        for place, ((caller, _), group) in enumerate(zip(chosen, kept, strict=True)):
            if group is None:
                late.append((caller, _blocked(request.methods_of(place), permit)))
            else:
                aboard.append((caller, group))
        if permit.allowed and not aboard:
            self._settle(permit, {}, is_failed=True)  # nothing leaves: what was reserved for it is free again
        self._turn_away(journey, [caller for caller, _ in aboard], late)
        return aboard

    def _send_singly(self, journey: Journey[Group, Batch], first: Caller, batch_seconds: float) -> None:
        """No budget for batches for so long. A group of one never needed one; the others are told to come singly."""
        journey.depart([first])
        if len(first.item.commands) > 1:
            first.fail(BatchesSpentError())
            return
        request = arrange([first.item])
        alone = self._governor.take(self._lane, request.methods(), is_batch=False, is_paid=False)
        while alone.wait_seconds > 0:
            self._sleep(alone.wait_seconds)
            alone = self._governor.take(self._lane, request.methods(), is_batch=False, is_paid=alone.is_reserved)
        if within([first.item], request, alone.allowed) == [None]:
            error = _blocked(request.methods_of(0), alone)
            seconds = min(_wait_seconds(error), batch_seconds)  # a batch may have budget again before the method has
            first.fail(RateLimited(str(error), retry_after_seconds=seconds))
            return
        self._send([(first, first.item)], alone)

    def _turn_away(
        self, journey: Journey[Group, Batch], aboard: Sequence[Caller], late: Sequence[tuple[Caller, RateLimited]]
    ) -> None:
        """Those whose method is blocked for long come back later; a short block is waited for in line."""
        refused = [(caller, error) for caller, error in late if _wait_seconds(error) > SHORT_BLOCK_SECONDS]
        journey.depart([*aboard, *(caller for caller, _ in refused)])
        for caller, error in refused:
            caller.fail(error)
        if late and not aboard and not refused:
            self._sleep(min(_wait_seconds(error) for _, error in late))

    # --- sending -----------------------------------------------------------------------------------------------------

    def _send(self, aboard: Sequence[tuple[Caller, Group]], permit: Permit) -> None:
        """Nothing may come between the fence and the request: whoever waits there may stand still for long."""
        aboard = [(caller, group) for caller, group in aboard if _passes_fence(caller, group)]
        if not aboard:
            self._settle(permit, {}, is_failed=True)  # what was reserved for them is free again
            return
        request, callers = arrange([group for _, group in aboard]), [caller for caller, _ in aboard]
        waited_seconds = sum(time.monotonic() - caller.came_at for caller in callers)
        try:
            reply = self._post(request)
        except NoReplyError as failure:
            for caller in callers:
                caller.fail(_blamed(lost_answer(request_name(request), failure, is_write=caller.item.is_write), permit))
            self._note_failure(
                permit, lost_answer(request_name(request), failure, is_write=False), is_lost=failure.was_sent
            )
            return
        if reply.problem or (request.is_batch and not isinstance(reply.body["result"], dict)):
            self._refuse(request, callers, permit, reply)
            return
        answers = read_answers(request, reply)
        refused = refused_methods(request, answers["result_error"])
        batches = distribute(request, answers["result"], answers["result_error"], error_of=own_error)
        for caller, batch in zip(callers, batches, strict=True):
            caller.answer(batch)
        self._settle(permit, spent_by_method(request, reply, answers), waited_seconds=waited_seconds, refused=refused)

    def _post(self, request: Request) -> Reply:
        if not request.is_batch:
            ((_, command),) = request.commands.items()
            return self._transport.post(command.method, command.params)
        return self._transport.post(BATCH, {"halt": int(request.halt), "cmd": request.texts()})

    def _refuse(self, request: Request, callers: Sequence[Caller], permit: Permit, reply: Reply) -> None:
        """The request as a whole came to nothing. Where it was a single command, that may be its own error."""
        name = request_name(request)
        worst = whole_error(name, reply, is_write=False)
        if not request.is_batch and is_own(worst):
            self._answer_with_own_error(request, callers, reply)
        else:
            for caller in callers:
                caller.fail(_blamed(whole_error(name, reply, is_write=caller.item.is_write), permit))
        if isinstance(worst, ShutOut):
            self._note_failure(permit, worst, is_final=True)
        elif isinstance(worst, RemoteUnavailable) and "error" in reply.body and not permit.is_probe:
            self._settle(permit, {}, is_lost=True, is_failed=True)  # a method that breaks; the portal itself answers
        elif isinstance(worst, RemoteUnavailable):
            self._note_failure(permit, worst, is_lost=True)
        elif isinstance(worst, RateLimited) and not is_operating_limit(reply.body):
            self._note_refusal()
            self._settle(permit, {})
        else:
            self._settle(permit, {}, refused=[name] if isinstance(worst, RateLimited) else [])

    def _answer_with_own_error(self, request: Request, callers: Sequence[Caller], reply: Reply) -> None:
        """A list that was refused tells nothing of its rows: each is asked for by itself."""

        def error_of(command: Command, problem: Any) -> SyncError:
            return problem_error(command.method, reply.status, problem, is_write=command.is_write)

        problems = dict.fromkeys(request.commands, reply.body)
        for caller, batch in zip(callers, distribute(request, {}, problems, error_of=error_of), strict=True):
            caller.answer(batch)

    # --- what the governor is told -----------------------------------------------------------------------------------

    def _settle(self, permit: Permit, spent: Mapping[str, Spent], **how: Any) -> None:
        """The callers have their answers: what goes wrong now must not reach them."""
        try:
            self._governor.settle(permit, self._lane, spent, **how)
        except StoreUnavailable as error:
            logger.warning("what a request to Bitrix24 took could not be noted: %s", error)

    def _note_refusal(self) -> None:
        try:
            self._governor.refused(self._lane)
        except StoreUnavailable as error:
            logger.warning("a refusal by Bitrix24 could not be noted: %s", error)

    def _note_failure(self, permit: Permit, error: SyncError, *, is_final: bool = False, is_lost: bool = False) -> None:
        try:
            is_opened = self._governor.failed(error.cause, str(error), is_final=is_final)
        except StoreUnavailable as unavailable:
            logger.warning("a failure of Bitrix24 could not be noted: %s", unavailable)
            return
        if is_opened:
            logger.error("Bitrix24 is shut to us; events wait, and one call probes now and then: %s", error)
        self._settle(permit, {}, is_lost=is_lost, is_failed=True)


def _commands(journey: Journey[Group, Batch]) -> int:
    return sum(len(caller.item.commands) for caller in journey.waiting())


def _passes_fence(caller: Caller, group: Group) -> bool:
    """False where it was told that it may not leave any more."""
    try:
        group.fence()
    except SyncError as error:
        caller.fail(error)
        return False
    return True


def _blocked(methods: Collection[str], permit: Permit) -> RateLimited:
    spent = sorted(set(methods) & permit.blocked_seconds.keys())
    seconds = max((permit.blocked_seconds[method] for method in spent), default=1.0)
    return RateLimited(
        f"the running time of {', '.join(spent or sorted(methods))} is spent for the next {seconds:.0f} s",
        retry_after_seconds=seconds,
    )


def _wait_seconds(error: RateLimited) -> float:
    return error.retry_after_seconds or 0.0


def _blamed(error: SyncError, permit: Permit) -> SyncError:
    """A probe's failure is the outage's, and no try of the event that happened to make it."""
    return CircuitOpen(str(error)) if permit.is_probe and isinstance(error, RemoteUnavailable) else error
