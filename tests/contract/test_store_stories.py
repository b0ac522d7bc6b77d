from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.story import StoryEntry
from sync_worker.store.stories import LIFE_SECONDS, MOST_ENTRIES, RedisStories, pack_entry, unpack_entry
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, NOON, STORES, at
from tests.fakes.stores import MemoryStories

UPDATED = StoryEntry(
    at=at(0.000001),
    what="updated",
    trace="1f0c4e8a9b7d4c6e8f2a1b3c5d7e9f01",
    facts={
        "entity": "contact",
        "change": "changed",
        "lane": "live",
        "calls": ["crm.contact.get", "crm.requisite.list", "crm.address.list", "POST /counterparties"],
        "wrote": {"onec": ["emails", "phones"]},
        "lost": [{"field": "inn", "system": "bitrix24", "value": "7707083893", "kept": None}],
    },
)


FORM_1_SAMPLE = (
    "01839a64696c666460610001863a58bc6d9866906c926a916899649e62926c966a9166946898649c6c9a629e6a996660"
    "88e166725c83998071267eb4bc443059c2921e7a59180bac3630ea0048e989afac3737373037b030b6b0344629f56b63"
    "6b6b01"
)
"""UPDATED as form 1."""


@pytest.fixture(params=STORES)
def stories(request: pytest.FixtureRequest) -> Any:
    return MemoryStories() if request.param == "memory" else RedisStories(client=request.getfixturevalue("client"))


def entry(seconds: float, what: str = "echo") -> StoryEntry:
    return StoryEntry(at=at(seconds), what=what)


def test_entry_comes_back_as_it_was_told(stories: Any) -> None:
    stories.tell(CONTACT, UPDATED)

    assert stories.read(CONTACT) == [UPDATED]
    assert stories.read(COMPANY) == stories.read() == []


def test_names_of_one_record_make_one_story(stories: Any) -> None:
    for seconds, ref in ((1, CONTACT), (4, CONTACT), (2, COUNTERPARTY), (3, COUNTERPARTY), (0, COMPANY)):
        stories.tell(ref, entry(seconds, str(ref)))

    told = stories.read(CONTACT, COUNTERPARTY, CONTACT)

    assert told == [
        entry(1, str(CONTACT)),
        entry(2, str(COUNTERPARTY)),
        entry(3, str(COUNTERPARTY)),
        entry(4, str(CONTACT)),
    ]


def test_entries_of_one_moment_stay_in_the_order_they_were_told(stories: Any) -> None:
    for what in ("waited", "failed", "updated"):
        stories.tell(CONTACT, entry(1, what))
    stories.tell(CONTACT, entry(0, "told late"))

    assert [told.what for told in stories.read(CONTACT)] == ["told late", "waited", "failed", "updated"]


def test_newest_entries_are_kept(stories: Any) -> None:
    for number in range(MOST_ENTRIES + 5):
        stories.tell(CONTACT, entry(number))

    assert stories.read(CONTACT) == [entry(number) for number in range(5, MOST_ENTRIES + 5)]


def test_story_lives_from_its_last_entry_on(client: redis.Redis) -> None:
    stories = RedisStories(client)
    stories.tell(CONTACT, entry(0))
    client.expire("sync:story:bitrix24:contact:42", 5)

    stories.tell(CONTACT, entry(1))

    assert LIFE_SECONDS - 60 < client.ttl("sync:story:bitrix24:contact:42") <= LIFE_SECONDS


texts = st.text(st.characters(), max_size=20)  # all of Unicode, halves of characters too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.builds(
        StoryEntry,
        at=st.floats(0, 10**9).map(at),
        what=texts,
        trace=texts,
        facts=st.dictionaries(texts, values, max_size=4),
    )
)
def test_packing_loses_nothing(told: StoryEntry) -> None:
    assert unpack_entry(pack_entry(told)) == told


def test_typical_entry_takes_little() -> None:
    plain = StoryEntry(at=NOON, what="updated", trace=UPDATED.trace, facts={**UPDATED.facts, "lost": []})

    assert len(pack_entry(plain)) < 100


def test_entry_of_a_later_form_is_not_misread() -> None:
    with pytest.raises(ValueError, match="unknown form"):
        unpack_entry(b"\x02" + pack_entry(UPDATED)[1:])


def test_form_1_is_read_for_ever() -> None:
    """Packed by the first release. What lies in somebody's Redis must stay readable: the dictionary must not change."""
    assert unpack_entry(bytes.fromhex(FORM_1_SAMPLE)) == UPDATED
