"""At most so many at once, over all processes: calls to a 1C base that has only a few sessions."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from sync_worker.domain.identity import Lane
from sync_worker.errors import RateLimited, StoreUnavailable
from sync_worker.store.client import load_script, translating
from sync_worker.store.keeper import Keeper

logger = logging.getLogger(__name__)

LEASE_SECONDS = 5.0  # as long as a killed holder's slot is nobody's; renewed three times within it
POLL_SECONDS = 0.01  # as many as there are slots ask this often, those behind them the less the further behind
LONGEST_POLL_SECONDS = 0.25
PATIENCE_SECONDS = 3.0  # who has not asked for so long has lost his place in line
BULK_WAITS_SECONDS = 10.0  # a bulk asker stands in line as a live one would who came so much later


@dataclass(slots=True)
class Slot:
    """One that is held."""

    token: str
    lease_seconds: float
    renew: Callable[[Slot], bool]

    def lengthen(self, seconds: float) -> None:
        """For what nobody could take over: were the holder killed now, the slot would stay taken for so long.

        Errors: RateLimited where it is held no longer, StoreUnavailable.
        """
        self.lease_seconds = max(self.lease_seconds, seconds)
        if not self.renew(self):
            raise RateLimited("the slot was held for too long without being renewed", retry_after_seconds=1)


class Slots:
    """`limit` slots that all who use the same `name` share, given in the order of asking, live askers first.

    Of two slots or more, bulk askers never hold the last: it is kept for live ones. Nobody starves: who came in the
    bulk lane goes before live askers who came `BULK_WAITS_SECONDS` after him. A killed holder's slot is free after
    `lease_seconds`.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        name: str,
        limit: int,
        lease_seconds: float = LEASE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self.limit = limit
        self._lease_seconds = lease_seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._keeper = Keeper(every_seconds=lease_seconds / 3)
        self._take_slot = load_script(client, "take_slot")
        self._renew_slot = load_script(client, "renew_slot")
        self.holders_key, self._line, self._askers = (f"sync:slots:{name}{part}" for part in ("", ":line", ":askers"))

    @contextmanager
    def hold(self, max_wait_seconds: float, lane: Lane = Lane.LIVE) -> Iterator[Slot]:
        """Hold a slot for the block; wait for it at most so long.

        Errors: RateLimited where none came free in time, StoreUnavailable.
        """
        token = f"{lane.value}:{uuid.uuid4().hex}"
        try:
            self._wait_for_slot(token, max_wait_seconds)
            slot = Slot(token=token, lease_seconds=self._lease_seconds, renew=self._renew)
            lease = self._keeper.keep(f"a slot of {self._name}", lambda: self._renew(slot))
            try:
                yield slot
            finally:
                self._keeper.drop(lease)
        finally:
            self._leave(token)

    def _wait_for_slot(self, token: str, max_wait_seconds: float) -> None:
        give_up_at = self._monotonic() + max_wait_seconds
        while place := self._take(token):
            left_seconds = give_up_at - self._monotonic()
            if left_seconds <= 0:
                raise RateLimited(
                    f"all {self.limit} slots of {self._name} were in use for {max_wait_seconds:g} s",
                    retry_after_seconds=max(1.0, max_wait_seconds / 2),
                )
            behind = max(0, place - self.limit)
            self._sleep(min(POLL_SECONDS * (1 + behind), LONGEST_POLL_SECONDS, left_seconds))

    @translating()
    def _take(self, token: str) -> int:
        """0 where the slot is ours, else our place in line."""
        keys = [self.holders_key, self._line, self._askers]
        later_seconds = BULK_WAITS_SECONDS if token.startswith(Lane.BULK.value) else 0
        waits_ms = [int(PATIENCE_SECONDS * 1000), int(later_seconds * 1000)]
        return int(self._take_slot(keys=keys, args=[token, self.limit, int(self._lease_seconds * 1000), *waits_ms]))

    @translating()
    def _renew(self, slot: Slot) -> bool:
        return bool(self._renew_slot(keys=[self.holders_key], args=[slot.token, int(slot.lease_seconds * 1000)]))

    def _leave(self, token: str) -> None:
        """Give back the slot or the place in line. Nothing is raised: the block's work is done."""
        try:
            with translating(), self._client.pipeline() as pipeline:
                for key in (self.holders_key, self._line, self._askers):
                    pipeline.zrem(key, token)
                pipeline.execute()
        except StoreUnavailable as error:
            logger.warning("a slot of %s could not be given back and will run out: %s", self._name, error)
