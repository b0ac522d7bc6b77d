"""One letter: what it shows, and what a person makes of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from sync_worker.contract import BROKER_KEY_PREFIX
from sync_worker.domain.identity import parse_ref
from sync_worker.domain.letter import DeadLetter
from sync_worker.sync.office import DeadLetterOffice
from tests.contract.store_worlds import COMPANY, CONTACT, COUNTERPARTY, OTHER_COUNTERPARTY, letter
from tests.desk.serving import Page, Visitor
from tests.services import RedisServer

CONFLICT: dict[str, Any] = {
    "name": {"baseline": "Ромашка", "bitrix24": "ООО Ромашка", "onec": 'ООО "Ромашка-1"'},
    "phones": {"baseline": [], "bitrix24": ["+74951234567", "+74951234568"], "onec": ["+78120000000"]},
    "addresses": {
        "baseline": None,
        "bitrix24": [{"kind": "legal", "city": "Москва", "street": "ул. Мира, 1"}],
        "onec": [{"kind": "legal", "city": "Тверь"}],
    },
}
CANDIDATES = {"candidates": [str(COUNTERPARTY), str(OTHER_COUNTERPARTY)]}


def file_conflict(office: DeadLetterOffice, **changed: Any) -> DeadLetter:
    return office.letters.add(letter(details={"fields": CONFLICT}, partner=COUNTERPARTY, **changed))


def decide(visitor: Visitor, filed: DeadLetter, **values: str) -> Any:
    return visitor.send(f"/dead-letters/letter/{filed.id}", "decide-form", **values)


def queued(redis_server: RedisServer) -> int:
    """Messages that the desk has put into the queue of replays."""
    with redis.Redis.from_url(redis_server.url(1)) as broker:
        return int(broker.llen(f"{BROKER_KEY_PREFIX}contact.bulk"))


def test_a_letter_shows_what_happened_and_what_to_do(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office, attempts=3, waiting=2, trace="trace-of-it")

    page = anna.page(f"/dead-letters/letter/{filed.id}")

    assert page.by_id["message"] == "both sides changed: name"
    assert page.by_id["advice"] == "Say for each field which value is right."
    for part in ("field_conflict", "bitrix24:contact:42", str(COUNTERPARTY), "trace-of-it", "0.1.0", "2026-11-02"):
        assert part in page.by_id["letter-page"]


def test_a_record_leads_to_its_card_and_its_story(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)

    links = [named["href"] for tag, named in anna.page(f"/dead-letters/letter/{filed.id}").tags if tag == "a"]

    assert "https://portal.example.com/crm/contact/details/42/" in links
    assert "/dead-letters/story?record=bitrix24%3Acontact%3A42" in links


def test_a_conflict_is_shown_side_by_side(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)

    page = anna.page(f"/dead-letters/letter/{filed.id}")

    assert [named["data-field"] for named, _ in page.all("field")] == sorted(CONFLICT, key=list(CONFLICT).index)
    assert page.by_id["baseline-name"] == "Ромашка"
    assert page.by_id["onec-name"] == 'ООО "Ромашка-1"'
    assert page.by_id["bitrix24-phones"] == "+74951234567+74951234568"
    assert page.by_id["bitrix24-addresses"] == "legal: Москва, ул. Мира, 1"
    assert page.by_id["baseline-addresses"] == "(blank)"


def test_each_input_has_a_label(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)
    for path in (f"/dead-letters/letter/{filed.id}", "/dead-letters", "/dead-letters/story"):
        page = anna.page(path)
        labelled = {named.get("for") for tag, named in page.tags if tag == "label"}
        inputs = [named for tag, named in page.tags if tag in ("input", "textarea", "select", "progress")]
        seen = [one for one in inputs if one.get("type") != "hidden"]

        bare = [one for one in seen if one.get("id") not in labelled and "aria-label" not in one]
        assert seen, path
        assert bare == [], path


def test_a_choice_for_each_field_settles_the_conflict(
    anna: Visitor, office: DeadLetterOffice, redis_server: RedisServer
) -> None:
    filed = file_conflict(office)

    answer = decide(
        anna,
        filed,
        **{
            "side.name": "onec",
            "side.phones": "other",
            "value.phones": "8 495 123-45-67\r\n\r\n+7 812 000-00-00",
            "side.addresses": "other",
            "value.addresses.legal.city": "Москва",
            "value.addresses.postal.postal_code": "101000",
        },
    )

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/dead-letters/letter/{filed.id}")
    decision = office.get(filed.id).decision
    assert decision is not None
    assert {name: choice.value for name, choice in decision.fields.items()} == {
        "name": CONFLICT["name"]["onec"],
        "phones": ["+74951234567", "+78120000000"],
        "addresses": [{"kind": "legal", "city": "Москва"}, {"kind": "postal", "postal_code": "101000"}],
    }
    assert decision.fields["phones"].bitrix24 == CONFLICT["phones"]["bitrix24"]
    assert queued(redis_server) == 1
    page = anna.page(f"/dead-letters/letter/{filed.id}")
    assert "goes round" in page.by_id["notice"]
    assert page.all("under-way")
    assert "anna, resolved: addresses: edited; name: 1C's; phones: edited" in page.by_id["deeds"]


def test_always_so_shows_the_rule_for_the_settings(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)
    always = {f"always.{field}": "1" for field in CONFLICT}

    answer = decide(
        anna, filed, **{"side.name": "onec", "side.phones": "other", "side.addresses": "bitrix24"}, **always
    )

    assert answer.status_code == 303
    rule = anna.page(f"/dead-letters/letter/{filed.id}").by_id["rule"]
    assert rule == '[owners.counterparty] addresses = "bitrix24" name = "onec"'
    assert "rule" not in anna.page(f"/dead-letters/letter/{filed.id}").by_id, "told once"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "nothing is decided"),
        ({"side.name": "onec"}, "say for each field which value is right; missing: addresses, phones"),
        ({"side.name": "somebody"}, "there is no side somebody"),
    ],
)
def test_half_a_decision_is_refused(anna: Visitor, office: DeadLetterOffice, values: dict[str, str], told: str) -> None:
    filed = file_conflict(office)

    answer = decide(anna, filed, **values)

    assert answer.status_code == 409
    assert told in Page(answer.text).by_id["problem"]
    assert office.get(filed.id) == filed


def test_a_value_that_is_none_is_refused(anna: Visitor, office: DeadLetterOffice) -> None:
    emails = {"emails": {"baseline": [], "bitrix24": ["a@b.ru"], "onec": []}}
    filed = office.letters.add(letter(details={"fields": emails}))

    answer = decide(anna, filed, **{"side.emails": "other", "value.emails": "a@b.ru\nnobody"})

    assert answer.status_code == 409
    assert "'nobody' is no e-mail address" in Page(answer.text).by_id["problem"]


def test_a_choice_made_of_older_values_is_refused(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)
    form = anna.page(f"/dead-letters/letter/{filed.id}").forms["decide-form"]
    again = {**CONFLICT, "name": CONFLICT["name"] | {"onec": "Совсем другое"}}
    office.letters.add(replace(filed, id="", details={"fields": again}, last_at=datetime.now(UTC)))

    sides = {f"side.{field}": "onec" for field in CONFLICT}
    answer = anna.post(f"/dead-letters/letter/{filed.id}/resolve", form | sides)

    assert answer.status_code == 409
    assert "failed anew" in answer.text
    assert office.get(filed.id).decision is None


def test_a_candidate_is_picked(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter(cause="ambiguous_match", details=CANDIDATES))

    assert decide(anna, filed, partner=str(OTHER_COUNTERPARTY)).status_code == 303

    decision = office.get(filed.id).decision
    assert decision is not None
    assert decision.pick == OTHER_COUNTERPARTY


def test_none_of_the_candidates_makes_a_new_record(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter(cause="ambiguous_match", details=CANDIDATES))

    assert "none of these" in anna.page(f"/dead-letters/letter/{filed.id}").by_id["candidates"]
    assert decide(anna, filed, partner="new").status_code == 303

    decision = office.get(filed.id).decision
    assert decision is not None
    assert decision.create


@pytest.mark.parametrize("partner", ["onec:counterparty:stranger", "nonsense", "<script>"])
def test_a_partner_that_is_not_offered_is_refused(anna: Visitor, office: DeadLetterOffice, partner: str) -> None:
    filed = office.letters.add(letter(cause="ambiguous_match", details=CANDIDATES))

    answer = decide(anna, filed, partner=partner)

    assert answer.status_code == 409
    assert partner in Page(answer.text).by_id["problem"]
    assert "<script>" not in answer.text
    assert office.get(filed.id) == filed


@pytest.mark.parametrize(
    "typed", ["company 42", "bitrix24:company:42", "https://portal.example.com/crm/company/details/42/"]
)
def test_another_record_takes_the_place_of_a_deleted_one(anna: Visitor, office: DeadLetterOffice, typed: str) -> None:
    gone = {"gone": str(CONTACT), "subject": str(COUNTERPARTY)}
    filed = office.letters.add(letter(cause="link_broken", details=gone))

    assert decide(anna, filed, partner="named", named=typed).status_code == 303

    decision = office.get(filed.id).decision
    assert decision is not None
    assert decision.pick == COMPANY


def test_a_closed_deal_may_be_reopened(anna: Visitor, office: DeadLetterOffice) -> None:
    deal = parse_ref("bitrix24:deal:7")
    filed = office.letters.add(letter(cause="deal_closed", entity="status", record=deal, details={}))

    assert decide(anna, filed, reopen="1").status_code == 303

    decision = office.get(filed.id).decision
    assert decision is not None
    assert decision.reopen


def test_two_operators_who_replay_one_letter_at_once_send_it_once(
    anna: Visitor, boris: Visitor, office: DeadLetterOffice, redis_server: RedisServer
) -> None:
    filed = file_conflict(office)

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda who: who.send(f"/dead-letters/letter/{filed.id}", "replay-form"), (anna, boris)))

    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert "is being replayed already" in next(answer.text for answer in answers if answer.status_code == 409)
    assert queued(redis_server) == 1
    assert len(office.get(filed.id).deeds) == 1


def test_a_letter_without_an_event_cannot_be_replayed(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = office.letters.add(letter(cause="bad_event", record=None, event={}, details={"raw": {"a": [1]}}))

    page = anna.page(f"/dead-letters/letter/{filed.id}")

    assert "cannot-replay" in page.by_id
    assert "replay-form" not in page.forms
    token = page.forms["discard-form"]
    assert anna.post(f"/dead-letters/letter/{filed.id}/replay", token).status_code == 409


def test_a_letter_is_discarded_for_a_reason(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)

    answer = anna.send(f"/dead-letters/letter/{filed.id}", "discard-form", reason="it was a test of ours")

    assert answer.status_code == 303
    assert office.letters.get(filed.id) is None
    deeds, _ = office.audit.page()
    assert [(deed.by, deed.letter, deed.note) for deed in deeds] == [("anna", filed.id, "it was a test of ours")]


def test_a_letter_is_not_discarded_without_a_reason(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)

    answer = anna.send(f"/dead-letters/letter/{filed.id}", "discard-form", reason=" ")

    assert answer.status_code == 409
    assert office.get(filed.id) == filed


def test_an_unknown_letter_is_not_found(anna: Visitor, office: DeadLetterOffice) -> None:
    answer = anna.get("/dead-letters/letter/nobody")

    assert answer.status_code == 404
    assert "There is no such letter" in Page(answer.text).by_id["problem"]


def test_a_refusal_is_told_in_russian(address: str, office: DeadLetterOffice) -> None:
    filed = file_conflict(office)
    visitor = Visitor(address, language="ru")

    answer = visitor.send(f"/dead-letters/letter/{filed.id}", "discard-form", reason="")

    assert "скажите почему" in Page(answer.text).by_id["problem"]
