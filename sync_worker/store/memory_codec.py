"""A Memory as a few bytes, and back without loss.

Shape: one byte that names the form, then JSON deflated against the dictionary of that form:
    b  the baseline's Bitrix24 half
    o  its 1C half, only the fields that differ;  x  fields that 1C's half lacks
    s  sent;  q  sequence;  v  version;  m  marks.  What is empty is left out.

A counterparty takes about a third of its plain JSON: most of that is field names and words that all records share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sync_worker.domain.link import Memory
from sync_worker.domain.merge import Baseline
from sync_worker.store.deflating import deflate, inflate

_FORM_1 = b"\x01"

# What records have in common; what is commonest comes last, where it is cheapest to point at. Values lie in Redis
# that were deflated against this very text: to change it, add a form 2 beside it and go on reading form 1.
_DICTIONARY_1 = (
    "просп. пер. наб. шоссе б-р пл. корп. стр. кв. пом. эт. этаж помещение комната офис "
    "Республика Татарстан Краснодарский край Свердловская Новосибирская Нижегородская Самарская Московская область "
    "Екатеринбург Новосибирск Казань Нижний Новгород Самара Ростов-на-Дону Краснодар Санкт-Петербург Москва Россия "
    "Александр Сергей Дмитрий Андрей Алексей Владимир Екатерина Елена Ольга Наталья "
    "Александрович Сергеевич Владимирович Александровна Сергеевна Владимировна "
    "Производственная компания Торговый дом Строительная Группа Сервис Логистик Транс "
    "Акционерное общество Индивидуальный предприниматель Общество с ограниченной ответственностью АО ИП ПАО ООО "
    '@gmail.com @yandex.ru @mail.ru info@ office@ sales@ "order_number":"stage":"number":"amount":"rows":['
    '"unit":"кв. "},{"kind":"actual","postal_code":"{"kind":"postal","postal_code":"'
    '"ogrn":"1027700","responsible":"manager@company.ru","comment":null'
    '"m":{"},"o":{"name":"full_name":"kpp":null,"emails":[],"phones":[],"addresses":[],"x":["'
    '{"b":{"name":"ООО «","full_name":"Общество с ограниченной ответственностью «","inn":"77","kpp":"770101001",'
    '"ogrn":null,"emails":["info@"],"phones":["+7495","+79"],"addresses":[{"kind":"legal","postal_code":"1",'
    '"country":"Россия","region":"Москва","city":"г. Москва","street":"ул. , д. ","unit":"офис "}],'
    '"responsible":null,"comment":null},"q":1,"v":"AAAAAA"}'
).encode()


def pack_memory(memory: Memory) -> bytes:
    short = {
        **(_split_baseline(memory.baseline) if memory.baseline is not None else {}),
        "s": memory.sent,
        "q": memory.sequence or None,
        "v": memory.version,
        "m": dict(memory.marks) or None,
    }
    return _FORM_1 + deflate(
        _canonical({key: value for key, value in short.items() if value is not None}), _DICTIONARY_1
    )


def unpack_memory(packed: bytes) -> Memory:
    """ValueError where it is of a form that this code does not know."""
    if packed[:1] != _FORM_1:
        raise ValueError(f"a memory of an unknown form: {packed[:1]!r}")
    short = json.loads(inflate(packed[1:], _DICTIONARY_1).decode("utf-8", "surrogatepass"))
    return Memory(
        baseline=_join_baseline(short) if "b" in short else None,
        sent=short.get("s"),
        sequence=short.get("q", 0),
        version=short.get("v"),
        marks=short.get("m", {}),
    )


def _split_baseline(baseline: Baseline) -> dict[str, Any]:
    """The 1C half as its difference from the Bitrix24 half. Compared as JSON: to Python 1, 1.0 and True are equal."""
    left, right = baseline.bitrix24, baseline.onec
    differing = {
        name: value for name, value in right.items() if name not in left or _canonical(left[name]) != _canonical(value)
    }
    lacking = [name for name in left if name not in right]
    return {"b": dict(left), "o": differing or None, "x": lacking or None}


def _join_baseline(short: Mapping[str, Any]) -> Baseline:
    left = short["b"]
    lacking = set(short.get("x", ()))
    shared = {name: value for name, value in left.items() if name not in lacking}
    return Baseline(bitrix24=left, onec={**shared, **short.get("o", {})})


def _canonical(value: Any) -> bytes:
    # surrogatepass: a remote's JSON may hold half a character ("\\ud83d"), and that must not stop a record
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
