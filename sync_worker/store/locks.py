"""Who works on which record now, over all processes. A lock lasts as long as its block and its process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import redis
from redis.exceptions import LockError
from redis.lock import Lock

from sync_worker.domain.identity import System
from sync_worker.errors import RecordBusy, StoreUnavailable
from sync_worker.store.client import translating
from sync_worker.store.keeper import Keeper

logger = logging.getLogger(__name__)

COME_BACK_SECONDS = 1.0


class RedisLocks:
    """Locks by redis-py, one key each, renewed while held.

    A lock whose process is killed is free after `lease_seconds`. So is one that was renewed too late, with its block
    still running: that is logged as an error, and the block goes on. Writes are safe to repeat for that reason too.
    """

    def __init__(self, client: redis.Redis, *, lease_seconds: float = 15) -> None:
        self._client = client
        self._lease_seconds = lease_seconds
        self._keeper = Keeper(every_seconds=lease_seconds / 3)

    @contextmanager
    def hold(self, *names: str) -> Iterator[None]:
        """Hold all names or none. Not reentrant: a name that this very task holds is busy too."""
        with ExitStack() as held:
            for name in sorted(set(names)):  # in one order everywhere, so that of two rivals one gets all
                held.enter_context(self._hold_one(name))
            yield

    @contextmanager
    def _hold_one(self, name: str) -> Iterator[None]:
        shown = f"the lock {_shown(name)}"
        # the keeper's thread needs the token: no thread_local
        lock = Lock(self._client, f"sync:lock:{name}", timeout=self._lease_seconds, blocking=False, thread_local=False)
        with translating():
            if not lock.acquire():
                raise RecordBusy(f"another task holds {_shown(name)}", retry_after_seconds=COME_BACK_SECONDS)
        lease = self._keeper.keep(shown, lambda: _renew(lock))
        try:
            yield
        finally:
            self._keeper.drop(lease)
            _release(lock, shown)


def _renew(lock: Lock) -> bool:
    with translating():
        try:
            lock.reacquire()
        except LockError:
            return False
    return True


def _release(lock: Lock, shown: str) -> None:
    """Let go. The block's work is done either way, so nothing is raised: the lease frees what could not be freed."""
    try:
        with translating():
            _release_owned(lock)
    except StoreUnavailable as error:
        logger.warning("%s could not be released and will run out: %s", shown, error)


def _release_owned(lock: Lock) -> None:
    with suppress(LockError):  # it was lost before: the keeper has said so
        lock.release()


def _shown(name: str) -> str:
    """The name for logs: a record's ref as it is; of a match key (an ИНН, an e-mail) only its kind."""
    kind = name.partition(":")[0]
    return name if kind in {system.value for system in System} else f"{kind}:..."
