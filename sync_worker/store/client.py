"""The connection that all stores share: how long it tries, and which error it gives up with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import EqualJitterBackoff
from redis.exceptions import BusyLoadingError
from redis.retry import Retry

from sync_worker.errors import StoreUnavailable

CONNECT_SECONDS = 2
ANSWER_SECONDS = 5
HEALTH_CHECK_SECONDS = 15  # a connection idle for longer is tried with a PING before it is trusted
_RETRIES = 10  # with the backoff below: 3.7 to 7.5 seconds of waiting, so that a restart of about 3 s is survived
_BACKOFF = EqualJitterBackoff(base=0.05, cap=1.0)
_COME_BACK_SECONDS = 5.0
_REFUSAL = re.compile(r"\bMISCONF\b[^\r\n]*")
"""It lives, and writes nothing: its disk is full. A script's error has this in its middle."""


def connect(redis_url: str) -> redis.Redis:
    """A client that opens its connections when they are needed, and stays with Redis over a short restart."""
    return redis.Redis.from_url(
        redis_url,
        decode_responses=True,
        retry=_FlatRetry(_BACKOFF, _RETRIES),
        retry_on_error=[redis.ConnectionError, redis.TimeoutError, BusyLoadingError],
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=HEALTH_CHECK_SECONDS,
    )


@contextmanager
def translating() -> Iterator[None]:
    """For a block or as a decorator: redis-py's errors become StoreUnavailable, without the address in the message."""
    try:
        yield
    except redis.RedisError as error:
        message = f"Redis does not do its work: {reason_of(error)}"
        raise StoreUnavailable(message, retry_after_seconds=_COME_BACK_SECONDS) from error


def reason_of(error: redis.RedisError) -> str:
    """Redis's own words where it refuses to write, since only they say why; else the kind of error."""
    refusal = _REFUSAL.search(str(error)) if isinstance(error, redis.ResponseError) else None
    return refusal[0] if refusal else type(error).__name__


def load_script(client: redis.Redis, *names: str) -> Callable[..., Any]:
    """One of the scripts in `store/lua`, after those whose functions it uses.

    Nothing is sent before its first call; a restarted Redis is told it again.
    """
    folder = files("sync_worker.store.lua")
    sources = (folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return client.register_script("\n".join(sources))


class _FlatRetry(Retry):
    """Tries again, but not inside another try, and not for long with a server that hangs.

    redis-py connects and checks a connection's health, with all their tries, within each try of a command: where the
    server hangs, the timeouts would multiply. It gives each connection its own copy of this, and a connection serves
    one thread at a time: a flag is enough.
    """

    give_up_seconds = 8.0
    _is_trying = False

    def call_with_retry(self, do: Callable[[], Any], fail: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if self._is_trying:
            return do()
        give_up_at = time.monotonic() + self.give_up_seconds

        def fail_or_give_up(error: Exception, *failures: int) -> None:
            fail(error, *failures)
            if time.monotonic() >= give_up_at:
                raise error

        self._is_trying = True
        try:
            return super().call_with_retry(do, fail_or_give_up, *args, **named)
        finally:
            self._is_trying = False
