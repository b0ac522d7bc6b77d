"""How much Redis memory a linked record takes: its link both ways, its requisite's owner and its memory.

Run: python -m benchmarks.redis_memory [records]. Prints bytes a record, by INFO's used_memory. Goal: 1 KB at 10,000.
"""

from __future__ import annotations

import random
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.merge import Baseline
from sync_worker.store.client import connect
from sync_worker.store.links import RedisLinks
from sync_worker.store.memories import RedisMemories
from tests.services import RedisServer

RECORDS = 10_000
GOAL_BYTES = 1024
SYLLABLES = ["ба", "ве", "го", "ди", "жу", "ка", "лю", "ми", "но", "пе", "ра", "со", "ту", "яр", "мет", "строй", "снаб"]
STREETS = ["Ленина", "Садовая", "Гагарина", "Лесная", "Мира", "Советская", "Заречная", "Полевая", "Тверская", "Южная"]
CITIES = ["Москва", "Тверь", "Казань", "Пермь", "Самара", "Омск", "Уфа", "Вологда", "Курск", "Псков", "Чита", "Тула"]
MAILS = ["mail.ru", "yandex.ru", "gmail.com"]


def main() -> int:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder)).start()
        try:
            with connect(server.url()) as client:
                measured = measure(client, records)
        finally:
            server.stop()
    for what, bytes_each in measured.items():
        print(f"{what:<18}{bytes_each:8.0f} bytes a record")
    total = measured["links"] + measured["memories"]
    print(f"{'links + memories':<18}{total:8.0f} bytes a record, {records:,} records; the goal is {GOAL_BYTES}")
    return 0 if total <= GOAL_BYTES else 1


def measure(client: redis.Redis, records: int) -> dict[str, float]:
    """Bytes a record by what is stored."""
    dice = random.Random(24)  # the same records in each run
    links, memories = RedisLinks(client), RedisMemories(client)
    pairs = [
        Link(bitrix24=bitrix24_ref(RecordType.COMPANY, 1000 + number), onec=_onec(dice)) for number in range(records)
    ]

    def save_links() -> Iterator[None]:
        return (links.save(pair) for pair in pairs)

    def save_memories() -> Iterator[None]:
        return (memories.save(EntityKind.CONTACT, pair.bitrix24, _memory(dice)) for pair in pairs)

    def save_owners() -> Iterator[None]:
        return (
            links.remember_owner(bitrix24_ref(RecordType.REQUISITE, pair.bitrix24.id), pair.bitrix24) for pair in pairs
        )

    steps: dict[str, Callable[[], Iterator[None]]] = {
        "links": save_links,
        "memories": save_memories,
        "requisites' owners": save_owners,
    }
    return {what: _growth(client, step()) / records for what, step in steps.items()}


def _growth(client: redis.Redis, step: Iterator[None]) -> int:
    before = _used_bytes(client)
    for _ in step:
        pass
    return _used_bytes(client) - before


def _used_bytes(client: redis.Redis) -> int:
    found: Any = client.info("memory")
    return int(found["used_memory"])


def _onec(dice: random.Random) -> Any:
    return onec_ref(RecordType.COUNTERPARTY, str(uuid.UUID(int=dice.getrandbits(128), version=4)))


def _memory(dice: random.Random) -> Memory:
    """After an exchange: both sides agree, but for the name that 1C writes otherwise in one record of four."""
    fields = _counterparty(dice)
    onec = fields | {"name": f"{fields['name']} ООО"} if dice.random() < 0.25 else dict(fields)
    return Memory(
        baseline=Baseline(bitrix24=fields, onec=onec),
        sequence=dice.randrange(10**6),
        version="".join(dice.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789", k=11)) + "=",
    )


def _counterparty(dice: random.Random) -> dict[str, Any]:
    """A legal entity with ИНН, КПП, ОГРН, two phones, an e-mail and an address."""
    word = "".join(dice.choices(SYLLABLES, k=4)).capitalize()
    city, street = dice.choice(CITIES), dice.choice(STREETS)
    digits = [str(dice.randrange(10**9, 10**10)) for _ in range(6)]
    latin = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=9))
    return {
        "name": f"ООО «{word}»",
        "full_name": f"Общество с ограниченной ответственностью «{word}»",
        "inn": digits[0],
        "kpp": digits[1][:4] + "01001",
        "ogrn": "1" + digits[2] + digits[3][:2],
        "emails": [f"{latin}@{dice.choice(MAILS)}"],
        "phones": sorted(["+7495" + digits[4][:7], "+79" + digits[5][:9]]),
        "addresses": [
            {
                "kind": "legal",
                "postal_code": digits[2][:6],
                "country": "Россия",
                "region": f"{city} г.",
                "city": city,
                "street": f"ул. {street}, д. {dice.randrange(1, 200)}",
                "unit": f"офис {dice.randrange(1, 900)}",
            }
        ],
        "responsible": f"{latin[:6]}@company.ru",
        "comment": None,
    }


if __name__ == "__main__":
    sys.exit(main())
