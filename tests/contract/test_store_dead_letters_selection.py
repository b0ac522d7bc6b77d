"""Which letters a person sees: pages, counts, groups and search, each over memory and over Redis."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import redis

from sync_worker.domain.identity import RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.letter import DeadLetter, Selection
from sync_worker.store.dead_letters import RedisDeadLetters
from sync_worker.store.letter_places import order_key
from tests.contract.store_worlds import CONTACT, COUNTERPARTY, STORES, UUID, at, letter
from tests.fakes.stores import MemoryDeadLetters, take

ENTITIES = ("contact", "deal")
CAUSES = ("field_conflict", "remote_rejected", "link_broken")


@pytest.fixture(params=STORES)
def letters(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryDeadLetters()
    return RedisDeadLetters(client=request.getfixturevalue("client"))


def file_mixed(letters: Any, count: int = 24) -> list[DeadLetter]:
    """Of two entities, three causes and two topics; two at each second. The oldest first."""
    filed = [
        letters.add(
            letter(
                record=bitrix24_ref(RecordType.CONTACT, number),
                entity=ENTITIES[number % 2],
                cause=CAUSES[number % 3],
                topic=("name", "инн")[number // 12],
                first_at=at(number // 2),
            )
        )
        for number in random.Random(7).sample(range(count), count)
    ]
    return sorted(filed, key=lambda item: (item.first_at, item.id))


def walk(letters: Any, selection: Selection, *, limit: int) -> list[DeadLetter]:
    """All pages, one after the other."""
    found, cursor = letters.page(selection, limit=limit)
    while cursor is not None:
        more, cursor = letters.page(selection, after=cursor, limit=limit)
        assert more
        found += more
    return list(found)


@pytest.mark.parametrize(("entity", "cause"), list(product((None, *ENTITIES, "lead"), (None, *CAUSES, "deal_closed"))))
def test_filters_let_through_what_they_name(letters: Any, entity: str | None, cause: str | None) -> None:
    filed = file_mixed(letters)
    selection = Selection(entity=entity, cause=cause)

    found = walk(letters, selection, limit=3)

    assert found == [item for item in filed if entity in (None, item.entity) and cause in (None, item.cause)]
    assert letters.count(selection) == len(found)


def test_groups_are_of_one_entity_cause_and_topic_and_the_biggest_is_first(letters: Any) -> None:
    filed = file_mixed(letters, 20)

    groups = letters.groups()

    counted = Counter((item.entity, item.cause, item.topic) for item in filed)
    assert {(group.entity, group.cause, group.topic): group.count for group in groups} == counted
    assert [group.count for group in groups] == sorted(counted.values(), reverse=True)
    assert letters.groups(limit=2) == groups[:2]


def test_group_is_a_selection(letters: Any) -> None:
    filed = file_mixed(letters)

    for group in letters.groups():
        selection = Selection(group=group.id)
        in_common = (group.entity, group.cause, group.topic)
        expected = [item for item in filed if (item.entity, item.cause, item.topic) == in_common]
        assert walk(letters, selection, limit=1) == expected
        assert letters.count(selection) == group.count == len(expected)


def test_group_without_letters_is_gone(letters: Any) -> None:
    filed = file_mixed(letters, 3)
    group = letters.groups()[0]

    take(letters, filed[0].id)
    take(letters, filed[0].id)

    assert len(letters.groups()) == 2
    take(letters, filed[1].id)
    take(letters, filed[2].id)
    assert letters.groups() == []
    assert letters.page(Selection(group=group.id)) == ([], None)


def test_group_grows_and_shrinks_with_its_letters(letters: Any) -> None:
    records = [bitrix24_ref(RecordType.CONTACT, number) for number in range(3)]
    filed = [letters.add(letter(record=record, topic="name")) for record in records]

    letters.add(letter(record=records[0], topic="name", attempts=2))
    letters.add(letter(record=records[1], topic="phones"))
    take(letters, filed[2].id)

    assert sorted((group.topic, group.count) for group in letters.groups()) == [("name", 1), ("phones", 1)]


def test_ids_of_groups_are_short_and_stay(letters: Any) -> None:
    letters.add(letter(topic="name"))

    assert [group.id for group in letters.groups()] == ["ce54d31cd6fa"]


def test_named_letters_come_as_they_are_named(letters: Any) -> None:
    filed = file_mixed(letters, 6)
    asked = (filed[4].id, filed[0].id, "unknown", filed[4].id, filed[5].id, filed[2].id)

    found = walk(letters, Selection(ids=asked, cause="ignored"), limit=2)

    assert found == [filed[4], filed[0], filed[5], filed[2]]
    assert letters.count(Selection(ids=asked)) == 4


def test_named_letters_have_no_index_of_their_own() -> None:
    with pytest.raises(ValueError, match="named one by one"):
        order_key(Selection(ids=("a",)))


def test_pages_begin_after_a_letter_that_is_gone(letters: Any) -> None:
    filed = file_mixed(letters, 6)
    selection = Selection(ids=tuple(item.id for item in filed))

    first, cursor = letters.page(selection, limit=2)
    take(letters, filed[1].id)
    rest, end = letters.page(selection, after=cursor, limit=10)

    assert first + rest == filed
    assert end is None


def test_letter_is_found_by_every_name_it_has(letters: Any) -> None:
    found = letters.add(
        letter(partner=COUNTERPARTY, trace="Ab12", words=("7707083893", "Info@Romashka.ru", "urn:Inn:5")),
    )
    letters.add(letter(record=bitrix24_ref(RecordType.CONTACT, 420), trace="other", words=("7707083894",)))

    names = [str(CONTACT), CONTACT.key, CONTACT.id, str(COUNTERPARTY), COUNTERPARTY.key, UUID, UUID.upper(), found.id]
    words = ["ab12", "AB12", "7707083893", " info@romashka.RU ", "urn:inn:5"]
    assert {word: letters.search(word) for word in names + words} == {word: [found] for word in names + words}


@pytest.mark.parametrize("word", ["4", "421", "romashka.ru", "deal:42", "onec:contact:42", "x:42", "5", "", " ", ":"])
def test_only_the_whole_word_is_found(letters: Any, word: str) -> None:
    letters.add(letter(words=("info@romashka.ru", "urn:5"), trace=""))

    assert letters.search(word) == []


def test_records_of_one_number_are_told_apart(letters: Any) -> None:
    kinds = (RecordType.CONTACT, RecordType.COMPANY, RecordType.DEAL)
    contact, company, deal = (letters.add(letter(record=bitrix24_ref(kind, 7))) for kind in kinds)

    assert {item.id for item in letters.search("7")} == {contact.id, company.id, deal.id}
    assert letters.search("company:7") == [company]
    assert letters.search("bitrix24:deal:7") == [deal]


def test_search_shows_the_newest_first(letters: Any) -> None:
    filed = [
        letters.add(letter(record=bitrix24_ref(RecordType.DEAL, number), first_at=at(number), words=("7707083893",)))
        for number in random.Random(7).sample(range(250), 250)
    ]
    newest_first = sorted(filed, key=lambda item: item.first_at, reverse=True)

    assert letters.search("7707083893", limit=240) == newest_first[:240]
    assert letters.search("7707083893", limit=2) == newest_first[:2]


def test_letter_that_is_found_twice_is_shown_once(letters: Any) -> None:
    found = letters.add(letter(id="7707083893abcde", words=("7707083893abcde",)))

    assert letters.search("7707083893abcde") == [found]


def test_words_that_a_letter_lost_find_it_no_more(letters: Any) -> None:
    filed = letters.add(letter(partner=COUNTERPARTY, trace="first"))

    again = letters.add(letter(partner=onec_ref(RecordType.COUNTERPARTY, "0" * 32), trace="second"))

    assert letters.search(UUID) == letters.search("first") == []
    assert letters.search("0" * 32) == letters.search("second") == [again]
    assert again.id == filed.id


def test_no_word_stands_in_an_index(client: redis.Redis) -> None:
    RedisDeadLetters(client).add(letter(words=("info@romashka.ru", "7707083893")))

    members = client.zrange("sync:dead:words", 0, -1)

    assert len(members) == 4  # the record's id, the trace, and these two
    assert not [member for member in members if "romashka" in member or "7707083893" in member]


def test_nothing_is_left_of_letters_that_were_taken(client: redis.Redis) -> None:
    letters = RedisDeadLetters(client)
    filed = file_mixed(letters)
    letters.change(filed[0].id, lambda item: replace(item, words=("a@b.ru",), topic="third"))

    for item in filed:
        take(letters, item.id)

    left = {key for key in client.scan_iter("*") if not key.startswith("sync:dead:swap:")}
    assert left == {"sync:dead:causes"}  # which causes there ever were: the ingress goes on showing them, as 0
