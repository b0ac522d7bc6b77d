from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis

from sync_worker.contract import ChangeEvent
from sync_worker.domain.identity import EntityKind, RecordType, bitrix24_ref
from sync_worker.domain.letter import Act, Choice, DeadLetter, Decision, Deed, Selection
from sync_worker.errors import RecordBusy
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.letters import new_letter_id
from tests.contract.store_worlds import (
    COMPANY,
    CONTACT,
    COUNTERPARTY,
    NOON,
    OTHER_COUNTERPARTY,
    STORES,
    at,
    doorbell,
    letter,
    onec_event,
)
from tests.fakes.stores import MemoryDeadLetters, take

SETTLED: dict[str, Any] = {
    "topic": "name, половина \ud83d знака",
    "words": ("7707083893", "a@b.ru"),
    "sent_at": at(7.000001),
    "run": "20261102-120000-ab12",
    "decision": Decision(
        fields={"name": Choice(value=["в", None], bitrix24="б", onec={"в": 1})},
        pick=COUNTERPARTY,
        create=True,
        reopen=True,
    ),
    "deeds": (
        Deed(at=at(5), by="anna", act=Act.RESOLVED, letter="1", entity="contact", record=CONTACT, cause="c", note="n"),
        Deed(at=at(6), by="boris@host", act=Act.REPLAYED),
    ),
}
"""All that a person can add to a letter."""


@pytest.fixture(params=STORES)
def letters(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryDeadLetters()
    return RedisDeadLetters(client=request.getfixturevalue("client"))


def replayed(letters: Any, letter_id: str) -> ChangeEvent:
    return ChangeEvent.load(letters.get(letter_id).event)


def test_letter_comes_back_as_it_was_filed(letters: Any) -> None:
    filed = letters.add(letter(partner=COUNTERPARTY, waiting=0, message="половина \ud83d знака"))

    assert filed == letter(id=filed.id, partner=COUNTERPARTY, message="половина \ud83d знака")
    assert letters.get(filed.id) == filed
    assert letters.get("unknown") is None


def test_letter_with_all_that_was_done_with_it_comes_back(letters: Any) -> None:
    filed = letters.add(letter(**SETTLED, holds_back=False))

    assert filed == letter(id=filed.id, **SETTLED, holds_back=False)
    assert letters.get(filed.id) == filed


def test_letter_of_an_older_version_is_read(client: redis.Redis) -> None:
    older = {
        "id": "0kz8q4w0000abcd",
        "entity": "contact",
        "record": "bitrix24:contact:42",
        "partner": None,
        "cause": "field_conflict",
        "message": "both sides changed: name",
        "details": {"fields": {"name": {"baseline": "а", "bitrix24": "б", "onec": "в"}}},
        "event": doorbell().dump(),
        "attempts": 1,
        "first_at": NOON.isoformat(),
        "last_at": NOON.isoformat(),
        "waiting": 2,
        "trace": "t",
        "code_version": "0.1.0",
        "written": "0123abcd",
    }
    client.hset("sync:dead:letters", older["id"], json.dumps(older))

    assert RedisDeadLetters(client).get(older["id"]) == letter(id=older["id"], waiting=2)


def test_same_record_is_brought_up_to_date(letters: Any) -> None:
    filed = letters.add(letter())

    newer = doorbell(seconds=60, trace="second").dump()
    again = letters.add(
        letter(
            cause="remote_rejected", message="no", details={}, attempts=4, event=newer, first_at=at(60), last_at=at(60)
        )
    )

    assert again == replace(
        filed, cause="remote_rejected", message="no", details={}, attempts=4, event=newer, last_at=at(60)
    )
    assert letters.page() == ([again], None)
    assert letters.count_by_cause() == {"remote_rejected": 1}
    assert letters.page(Selection(cause="field_conflict")) == ([], None)


def test_what_failed_again_waits_for_a_person_anew(letters: Any) -> None:
    filed = letters.add(letter(**SETTLED))

    newer = {"cause": "remote_rejected", "topic": "INN", "words": ("a@b.ru", "new@b.ru"), "holds_back": False}
    again = letters.add(letter(**SETTLED | newer | {"deeds": ()}))

    assert (again.decision, again.sent_at, again.run) == (None, None, "")
    assert again.deeds == filed.deeds
    assert again.words == ("7707083893", "a@b.ru", "new@b.ru")
    assert (again.topic, again.holds_back) == ("INN", False)
    assert letters.get(filed.id) == again


def test_letter_keeps_the_newest_words(letters: Any) -> None:
    letters.add(letter(words=tuple(f"word{number}" for number in range(15))))

    again = letters.add(letter(words=tuple(f"word{number}" for number in range(10, 30))))

    assert again.words == tuple(f"word{number}" for number in range(10, 30))
    assert letters.search("word9") == []
    assert letters.search("word10") == [again]


def test_failure_of_the_linked_record_is_the_same_letter(letters: Any) -> None:
    filed = letters.add(letter(partner=COUNTERPARTY))

    again = letters.add(letter(record=COUNTERPARTY, partner=CONTACT, event=onec_event(3).dump(), attempts=2))

    assert (again.id, again.record, again.partner, again.attempts) == (filed.id, CONTACT, COUNTERPARTY, 2)
    assert replayed(letters, filed.id) == onec_event(3)


def test_partner_that_became_known_later_is_its_name_too(letters: Any) -> None:
    filed = letters.add(letter())

    letters.add(letter(partner=COUNTERPARTY))

    assert letters.of_record(EntityKind.CONTACT, [COUNTERPARTY]).id == filed.id


def test_partner_that_was_replaced_is_no_longer_its_name(letters: Any) -> None:
    letters.add(letter(partner=COUNTERPARTY))

    filed = letters.add(letter(partner=OTHER_COUNTERPARTY))

    assert letters.of_record(EntityKind.CONTACT, [COUNTERPARTY]) is None
    assert letters.of_record(EntityKind.CONTACT, [OTHER_COUNTERPARTY]) == filed


def test_only_the_same_kind_of_work_is_found(letters: Any) -> None:
    filed = letters.add(letter(partner=COUNTERPARTY))

    assert letters.of_record(EntityKind.CONTACT, [COMPANY, COUNTERPARTY]) == filed
    assert letters.of_record(EntityKind.DEAL, [CONTACT]) is None
    assert letters.of_record(EntityKind.CONTACT, [COMPANY]) is None
    assert letters.of_record(EntityKind.CONTACT, []) is None


def test_unreadable_event_is_nobodys_and_is_no_other_one(letters: Any) -> None:
    misfit = letter(record=None, cause="bad_event", event={"raw": {"?": 1}})

    first, second = letters.add(misfit), letters.add(misfit)

    assert first.id != second.id
    assert letters.count_by_cause() == {"bad_event": 2}


def test_misfit_filed_again_under_its_id_is_one_letter(letters: Any) -> None:
    first = letters.add(letter(record=None, event={"raw": {}}))

    second = letters.add(replace(first, attempts=2, event={"raw": {"fixed": True}}))

    assert letters.page() == ([second], None)
    assert (second.attempts, second.event) == (2, {"raw": {"fixed": True}})


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (doorbell(seconds=1), doorbell(seconds=2), "second"),
        (doorbell(seconds=2), doorbell(seconds=1), "first"),
        (onec_event(5, seconds=1), onec_event(6, seconds=2), "second"),
        (onec_event(6, seconds=1), onec_event(5, seconds=2), "first"),
        (onec_event(6, seconds=1), doorbell(seconds=2), "first"),
        (doorbell(seconds=2), onec_event(6, seconds=1), "second"),
    ],
)
def test_newer_event_is_the_one_to_replay(letters: Any, first: ChangeEvent, second: ChangeEvent, kept: str) -> None:
    filed = letters.add(letter(event=first.dump()))

    letters.park_behind(filed, second)

    assert replayed(letters, filed.id) == {"first": first, "second": second}[kept]
    assert letters.get(filed.id).waiting == 1


def test_failed_replay_does_not_hide_what_was_parked_behind(letters: Any) -> None:
    filed = letters.add(letter(event=doorbell(seconds=1).dump()))
    letters.park_behind(filed, doorbell(seconds=9))

    again = letters.add(letter(event=doorbell(seconds=1).dump(), attempts=2))

    assert replayed(letters, again.id) == doorbell(seconds=9)
    assert again.waiting == 1


def test_parking_behind_a_removed_letter_loses_no_event(letters: Any) -> None:
    filed = letters.add(letter())
    take(letters, filed.id)

    with pytest.raises(RecordBusy):
        letters.park_behind(filed, doorbell(seconds=5))


def test_removed_letter_leaves_no_trace(letters: Any) -> None:
    filed = letters.add(letter(partner=COUNTERPARTY))

    assert take(letters, filed.id) == filed
    assert take(letters, filed.id) is None
    assert letters.get(filed.id) is None
    assert letters.of_record(EntityKind.CONTACT, [CONTACT, COUNTERPARTY]) is None
    assert letters.page() == ([], None)
    assert letters.count() == letters.count(Selection(ids=(filed.id,))) == 0
    assert letters.count_by_cause() == {}
    assert letters.groups() == []
    assert letters.search("42") == letters.search(filed.id) == []
    assert letters.add(letter()).id != filed.id


def test_taken_letter_has_what_was_parked_behind_it(letters: Any) -> None:
    filed = letters.add(letter())
    letters.park_behind(filed, doorbell(seconds=5))

    taken = take(letters, filed.id)

    assert (taken.waiting, ChangeEvent.load(taken.event)) == (1, doorbell(seconds=5))
    assert take(letters, filed.id) is None


def test_a_letter_that_has_changed_since_it_was_seen_is_not_removed(letters: Any) -> None:
    filed = letters.add(letter())
    letters.park_behind(filed, doorbell(seconds=5))

    assert letters.remove(filed) is False
    assert letters.get(filed.id).waiting == 1


def test_change_is_put_in_the_letters_place(letters: Any) -> None:
    filed = letters.add(letter())

    changed = letters.change(filed.id, lambda before: replace(before, **SETTLED))

    assert changed == replace(filed, **SETTLED)
    assert letters.get(filed.id) == changed


def test_change_of_cause_and_topic_moves_the_letter(letters: Any) -> None:
    filed = letters.add(letter(topic="name"))

    changed = letters.change(filed.id, lambda before: replace(before, cause="remote_rejected", topic="INN"))

    assert letters.page(Selection(entity="contact", cause="remote_rejected")) == ([changed], None)
    assert letters.count(Selection(cause="field_conflict")) == 0
    assert [(group.cause, group.topic, group.count) for group in letters.groups()] == [("remote_rejected", "INN", 1)]


def test_there_is_nothing_to_change_in_a_letter_that_is_gone(letters: Any) -> None:
    assert letters.change("unknown", lambda before: replace(before, message="never")) is None


def test_change_that_raises_changes_nothing(letters: Any) -> None:
    filed = letters.add(letter())

    with pytest.raises(RecordBusy):
        letters.change(filed.id, refuse)

    assert letters.get(filed.id) == filed


def refuse(before: DeadLetter) -> DeadLetter:
    raise RecordBusy(before.id)


@pytest.mark.parametrize(
    "changed",
    [{"id": "other"}, {"record": COMPANY}, {"partner": COUNTERPARTY}, {"entity": "deal"}, {"first_at": at(1)}],
    ids=lambda changed: next(iter(changed)),
)
def test_change_does_not_make_another_letter_of_it(letters: Any, changed: dict[str, Any]) -> None:
    filed = letters.add(letter())

    with pytest.raises(ValueError, match=next(iter(changed))):
        letters.change(filed.id, lambda before: replace(before, **changed))

    assert letters.page() == ([filed], None)


def test_pages_are_oldest_first_and_survive_removals(letters: Any) -> None:
    filed = [
        letters.add(letter(record=bitrix24_ref(RecordType.CONTACT, number), first_at=at(number // 3)))
        for number in (5, 2, 7, 1, 0, 3, 6, 4)
    ]
    expected = [item.id for item in sorted(filed, key=lambda item: (item.first_at, item.id))]

    first, cursor = letters.page(limit=3)
    take(letters, first[-1].id)
    second, cursor = letters.page(after=cursor, limit=3)
    third, end = letters.page(after=cursor, limit=3)

    assert [item.id for page in (first, second, third) for item in page] == expected
    assert end is None


@pytest.mark.parametrize("selection", [Selection(), Selection(ids=("a", "b"))])
def test_cursor_that_is_none_of_ours_is_refused(letters: Any, selection: Selection) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        letters.page(selection, after="nonsense")


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_letter_id(at(seconds)) for seconds in (0, 0.001, 1, 86_400, 86_400 * 365)]

    assert ids == sorted(ids)
    assert len({new_letter_id(NOON) for _ in range(1000)}) == 1000
    assert {len(letter_id) for letter_id in ids} == {15}


def _at_once(count: int, work: Any) -> list[Any]:
    """Run `work(number)` in threads that start together."""
    start = threading.Barrier(count)

    def wait_and_work(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_work, range(count)))


def test_one_of_many_rivals_removes(client: redis.Redis) -> None:
    letters = RedisDeadLetters(client=client)
    for _ in range(20):
        filed = letters.add(letter())

        removed = _at_once(4, lambda _, filed=filed: take(letters, filed.id))

        assert [taken for taken in removed if taken] == [filed]


def test_rivals_file_one_letter_and_lose_no_event(client: redis.Redis) -> None:
    letters = RedisDeadLetters(client=client)

    ids = {filed.id for filed in _at_once(8, lambda number: letters.add(letter(attempts=number)))}
    filed = letters.get(ids.pop())
    assert filed is not None
    _at_once(8, lambda number: letters.park_behind(filed, doorbell(seconds=number)))

    assert not ids
    parked = letters.get(filed.id)
    assert parked is not None
    assert parked.waiting == 8
    assert replayed(letters, filed.id) == doorbell(seconds=7)


def test_change_that_is_none_writes_nothing(client: redis.Redis) -> None:
    letters = RedisDeadLetters(client=client)
    filed = letters.add(letter())
    written = client.hget("sync:dead:letters", filed.id)

    assert letters.change(filed.id, lambda before: before) == filed
    assert client.hget("sync:dead:letters", filed.id) == written


def test_rivals_changes_are_all_made(client: redis.Redis) -> None:
    letters = RedisDeadLetters(client=client)
    filed = letters.add(letter())

    def note(number: int) -> None:
        deed = Deed(at=at(number), by=f"operator {number}", act=Act.REPLAYED)
        letters.change(filed.id, lambda before: replace(before, deeds=(*before.deeds, deed)))

    _at_once(8, note)

    changed = letters.get(filed.id)
    assert changed is not None
    assert {deed.by for deed in changed.deeds} == {f"operator {number}" for number in range(8)}


def test_change_begins_anew_where_another_came_between(client: redis.Redis) -> None:
    """Two operators press at once: the second decides about what the first has left."""
    letters = RedisDeadLetters(client=client)
    filed = letters.add(letter())
    seen: list[str] = []

    def resend(before: DeadLetter) -> DeadLetter:
        seen.append(before.run)
        if len(seen) == 1:
            letters.change(filed.id, lambda rivals: replace(rivals, run="the other's"))
        return before if before.run else replace(before, run="mine")

    changed = letters.change(filed.id, resend)

    assert seen == ["", "the other's"]
    assert changed is not None
    assert changed.run == "the other's"


def test_swap_whose_answer_was_lost_is_done_once(client: redis.Redis) -> None:
    """redis-py sends a command again when the connection breaks before its answer."""
    letters = RedisDeadLetters(client=client)
    filed = letters.add(letter())
    swap = letters._swap_letter
    letters._swap_letter = lambda **arguments: (swap(**arguments), swap(**arguments))[1]

    letters.park_behind(filed, doorbell(seconds=1))

    parked = letters.get(filed.id)
    assert parked is not None
    assert parked.waiting == 1
    assert take(letters, filed.id) == parked


def test_letters_never_expire(client: redis.Redis) -> None:
    RedisDeadLetters(client=client).add(letter(partner=COUNTERPARTY, words=("7707083893",)))

    kept = [key for key in client.scan_iter("sync:dead:*") if not key.startswith("sync:dead:swap:")]

    assert len(kept) == 11
    assert {client.ttl(key) for key in kept} == {-1}
