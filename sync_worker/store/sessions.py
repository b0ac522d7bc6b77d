"""Idle sessions of a 1C base, shared by all workers: one licence and one slow start serve many calls."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from typing import cast

import redis

from sync_worker.errors import StoreUnavailable
from sync_worker.store.client import load_script, translating
from sync_worker.store.slots import Slots

logger = logging.getLogger(__name__)

LIFE_SECONDS = 120.0


class RedisSessions:
    """The cookies of one base and user. They are credentials: nothing here names one in a log or an error.

    Who takes and gives back while it holds one of `limit` slots never makes the base open more than `limit` sessions:
    a new one is started only when none lies idle. For that reason an entry lives well beyond the 20 s after which
    publications end an idle session: to try one that has ended costs a short refusal, to forget one that has not costs
    a licence. So one whose user was killed is taken over as soon as his slot has run out.
    """

    def __init__(
        self, client: redis.Redis, *, url: str, user: str, slots: Slots, life_seconds: float = LIFE_SECONDS
    ) -> None:
        base = hashlib.sha256(f"{url.rstrip('/')}\n{user}".encode()).hexdigest()[:16]
        self._idle, self._in_use, self._doubtful = (
            f"sync:sessions:{base}{part}" for part in ("", ":used", ":doubtful")
        )
        self._slots = slots
        self._life_ms = int(life_seconds * 1000)
        self._client = client
        self._take_session = load_script(client, "take_session")
        self._give_back_session = load_script(client, "give_back_session")

    @translating()
    def take(self, slot: str) -> str | None:
        """The one used last, else one whose slot is held by nobody any more. Errors: StoreUnavailable."""
        keys = [self._idle, self._in_use, self._slots.holders_key]
        return cast("str | None", self._take_session(keys=keys, args=[self._life_ms, slot]))

    def give_back(self, cookie: str, *, slot: str = "", was_cut: bool = False) -> None:
        """Keep it for the next call. Nothing is raised: the call is done.

        `slot`: the one that it was taken in, blank for a new one. Where somebody has taken it over, nothing is done.
        `was_cut`: its call got no answer. It is taken once more, after all others; where that is cut too, it is gone.
        """
        try:
            with translating():
                args = [cookie, self._life_ms, self._slots.limit, int(was_cut), slot]
                self._give_back_session(keys=[self._idle, self._in_use, self._doubtful], args=args)
        except StoreUnavailable as error:
            logger.warning("a 1C session could not be kept and idles until 1C ends it: %s", error)

    def drop(self, cookie: str) -> None:
        """1C has ended it. Nothing is raised: who takes it once more is told so again."""
        with suppress(StoreUnavailable), translating():
            self._client.hdel(self._in_use, cookie)
