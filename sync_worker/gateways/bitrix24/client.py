"""Every request to Bitrix24 leaves through here: in company, within the budget, its errors translated once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited, SyncError
from sync_worker.gateways.bitrix24.commands import MAX_BATCH, Batch, Command, Group
from sync_worker.gateways.bitrix24.departures import BatchesSpentError, Departures
from sync_worker.gateways.bitrix24.query import resolved
from sync_worker.gateways.bitrix24.throttle import Governor
from sync_worker.gateways.bitrix24.transport import Transport
from sync_worker.gateways.fence import Fence, under_no_lease

PARALLEL = 8  # requests of one `run_many` that are under way at once
PATIENCE_SECONDS = 900.0  # of `run_many`, with a budget that is spent


def live_lane() -> Lane:
    return Lane.LIVE


def nobody_listens(_call: str) -> None:
    """What a call is told to where no story is written."""


class Bitrix24Client:
    """One portal. Thread-safe: tasks that run at once share it, and their calls leave together."""

    def __init__(
        self,
        *,
        webhook_url: str,
        governor: Governor,
        http: requests.Session,
        lane: Callable[[], Lane] = live_lane,
        told: Callable[[str], None] = nobody_listens,
        fence: Callable[[], Fence] = under_no_lease,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`lane` says for whom the calling thread works; `told` hears each method that it calls.

        `fence`, asked in that thread, gives what is asked right before its call leaves, in whichever thread: it raises
        where the caller holds no longer what it works on.
        """
        transport = Transport(webhook_url=webhook_url, http=http)
        self._lane = lane
        self._told = told
        self._fence = fence
        self._sleep = sleep
        self._lines = {
            one: Departures(lane=one, transport=transport, governor=governor, sleep=sleep).line for one in Lane
        }

    def call(self, method: str, **params: Any) -> Any:
        """Return the `result` of one method.

        Errors: RateLimited, CircuitOpen, RemoteUnavailable, OutcomeUnknown (writes), LinkBroken (no such record),
        RemoteRejected, Misconfigured, and what the fence raises.
        """
        return self.run(Command(method=method, params=params))

    def run(self, command: Command) -> Any:
        return self.batch({"one": command}).get("one")

    def batch(self, commands: Mapping[str, Command], *, halt: bool = False) -> Batch:
        """Run up to 50 commands as one request. `halt` stops at the first error, for commands that build on another.

        Errors: those of the request as a whole; a command's own error is in the answer.
        """
        if not 0 < len(commands) <= MAX_BATCH:
            raise ValueError(f"a batch holds 1 to {MAX_BATCH} commands, not {len(commands)}")
        for command in commands.values():
            self._told(command.method)
        group = Group(commands=commands, halt=halt, fence=self._fence())
        lane = self._lane()
        batch = self._leave(group, lane)
        if not batch.unseen:
            return batch
        # the answers of before are not lost with these reads: what was written is written
        unseen = Group(commands={key: commands[key].alone() for key in batch.unseen}, fence=group.fence)
        return batch.with_more(self._leave_gently(unseen, lane))

    def run_many(self, commands: Sequence[Command]) -> list[Any]:
        """Run any number of independent commands. Returns for each, in its place, its result or its SyncError."""
        answers: dict[int, Any] = {}
        numbered = list(enumerate(commands))
        chunks = [dict(numbered[start : start + MAX_BATCH]) for start in range(0, len(numbered), MAX_BATCH)]
        lane, fence = self._lane(), self._fence()  # the pool's threads have no task of their own
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            for found in pool.map(lambda chunk: self._carry(chunk, lane, fence), chunks):
                answers |= found
        return [answers[index] for index in range(len(commands))]

    def _leave(self, group: Group, lane: Lane) -> Batch:
        if group.is_spoilt and len(group.commands) > 1:
            return self._one_by_one(group, lane)
        try:
            return self._lines[lane].run(group)
        except BatchesSpentError:
            return self._one_by_one(group, lane)

    def _one_by_one(self, group: Group, lane: Lane) -> Batch:
        """Without a batch, references resolved here. For texts that a batch would spoil, and a budget of batches.

        Errors: those of the first command; whatever befalls a later one is its own, since the first was run.
        """
        done = Batch(results={})
        for key, command in group.commands.items():
            lone = Command(method=command.method, params=resolved(command.params, done.results))
            try:
                done = done.with_more(self._lines[lane].run(Group(commands={key: lone}, fence=group.fence)))
            except SyncError as error:
                if not (done.results or done.errors):
                    raise
                done = done.with_more(Batch(results={}, errors={key: error}))
            if done.errors and group.halt:
                break
        return done

    def _carry(self, chunk: Mapping[int, Command], lane: Lane, fence: Fence) -> dict[int, Any]:
        """All of a chunk, in as many requests as the budget makes of it."""
        answers: dict[int, Any] = {}
        left = {str(index): command for index, command in chunk.items()}
        patience_seconds = PATIENCE_SECONDS
        while left:
            batch = self._leave_gently(Group(commands=left, is_loose=True, fence=fence), lane)
            kept_out = {key: error for key, error in batch.errors.items() if isinstance(error, RateLimited)}
            done = {key: one for key, one in {**batch.results, **batch.errors}.items() if key not in kept_out}
            answers |= {int(key): answer for key, answer in done.items()}
            left = {
                key: command.alone() if key in batch.unseen else command
                for key, command in left.items()
                if key not in done
            }
            if kept_out and not done:
                seconds = max(error.retry_after_seconds or 1.0 for error in kept_out.values())
                patience_seconds -= seconds
                if patience_seconds < 0:
                    last = next(iter(kept_out.values()))
                    return answers | {int(key): kept_out.get(key, last) for key in left}
                self._sleep(seconds)
        return answers

    def _leave_gently(self, group: Group, lane: Lane) -> Batch:
        """An error of the request as a whole is each command's own."""
        try:
            return self._leave(group, lane)
        except SyncError as error:
            return Batch(results={}, errors=dict.fromkeys(group.commands, error))
