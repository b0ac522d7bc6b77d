"""Callers of one client who come while there is no token, and so leave together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sync_worker.domain.identity import Lane
from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from tests.contract.portal_world import client_of
from tests.governors import StandInGovernor
from tests.sandbox.portal_peer import Peer, running
from tests.threads import LONG, Gate, await_that

Call = Callable[[Bitrix24Client], Any]


class Crowd:
    """A portal, its client, and threads. `seen`: the requests that left, each a method or what was in a batch."""

    def __init__(self, peer: Peer, pool: ThreadPoolExecutor) -> None:
        self.peer = peer
        self.governor = StandInGovernor()
        self.client: Bitrix24Client
        self.slept: list[float] = []
        self.token = Gate()
        self._pool = pool
        self._seen_before = 0

    def sleep(self, seconds: float) -> None:
        """What the client does where it has to wait: whoever waits for a token passes the test's gate."""
        self.slept.append(seconds)
        self.token.stop()

    def come(self, call: Call) -> Future[Any]:
        """One caller more; it is in line when this returns."""
        before = self.in_line()
        future = self.send(call)
        await_that(lambda: self.in_line() > before)
        return future

    def send(self, call: Call) -> Future[Any]:
        """A caller who is not waited for."""
        return self._pool.submit(outcome_of, call, self.client)

    def leave_together(self, calls: Sequence[Call]) -> list[Any]:
        """What each was answered, or its error: they came one after the other, and a token after the last."""
        self.mark()
        self.governor.wait_seconds = 0.5
        futures = [self.come(call) for call in calls]
        self.token.opened.set()
        return [future.result(LONG) for future in futures]

    def in_line(self) -> int:
        return len(self.client._lines[Lane.LIVE]._waiting())

    def mark(self) -> None:
        """What was sent before is no longer `seen`."""
        self._seen_before = len(self.peer.portal.journal)

    @property
    def seen(self) -> list[Any]:
        return [call["commands"] or call["method"] for call in self.peer.portal.journal[self._seen_before :]]

    def deals(self, count: int) -> list[int]:
        return [self.peer.call("crm.deal.add", fields={"TITLE": f"Сделка {number}"}) for number in range(count)]

    def title(self, id_: int) -> str:
        return self.peer.call("crm.deal.get", id=id_)["TITLE"]


def outcome_of(call: Call, client: Bitrix24Client) -> Any:
    try:
        return call(client)
    except SyncError as error:
        return error


@contextmanager
def crowd(**settings: Any) -> Iterator[Crowd]:
    with running(**settings) as peer, ThreadPoolExecutor(max_workers=64) as pool:
        gathered = Crowd(peer, pool)
        with client_of(peer.base, gathered.governor, sleep=gathered.sleep) as gathered.client:
            try:
                yield gathered
            finally:
                gathered.token.opened.set()
