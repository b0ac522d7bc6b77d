"""What happened to each record lately: `sync:story:bitrix24:contact:42`, a list of packed entries, the oldest first.

Shape of an entry: one byte that names the form, then JSON deflated against the dictionary of that form:
    a  when, in microseconds since 1970;  w  what;  t  trace;  f  facts.  What is empty is left out.

An entry takes about a third of its plain JSON: most of that is words that all entries share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from redis.client import NEVER_DECODE

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.story import StoryEntry
from sync_worker.store.client import translating
from sync_worker.store.deflating import deflate, inflate

MOST_ENTRIES = 100  # a record that is edited all day shows its last days; one that is not, all its life
LIFE_SECONDS = 90 * 24 * 3600  # after the last entry: a quarter, which is what books are looked over by
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM_1 = b"\x01"

# What entries have in common; what is commonest comes last, where it is cheapest to point at. Entries lie in Redis
# that were deflated against this very text: to change it, add a form 2 beside it and go on reading form 1.
_DICTIONARY_1 = (
    b'"resolved","t":""replayed","t":""discarded","t":""cancelled","t":""by":"","note":""no_counterparty"'
    b'"status_unmapped""remote_rejected""link_broken""ambiguous_match""field_conflict","message":"both sides changed: '
    b'"need":"","next":"waited"},"next":"failed"},"cause":"remote_unavailable","message":","letter":"'
    b'"lost":[{"field":"","system":"onec","value":"","system":"bitrix24","value":"","kept":null,"kept":""comment",'
    b'"responsible","amount","stage","title","rows","status","order_number","ogrn","addresses","full_name","kpp",'
    b'"inn","name","emails","phones"crm.timeline.comment.add","crm.item.productrow.list","crm.item.productrow.set",'
    b'"crm.item.update","crm.item.add","crm.item.get","crm.item.list","crm.lead.update","crm.lead.get",'
    b'"crm.duplicate.findbycomm","crm.company.add","crm.contact.add","crm.requisite.update","crm.requisite.add",'
    b'"crm.deal.contact.items.get","crm.deal.productrows.get","crm.deal.update","crm.deal.get",'
    b'"crm.address.list","crm.company.update","crm.company.get","crm.requisite.list","crm.contact.update",'
    b'"crm.contact.get","GET /orders/","POST /orders","GET /invoices/","POST /leads","GET /counterparties/'
    b'"POST /counterparties"],"wrote":{"bitrix24":["UF_CRM_1C_ID"],"onec":["'
    b'"w":"dead_letter","t":""w":"failed","t":""w":"waited","t":""w":"stale","t":""w":"skipped","t":"'
    b'"w":"parked","t":""w":"created","t":""w":"echo","t":""w":"unchanged","t":""w":"updated","t":"'
    b'"f":{"entity":"invoice","change":"deleted","lane":"bulk","f":{"entity":"status","f":{"entity":"lead",'
    b'"f":{"entity":"deal","change":"{"a":17"f":{"entity":"contact","change":"changed","lane":"live","calls":["'
)


class RedisStories:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @translating()
    def tell(self, ref: RecordRef, entry: StoryEntry) -> None:
        key = _key(ref)
        with self._client.pipeline() as pipeline:
            pipeline.rpush(key, pack_entry(entry))
            pipeline.ltrim(key, -MOST_ENTRIES, -1)
            pipeline.expire(key, LIFE_SECONDS)
            pipeline.execute()

    @translating()
    def read(self, *refs: RecordRef) -> list[StoryEntry]:
        raw: Any = {NEVER_DECODE: True}  # the entries are bytes, whatever the client decodes otherwise
        with self._client.pipeline(transaction=False) as pipeline:
            for ref in dict.fromkeys(refs):
                pipeline.execute_command("LRANGE", _key(ref), 0, -1, **raw)  # type: ignore[no-untyped-call]
            stories = pipeline.execute()
        return sorted((unpack_entry(packed) for story in stories for packed in story), key=lambda entry: entry.at)


def pack_entry(entry: StoryEntry) -> bytes:
    at = (entry.at - _EPOCH) // timedelta(microseconds=1)
    short = {"a": at, "w": str(entry.what), "t": entry.trace, "f": dict(entry.facts)}
    content = json.dumps({key: value for key, value in short.items() if value}, **_COMPACT)
    # surrogatepass: a remote's words may hold half a character ("\\ud83d"), and that must not stop a record
    return _FORM_1 + deflate(content.encode("utf-8", "surrogatepass"), _DICTIONARY_1)


def unpack_entry(packed: bytes) -> StoryEntry:
    """ValueError where it is of a form that this code does not know."""
    if packed[:1] != _FORM_1:
        raise ValueError(f"an entry of an unknown form: {packed[:1]!r}")
    short = json.loads(inflate(packed[1:], _DICTIONARY_1).decode("utf-8", "surrogatepass"))
    at = _EPOCH + timedelta(microseconds=short.get("a", 0))
    return StoryEntry(at=at, what=short.get("w", ""), trace=short.get("t", ""), facts=short.get("f", {}))


_COMPACT: Mapping[str, Any] = {"ensure_ascii": False, "separators": (",", ":"), "default": str}


def _key(ref: RecordRef) -> str:
    return f"sync:story:{ref}"
