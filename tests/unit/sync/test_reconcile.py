"""What a sweep takes for news: of records, of 1C's states, and of what it has handed over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync_worker.contract import Change, Lane, new_trace
from sync_worker.domain.drift import Carrying, Heard, OnecChange, Stamped, bell_name
from sync_worker.domain.identity import EntityKind, RecordType, System, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link, Memory
from sync_worker.domain.story import StoryEntry
from sync_worker.sync.sweep_news import News, as_event
from tests.contract.store_worlds import (
    COMPANY,
    CONTACT,
    COUNTERPARTY,
    OTHER_UUID,
    UUID,
    at,
    doorbell,
    letter,
    onec_event,
)
from tests.fakes.stores import FakeClock, MemoryDeadLetters, MemoryLinks, MemoryMemories, MemoryReads, MemoryStories

KIND = EntityKind.CONTACT
ORDER = onec_ref(RecordType.ORDER, UUID)
INVOICE = onec_ref(RecordType.INVOICE, UUID)
DEAL = bitrix24_ref(RecordType.DEAL, 7)
OTHER = onec_ref(RecordType.COUNTERPARTY, OTHER_UUID)
LINK = Link(bitrix24=CONTACT, onec=COUNTERPARTY)
NOBODY: dict[str, int] = {}


@pytest.fixture
def news() -> News:
    return News(
        links=MemoryLinks(),
        memories=MemoryMemories(),
        reads=MemoryReads(),
        letters=MemoryDeadLetters(),
        stories=MemoryStories(),
        clock=FakeClock(time=at(3600)),
    )


def change(ref: Any = COUNTERPARTY, *, sequence: int = 7, **more: Any) -> OnecChange:
    values: dict[str, Any] = {
        "ref": ref,
        "data": {"status": "КОтгрузке"},
        "sequence": sequence,
        "version": "v",
        "external_id": None,
        "event_id": "e",
    }
    return OnecChange(**values | more)


def heard(news: News, *, whole: bool = False, under_way: Any = NOBODY) -> Heard:
    """Of a contact that was changed at second 60."""
    return news.heard(Stamped(ref=CONTACT, changed_at=at(60), whole=whole), under_way)


# --- records that the portal lists -----------------------------------------------------------------------------------


def test_record_that_nobody_read_is_news(news):
    assert heard(news) is Heard.NO


def test_record_that_was_read_since_is_none(news):
    news.reads.note(KIND, CONTACT, at(70), whole=False)

    assert heard(news) is Heard.YES


def test_look_at_the_card_is_none_at_a_part(news):
    news.reads.note(KIND, CONTACT, at(70), whole=False)

    assert heard(news, whole=True) is Heard.NO


def test_record_whose_event_is_under_way_is_no_news(news):
    assert heard(news, under_way={bell_name(KIND, CONTACT): 0}) is Heard.YES
    assert heard(news, whole=True, under_way={bell_name(KIND, CONTACT): 0}) is Heard.NO


@pytest.mark.parametrize("filed_under", [CONTACT, COUNTERPARTY])
def test_record_that_waits_for_a_person_is_no_news_by_either_name(news, filed_under):
    news.links.save(LINK)
    news.letters.add(letter(record=filed_under))

    assert heard(news) is Heard.YES


def test_notice_holds_no_news_back(news):
    news.letters.add(letter(holds_back=False))

    assert heard(news) is Heard.NO


# --- records that carry a ref ----------------------------------------------------------------------------------------

CARRYING = Carrying(ref=CONTACT, onec_id=UUID)


def test_record_with_a_ref_and_no_link_is_an_orphan(news):
    assert news.is_orphan(CARRYING)


def test_linked_record_is_none(news):
    news.links.save(LINK)

    assert not news.is_orphan(CARRYING)


def test_copy_of_a_linked_record_is_none(news):
    news.links.save(LINK)

    assert not news.is_orphan(Carrying(ref=COMPANY, onec_id=UUID))


def test_record_that_was_looked_at_and_kept_out_is_none(news):
    news.reads.note(KIND, CONTACT, at(0), whole=True)

    assert not news.is_orphan(CARRYING)


# --- states that 1C has registered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("handled", "is_news"), [(0, True), (6, True), (7, False), (8, False)])
def test_state_of_a_linked_counterparty_is_news_if_it_is_newer(news, handled, is_news):
    news.links.save(LINK)
    news.memories.save(KIND, CONTACT, Memory(sequence=handled))

    assert news.is_news(change(), NOBODY) is is_news


def test_state_of_an_invoice_is_remembered_by_its_own_name(news):
    assert news.is_news(change(INVOICE), NOBODY)
    news.memories.save(EntityKind.INVOICE, INVOICE, Memory(sequence=7))

    assert not news.is_news(change(INVOICE), NOBODY)


def test_state_under_way_is_no_news_and_a_newer_one_is(news):
    under_way = {bell_name(KIND, COUNTERPARTY): 7}

    assert not news.is_news(change(), under_way)
    assert news.is_news(change(sequence=8), under_way)


def test_state_that_a_person_is_asked_about_is_no_news_and_a_newer_one_is(news):
    news.letters.add(letter(record=COUNTERPARTY, event=onec_event(7).dump()))

    assert not news.is_news(change(), NOBODY)
    assert news.is_news(change(sequence=8), NOBODY)


def test_partner_of_a_deleted_card_is_no_news(news):
    news.links.save(LINK.bury(System.BITRIX24))

    assert not news.is_news(change(), NOBODY)


def test_order_that_no_deal_made_is_no_news(news):
    assert not news.is_news(change(ORDER), NOBODY)
    assert news.is_news(change(ORDER, external_id="b24:deal:7"), NOBODY)
    news.links.save(Link(bitrix24=DEAL, onec=ORDER))
    assert news.is_news(change(ORDER), NOBODY)


def test_order_without_a_status_moves_nothing(news):
    news.links.save(Link(bitrix24=DEAL, onec=ORDER))

    assert not news.is_news(change(ORDER, data={"status": None}), NOBODY)
    assert news.is_news(change(ORDER, data=None), NOBODY)  # a deletion


def test_event_of_a_change_is_the_ingresss_own_in_the_bulk_lane():
    event = as_event(change(sequence=7), seen_at=at(1), trace="t")

    assert (event.entity, event.record, event.change, event.lane) == (KIND, COUNTERPARTY, Change.CHANGED, Lane.BULK)
    assert event.onec is not None
    assert (event.onec.sequence, event.onec.data) == (7, {"status": "КОтгрузке"})
    assert as_event(change(data=None), seen_at=at(1), trace="t").change is Change.DELETED


# --- what was handed over --------------------------------------------------------------------------------------------


def test_doorbell_is_answered_by_a_look_since(news):
    bell = doorbell(CONTACT, seconds=60)
    news.reads.note(KIND, CONTACT, at(59), whole=True)
    assert not news.is_answered(bell)

    news.reads.note(KIND, CONTACT, at(61), whole=False)

    assert news.is_answered(bell)
    assert not news.is_answered(replace(bell, whole=True))


def test_state_is_answered_when_it_was_handled(news):
    assert not news.is_answered(onec_event(7))
    news.memories.save(KIND, COUNTERPARTY, Memory(sequence=7))

    assert news.is_answered(onec_event(7))


@pytest.mark.parametrize(("what", "is_answered"), [("skipped", True), ("failed", False)])
def test_event_is_answered_when_its_story_says_so(news, what, is_answered):
    bell = doorbell(OTHER, trace=new_trace())
    news.stories.tell(OTHER, StoryEntry(at=at(61), what=what, trace=bell.trace, facts={}))

    assert news.is_answered(bell) is is_answered


def test_event_is_answered_when_a_person_is_asked(news):
    bell = doorbell(CONTACT, seconds=60)
    news.letters.add(letter(last_at=bell.seen_at + timedelta(seconds=1)))

    assert news.is_answered(bell)
