"""A guard for kombu's Redis transport: without it a value in a queue's list that is no message ends the worker.

kombu takes the value out of the list and then cannot unpack it, so the value is gone as well. The guard wraps it in an
envelope of its own: a message without a task, which becomes a dead letter as others do (tasks/poison.py).
Source: kombu 5.7, Channel._brpop_read and virtual.Message; tests/process/test_poison.py fails without it.
"""

# mypy: disable-error-code="no-untyped-call,attr-defined,assignment,method-assign"

from __future__ import annotations

import uuid
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

UNKNOWN_CONTENT = "application/octet-stream"
_loads = kombu_redis.loads
_deliver = kombu_redis.Transport._deliver


def _loads_what_it_can(text: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return _loads(text, *args, **kwargs)
    except ValueError:
        return text


def _deliver_enveloped(self: Any, raw: Any, queue: str) -> None:
    _deliver(self, raw if is_envelope(raw, self.channels[0]) else envelope_of(raw, queue), queue)


def is_envelope(raw: Any, channel: Any) -> bool:
    """True where kombu can unpack it, and can give it back to its queue."""
    try:
        message = virtual.Message(raw, channel=channel)
        place = message.delivery_info
        return isinstance(raw["headers"], dict) and all(
            isinstance(value, str) for value in (message.delivery_tag, place["exchange"], place["routing_key"])
        )
    except Exception:  # whatever a strange value leads to
        return False


def envelope_of(raw: Any, queue: str) -> dict[str, Any]:
    return {
        "body": raw if isinstance(raw, str) else repr(raw),
        "content-type": UNKNOWN_CONTENT,
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


def install() -> None:
    """Put the guard in place; once is enough, twice does no harm."""
    kombu_redis.loads = _loads_what_it_can
    kombu_redis.Transport._deliver = _deliver_enveloped
