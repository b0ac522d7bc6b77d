"""A guard for kombu 5.7: without it a restart of Redis ends every worker that has a late-ack task in flight.

An acknowledgement on a channel whose connection is gone raises AttributeError in `Channel._connparams`. That is no
connection error to Celery, so the worker exits. The guard raises the error that it is.
Source: the project's notes on Celery, 2.4; tests/process/test_redis_restart.py fails without it.
"""

# mypy: disable-error-code="no-untyped-call,attr-defined"

from __future__ import annotations

from typing import Any

import redis.exceptions
from kombu.transport import redis as kombu_redis

_original = kombu_redis.Channel._connparams


def _guarded(self: Any, asynchronous: bool = False) -> Any:
    if self.connection is None or self.connection.client is None:
        raise redis.exceptions.ConnectionError("channel is already closed")
    return _original(self, asynchronous=asynchronous)


def install() -> None:
    """Put the guard in place; once is enough, twice does no harm."""
    kombu_redis.Channel._connparams = _guarded
