"""A hundred thousand dead letters: how fast they are filed, what memory they take, how long a person waits for them.

Run: python -m benchmarks.dead_letters [letters]. Prints the filing rate, Redis memory a letter (INFO's used_memory),
and the median and 95th percentile of each look. Goal: under 300 ms each. Exits with 1 where a 95th percentile is not.
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import quantiles
from typing import Any

import redis

from benchmarks.portals import redis_server
from sync_worker.contract import ChangeEvent, OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.letter import DeadLetter, ReplayRun, Selection
from sync_worker.store.client import connect
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.replays import RedisReplays

LETTERS = 100_000
THREADS = 4  # as many file them at once
LOOKS = 40  # of each kind
GOAL_MS = 300
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
RECORD_TYPES = {  # of the two sides
    EntityKind.CONTACT: (RecordType.COMPANY, RecordType.COUNTERPARTY),
    EntityKind.LEAD: (RecordType.LEAD, RecordType.LEAD),
    EntityKind.DEAL: (RecordType.DEAL, RecordType.ORDER),
    EntityKind.INVOICE: (RecordType.INVOICE, RecordType.INVOICE),
    EntityKind.STATUS: (RecordType.DEAL, RecordType.ORDER),
}
CAUSES = {  # cause: its share
    "field_conflict": 30,
    "no_counterparty": 20,
    "ambiguous_match": 15,
    "remote_rejected": 15,
    "status_unmapped": 8,
    "required_field": 6,
    "link_broken": 4,
    "invalid_key": 2,
}
FIELDS = ("name", "full_name", "comment", "responsible", "kpp", "ogrn", "emails", "phones", "addresses")
STREETS = ("Ленина", "Садовая", "Гагарина", "Лесная", "Мира", "Советская", "Заречная", "Полевая", "Тверская", "Южная")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LETTERS
    with redis_server() as server, connect(server.url()) as client:
        letters = list(islice(mixed_letters(random.Random(24)), count))  # the same letters in each run
        file(client, letters)
        waits = look(RedisDeadLetters(client), letters) | replay(RedisReplays(client))
    for what, milliseconds in waits.items():
        p50, p95 = median_and_95th(milliseconds)
        print(f"{what:<34}p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   the goal is {GOAL_MS}")
    return 0 if all(median_and_95th(milliseconds)[1] < GOAL_MS for milliseconds in waits.values()) else 1


# --- filing ----------------------------------------------------------------------------------------------------------


def file(client: redis.Redis, letters: Sequence[DeadLetter]) -> None:
    """Through as many threads as a worker may have; each letter is on the disk before the next of its thread."""
    store, before, began = RedisDeadLetters(client), used_bytes(client), time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(store.add, letters):
            pass
    seconds = time.perf_counter() - began
    print(f"filed {len(letters):,} letters, {len(letters) / seconds:,.0f} a second by {THREADS} threads")
    client.delete(*client.scan_iter("sync:dead:swap:*", count=10_000))  # they live for ten minutes
    print(f"memory: {(used_bytes(client) - before) / len(letters):,.0f} bytes a letter")


def used_bytes(client: redis.Redis) -> int:
    found: Any = client.info("memory")
    return int(found["used_memory"])


# --- looking ---------------------------------------------------------------------------------------------------------


def look(store: RedisDeadLetters, letters: Sequence[DeadLetter]) -> dict[str, list[float]]:
    """Milliseconds that each kind of look took, time after time."""
    dice = random.Random(7)
    filed = store.page(limit=1)[0][0]
    middle = cursor_in_the_middle(store, len(letters))
    groups = store.groups()
    looks: dict[str, Callable[[], object]] = {
        "first page": store.page,
        "a page in the middle": lambda: store.page(after=middle),
        "filter by cause": lambda: shown(store, Selection(cause=dice.choice(tuple(CAUSES)))),
        "filter by entity": lambda: shown(store, Selection(entity=dice.choice(tuple(EntityKind)).value)),
        "filter by both": lambda: shown(store, both(dice)),
        "filter by group": lambda: shown(store, Selection(group=dice.choice(groups).id)),
        "groups": store.groups,
        "count by cause": store.count_by_cause,
        "search by the letter's id": lambda: found(store, filed.id),
        "search by the record's id": lambda: found(store, record_of(dice.choice(letters)).id),
        "search by the record's name": lambda: found(store, record_of(dice.choice(letters)).key),
        "search by ИНН": lambda: found(store, dice.choice(letters).words[0]),
        "search by e-mail": lambda: found(store, dice.choice(letters).words[1]),
        "search for what is not there": lambda: store.search("nobody@nowhere.ru"),
    }
    return {what: timed(view) for what, view in looks.items()}


def shown(store: RedisDeadLetters, selection: Selection) -> object:
    """What the tab asks for: a page, and how many there are."""
    letters, _ = store.page(selection)
    assert letters
    return store.count(selection)


def found(store: RedisDeadLetters, word: str) -> None:
    assert store.search(word), word


def both(dice: random.Random) -> Selection:
    return Selection(cause=dice.choice(tuple(CAUSES)), entity=dice.choice(tuple(EntityKind)).value)


def cursor_in_the_middle(store: RedisDeadLetters, count: int) -> str:
    cursor = None
    for _ in range(count // 2 // 1000):
        _, cursor = store.page(after=cursor, limit=1000)
    assert cursor is not None
    return cursor


def replay(replays: RedisReplays) -> dict[str, list[float]]:
    numbers = iter(range(10**6))

    def start_and_cancel(selection: Selection) -> str:
        id_ = f"run-{next(numbers)}"
        run = replays.start(ReplayRun(id=id_, by="anna", at=START, selection=selection, total=0))
        replays.cancel(id_, by="anna", at=START)
        return f"{run.total:,} letters"

    cause, everything = Selection(cause=next(iter(CAUSES))), Selection()
    kept = replays.start(ReplayRun(id="kept", by="anna", at=START, selection=everything, total=0))
    return {
        f"replay and cancel {start_and_cancel(cause)}": timed(lambda: start_and_cancel(cause)),
        f"replay and cancel {start_and_cancel(everything)}": timed(lambda: start_and_cancel(everything)),
        "the next 100 of a replay": timed(lambda: replays.next(kept.id, limit=100)),
        "list of replays": timed(replays.page),
    }


def timed(view: Callable[[], object]) -> list[float]:
    """Milliseconds, each time."""
    waits = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        view()
        waits.append((time.perf_counter() - began) * 1000)
    return waits


def median_and_95th(milliseconds: Sequence[float]) -> tuple[float, float]:
    cuts = quantiles(milliseconds, n=20)
    return cuts[9], cuts[18]


# --- letters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """Whom a letter is about. Some are about the same one."""

    name: str
    inn: str
    email: str


def mixed_letters(dice: random.Random) -> Iterator[DeadLetter]:
    """Of eight causes and five entities, with some 300 topics; one each second or so."""
    parties = [party(dice, number) for number in range(20_000)]
    failed_at = START
    for number in range(10**9):
        failed_at += timedelta(seconds=dice.uniform(0, 2))
        yield dead_letter(dice, number, dice.choice(parties), failed_at)


def party(dice: random.Random, number: int) -> Party:
    name = "".join(dice.choices(("ба", "ве", "го", "ди", "жу", "ка", "лю", "ми", "мет", "строй"), k=5)).capitalize()
    return Party(name=f"ООО «{name}»", inn=f"77{number:08}", email=f"office{number}@company.ru")


def dead_letter(dice: random.Random, number: int, party: Party, failed_at: datetime) -> DeadLetter:
    cause = dice.choices(tuple(CAUSES), tuple(CAUSES.values()))[0]
    entity = dice.choice(tuple(EntityKind))
    left, right = RECORD_TYPES[entity]
    record = bitrix24_ref(left, 1000 + number)
    partner = onec_ref(right, str(uuid.UUID(int=dice.getrandbits(128), version=4)))
    topic, details = story_of(dice, cause, party, partner)
    trace = uuid.UUID(int=dice.getrandbits(128)).hex
    return DeadLetter(
        id="",
        entity=entity.value,
        record=record,
        partner=partner if dice.random() < 0.7 else None,
        cause=cause,
        message=f"{cause.replace('_', ' ')}: {topic}, {party.name}",
        details=details,
        event=event_of(dice, entity, record, partner, name=party.name, seen_at=failed_at, trace=trace).dump(),
        attempts=dice.randrange(1, 6),
        first_at=failed_at,
        last_at=failed_at,
        trace=trace,
        code_version="0.1.0",
        topic=topic,
        words=(party.inn, party.email),
    )


def story_of(dice: random.Random, cause: str, party: Party, partner: RecordRef) -> tuple[str, dict[str, Any]]:
    """The topic and the details, as that cause has them."""
    if cause == "field_conflict":
        names = sorted(dice.sample(FIELDS, dice.choices((1, 2, 3), (70, 20, 10))[0]))
        return ", ".join(names), {"fields": {name: three_values(dice, party) for name in names}}
    if cause in ("ambiguous_match", "invalid_key"):
        candidates = [f"bitrix24:company:{dice.randrange(10**6)}" for _ in range(dice.randrange(1, 5))]
        return "", {"candidates": [*candidates, str(partner)]}
    if cause in ("remote_rejected", "required_field"):
        field, code = dice.choice(FIELDS), f"E{dice.randrange(12):02}"
        return f"{code} {field}", {"code": code, "field": field}
    if cause == "status_unmapped":
        return f"Статус {dice.randrange(30)}", {}
    return "", {}


def three_values(dice: random.Random, party: Party) -> dict[str, Any]:
    street = f"г. Москва, ул. {dice.choice(STREETS)}, д. {dice.randrange(1, 200)}"
    return {"baseline": f"{party.name}, {street}", "bitrix24": f"{party.name}, {street}, офис 5", "onec": street}


def event_of(
    dice: random.Random, entity: EntityKind, record: RecordRef, partner: RecordRef, *, name: str, **seen: Any
) -> ChangeEvent:
    """A doorbell; of what comes from 1C the whole state."""
    if entity not in (EntityKind.INVOICE, EntityKind.STATUS):
        return ChangeEvent(entity=entity, record=record, **seen)
    state = OnecState(
        data={"number": f"УТ-{dice.randrange(10**6):06}", "counterparty": name, "total": "12500.00", "status": "Новый"},
        sequence=dice.randrange(10**9),
        version="AAAAAAABaGk=",
        external_id=record.external_id,
        event_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
    )
    return ChangeEvent(entity=entity, record=partner, onec=state, **seen)


def record_of(letter: DeadLetter) -> RecordRef:
    assert letter.record is not None
    return letter.record


if __name__ == "__main__":
    sys.exit(main())
