"""Who works on which record now, over all processes. A lock is a lease, renewed while its block and process live."""

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
from sync_worker.store.leases import Lease, held, now

logger = logging.getLogger(__name__)

LEASE_SECONDS = 5.0  # as long as a killed worker's records are nobody's; renewed three times within it
COME_BACK_SECONDS = 1.0


class RedisLocks:
    """Locks by redis-py, one key each, renewed while held.

    A lock whose process is killed is free after `lease_seconds`. So is one that was renewed too late, with its block
    still running: that is logged as an error, and the block can neither send nor keep anything more (see leases.py).
    """

    def __init__(self, client: redis.Redis, *, lease_seconds: float = LEASE_SECONDS) -> None:
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
        asked_at = now()
        with translating():
            if not lock.acquire():
                raise RecordBusy(f"another task holds {_shown(name)}", retry_after_seconds=COME_BACK_SECONDS)
        lease = Lease(shown=_shown(name), key=str(lock.name), token=_token(lock), seconds=self._lease_seconds)
        lease.renewed(asked_at)
        kept = self._keeper.keep(shown, lambda: _renew(lock, lease))
        try:
            with held(lease):
                yield
        finally:
            self._keeper.drop(kept)
            _release(lock, shown)


def _token(lock: Lock) -> str:
    token = lock.local.token
    return token.decode() if isinstance(token, bytes) else str(token)


def _renew(lock: Lock, lease: Lease) -> bool:
    asked_at = now()
    with translating():
        try:
            lock.reacquire()
        except LockError:
            lease.is_lost = True
            return False
    lease.renewed(asked_at)
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
