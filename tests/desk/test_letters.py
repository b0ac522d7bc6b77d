"""The list: by cause, filtered, sought, paged, and what is done with many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from sync_worker.domain.letter import Act, DeadLetter
from sync_worker.sync.office import DeadLetterOffice
from tests.contract.store_worlds import at, doorbell, letter
from tests.desk.serving import Page, Visitor

HOSTILE = "<script>alert('1')</script> \"quoted\" & \ud83d"


def file_letter(office: DeadLetterOffice, number: int, **changed: Any) -> DeadLetter:
    """Of the deal of this number; the higher the number, the later."""
    record = bitrix24_ref(RecordType.DEAL, number)
    given = {
        "entity": "deal",
        "cause": "no_counterparty",
        "message": f"deal {number} names nobody",
        "details": {},
        "record": record,
        "event": doorbell(record).dump(),
        "first_at": at(number),
        "last_at": at(number),
    }
    return office.letters.add(letter(**given | changed))


def file_mixed(office: DeadLetterOffice) -> dict[str, DeadLetter]:
    return {
        "first": file_letter(office, 1, words=("7707083893", "ivan@example.com")),
        "second": file_letter(office, 2),
        "stage": file_letter(office, 3, cause="stage_refused", topic="PREPAYMENT"),
        "invoice": file_letter(office, 4, entity="invoice", cause="remote_rejected", topic="no right"),
    }


def choose(anna: Visitor, *ids: str, form: str = "chosen", to: str = "", **values: str) -> Any:
    return anna.send("/dead-letters", form, to=to, letter=list(ids), **values)


def test_an_empty_list_says_so(anna: Visitor) -> None:
    page = anna.page("/dead-letters")

    assert page.by_id["count"] == "0"
    assert "nothing waits" in page.by_id["nothing"]


def test_letters_are_shown_oldest_first_with_what_happened(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)

    page = anna.page("/dead-letters")

    assert page.letters() == [one.id for one in filed.values()]
    row = page.all("letter")[2][1]
    for part in (filed["stage"].id, "deal", "bitrix24:deal:3", "stage refused", "deal 3 names nobody", "12:00:03"):
        assert part in row
    assert page.by_id["count"] == "4"


def test_groups_tell_how_many_why_and_what_next(anna: Visitor, office: DeadLetterOffice) -> None:
    file_mixed(office)

    groups = anna.page("/dead-letters").all("group")

    assert len(groups) == 3
    assert groups[0][1].startswith("2 deal: no counterparty")
    assert "Give the deal a company or contact" in groups[0][1]
    assert any("PREPAYMENT" in text for _, text in groups)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cause=no_counterparty", ["first", "second"]),
        ("entity=invoice", ["invoice"]),
        ("entity=deal&cause=stage_refused", ["stage"]),
        ("cause=deal_closed", []),
        ("q=7707083893", ["first"]),
        ("q=IVAN@example.com", ["first"]),
        ("q=deal:2", ["second"]),
        ("q=nothing", []),
    ],
)
def test_letters_are_filtered_and_found(anna: Visitor, office: DeadLetterOffice, query: str, found: list[str]) -> None:
    filed = file_mixed(office)

    assert anna.page(f"/dead-letters?{query}").letters() == [filed[name].id for name in found]


def test_a_letter_is_found_by_its_own_id(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)

    assert anna.page(f"/dead-letters?q={filed['second'].id}").letters() == [filed["second"].id]


def test_a_group_leads_to_its_letters(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)
    group = next(one for one in office.groups() if one.topic == "PREPAYMENT")

    page = anna.page(f"/dead-letters?group={group.id}")

    assert page.letters() == [filed["stage"].id]
    assert "PREPAYMENT" in page.by_id["filtered"]


def test_pages_lead_to_newer_letters_and_back(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = [file_letter(office, number).id for number in range(1, 121)]

    first = anna.page("/dead-letters?cause=no_counterparty")
    second = anna.page(first.attributes["newer"]["href"])
    third = anna.page(second.attributes["newer"]["href"])
    back = anna.page(third.attributes["older"]["href"])

    assert [*first.letters(), *second.letters(), *third.letters()] == filed
    assert back.letters() == second.letters()
    assert anna.page(back.attributes["older"]["href"]).letters() == first.letters()
    assert "older" not in first.attributes
    assert "newer" not in third.attributes


def test_a_cursor_that_is_none_is_refused(anna: Visitor) -> None:
    answer = anna.get("/dead-letters?after=nonsense")

    assert answer.status_code == 400
    assert "begin at the first" in answer.text


def test_a_remotes_words_are_no_markup(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_letter(office, 1, message=HOSTILE, topic=HOSTILE, trace=HOSTILE, details={HOSTILE: HOSTILE})

    for path in ("/dead-letters", f"/dead-letters/letter/{filed.id}", f"/dead-letters?q={HOSTILE[:-1]}"):
        text = anna.get(path).text
        assert "&lt;script&gt;alert" in text, path
        assert "<script>alert" not in text, path


def test_chosen_letters_are_replayed_as_one_run(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)

    answer = choose(anna, filed["first"].id, filed["invoice"].id)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/dead-letters/replays")
    (run,) = office.replays.page()
    assert (run.by, run.total, set(run.selection.ids)) == ("anna", 2, {filed["first"].id, filed["invoice"].id})
    assert "Letters: 2" in anna.page("/dead-letters/replays").by_id["notice"]


def test_all_letters_of_a_cause_are_replayed(anna: Visitor, office: DeadLetterOffice) -> None:
    file_mixed(office)

    answer = anna.send("/dead-letters?cause=no_counterparty", "replay-all-form")

    assert answer.status_code == 303
    (run,) = office.replays.page()
    assert (run.selection.cause, run.total) == ("no_counterparty", 2)


@pytest.mark.parametrize("values", [{}, {"all": "1"}, {"all": "1", "cause": " "}])
def test_nothing_chosen_never_means_everything(anna: Visitor, office: DeadLetterOffice, values: dict[str, str]) -> None:
    file_mixed(office)

    answer = anna.send("/dead-letters", "chosen", **values)

    assert answer.status_code == 409
    assert office.replays.page() == []


def test_two_operators_who_replay_a_cause_at_once_send_each_letter_once(
    anna: Visitor, boris: Visitor, office: DeadLetterOffice
) -> None:
    filed = file_mixed(office)

    with ThreadPoolExecutor(2) as both:
        answers = list(
            both.map(lambda who: who.send("/dead-letters?cause=no_counterparty", "replay-all-form"), (anna, boris))
        )
    office.advance()

    assert [answer.status_code for answer in answers] == [303, 303]
    sent = [event.letter for event in office.outbox.events]  # type: ignore[attr-defined]
    assert sorted(sent) == sorted([filed["first"].id, filed["second"].id])


def test_chosen_letters_are_discarded_for_a_reason(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)

    answer = choose(
        anna, filed["first"].id, filed["second"].id, "gone", to="/dead-letters/discard", reason="made by hand"
    )

    assert answer.status_code == 303
    assert anna.page("/dead-letters").letters() == [filed["stage"].id, filed["invoice"].id]
    deeds, _ = office.audit.page()
    assert {(deed.by, deed.act, deed.note) for deed in deeds} == {("anna", Act.DISCARDED, "made by hand")}


@pytest.mark.parametrize("reason", ["", "   "])
def test_letters_are_not_discarded_without_a_reason(anna: Visitor, office: DeadLetterOffice, reason: str) -> None:
    filed = file_mixed(office)

    answer = choose(anna, filed["first"].id, to="/dead-letters/discard", reason=reason)

    assert answer.status_code == 409
    assert "say why" in Page(answer.text).by_id["problem"]
    assert office.letters.count() == 4


def test_machines_get_the_same_letters(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = file_mixed(office)

    answer = anna.get("/api/dead-letters?cause=no_counterparty&limit=1").json()
    rest = anna.get(f"/api/dead-letters?cause=no_counterparty&limit=1&after={answer['next']}").json()

    assert [one["id"] for one in (*answer["letters"], *rest["letters"])] == [filed["first"].id, filed["second"].id]
    assert answer["letters"][0]["record"] == {"system": "bitrix24", "type": "deal", "id": "1"}
    assert (answer["count"], rest["next"], len(answer["groups"])) == (2, None, 3)
    assert anna.get("/api/dead-letters?q=ivan@example.com").json()["letters"] == answer["letters"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "after=nonsense"])
def test_machines_are_told_what_is_wrong(anna: Visitor, query: str) -> None:
    answer = anna.get(f"/api/dead-letters?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_page_speaks_russian_where_the_browser_does(address: str, office: DeadLetterOffice) -> None:
    file_mixed(office)
    visitor = Visitor(address, language="ru-RU,ru;q=0.9,en;q=0.8")

    page = visitor.page("/dead-letters")

    assert page.by_id["page-title"] == "Недоставленные письма"
    assert "Укажите в сделке компанию или контакт" in page.all("group")[0][1]
    assert page.tags[0] == ("html", {"lang": "ru"})


def test_a_chosen_language_stays(anna: Visitor, office: DeadLetterOffice) -> None:
    file_mixed(office)

    switched = anna.page(anna.page("/dead-letters?entity=deal").attributes["lang-ru"]["href"])

    assert len(switched.letters()) == 3
    assert anna.page("/dead-letters/audit").by_id["page-title"] == "Кто что сделал"
    answer = choose(anna, to="/dead-letters/discard")
    assert "Выберите хотя бы одно письмо" in answer.text


@pytest.mark.parametrize("language", ["en", "en-GB,ru;q=0.5", "de", "de,en;q=0.9,ru;q=0.1", "", "*"])
def test_other_browsers_get_english(address: str, office: DeadLetterOffice, language: str) -> None:
    assert Visitor(address, language=language).page("/dead-letters").by_id["page-title"] == "Dead letters"
