"""Whether 1C is away, known to all workers: so that nobody reads the portal for what cannot be written anyway.

A few calls in a row that failed, in any process, and 1C counts as away; one that was answered, and it is back. While it
is away one caller in PROBE_SECONDS may find out whether it still is.
Shape: hash `sync:onec:away` (failures, message, since); `sync:onec:away:probe`, there until the next probe.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import redis

from sync_worker.errors import CircuitOpen, StoreUnavailable
from sync_worker.store.client import translating

FAILURES_THAT_TELL, IN_SECONDS = 5, 30
PROBE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 60
_KEY, _PROBE_KEY = "sync:onec:away", "sync:onec:away:probe"


class RedisAbsence:
    """One base's. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._is_in_doubt = False  # something failed since this process last knew that all is well

    def failed(self, message: str) -> bool:
        """A call found 1C down or closed. True for the one that settles it that 1C is away."""
        self._is_in_doubt = True
        with suppress(StoreUnavailable), translating():  # it is no worse than not knowing
            failures: Any = self._client.hincrby(_KEY, "failures", 1)
            self._client.hset(_KEY, "message", message)
            if failures == 1:
                self._client.expire(_KEY, IN_SECONDS)
            if failures >= FAILURES_THAT_TELL:
                self._client.persist(_KEY)
                return bool(self._client.hsetnx(_KEY, "since", str(time.time())))
        return False

    def answered(self) -> None:
        """1C did a call, or refused it for what was in it."""
        if self._is_in_doubt:
            self._is_in_doubt = False
            with suppress(StoreUnavailable), translating():
                self._client.delete(_KEY, _PROBE_KEY)

    @translating()
    def may_call(self) -> bool:
        """True while all is well; False for the caller that is to find out. Errors: CircuitOpen for all others."""
        told: Any = self._client.hmget(_KEY, "since", "message")
        since, message = told
        if since is None:
            return True
        self._is_in_doubt = True
        if self._client.set(_PROBE_KEY, "1", nx=True, ex=PROBE_SECONDS):
            return False
        away_seconds = max(0.0, time.time() - float(since))
        raise CircuitOpen(
            f"1C has been away for {away_seconds:.0f} s: {message}",
            retry_after_seconds=min(max(away_seconds, PROBE_SECONDS), LONGEST_PAUSE_SECONDS),
        )
