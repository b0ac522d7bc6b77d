"""Stories, the audit, and replays with their progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_worker.desk.asked import read_text
from sync_worker.domain.letter import Selection
from sync_worker.domain.story import StoryEntry
from sync_worker.sync.office import DeadLetterOffice
from tests.contract.store_worlds import CONTACT, UUID, at
from tests.desk.serving import LOGINS, Page, Visitor, desk_process
from tests.desk.test_letters import file_letter
from tests.services import RedisServer

FACTS = {
    "entity": "contact",
    "lane": "live",
    "calls": ["crm.contact.get", "POST /counterparties"],
    "wrote": {"onec": ["phones"]},
    "lost": [{"field": "phones", "system": "onec", "value": ["+7812"], "kept": ["+7495", "+7496"]}],
}


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("contact 42", "bitrix24:contact:42"),
        (" Deal:7 ", "bitrix24:deal:7"),
        ("bitrix24:company:5", "bitrix24:company:5"),
        (f"counterparty {UUID.upper()}", f"onec:counterparty:{UUID}"),
        (f"contact {UUID}", f"onec:counterparty:{UUID}"),
        (f"deal {UUID}", f"onec:order:{UUID}"),
        ("invoice 042", "bitrix24:invoice:42"),
        (f"invoice:{UUID}", f"onec:invoice:{UUID}"),
        ("https://portal.example.com/crm/lead/details/3/?x=1", "bitrix24:lead:3"),
    ],
)
def test_a_record_is_meant_by_many_names(text: str, ref: str) -> None:
    assert str(read_text(text)) == ref


@pytest.mark.parametrize(
    "text", ["", "42", "contact", "contact x", "order 42", "requisite " + UUID, "a:b:c", "c 1 2 3"]
)
def test_what_names_no_record_is_refused(anna: Visitor, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of three kinds
        read_text(text)
    assert anna.get("/dead-letters/story", params={"record": text}).status_code == (400 if text else 200)


def test_a_story_is_told_newest_first(anna: Visitor, office: DeadLetterOffice) -> None:
    office.stories.tell(CONTACT, StoryEntry(at=at(1), what="created", trace="t1", facts=FACTS))
    failure = {"cause": "remote_rejected", "message": "<b>no</b>", "next": "dead_letter", "letter": "1m6e"}
    office.stories.tell(CONTACT, StoryEntry(at=at(2), what="dead_letter", trace="t2", facts=failure))

    page = anna.page("/dead-letters/story?record=contact 42")

    entries = page.all("entry")
    assert [named["data-what"] for named, _ in entries] == ["dead_letter", "created"]
    assert "remote rejected: <b>no</b>" in entries[0][1]
    for part in ("POST /counterparties", "Written in 1C: phones", "+7812 → +7495, +7496", "t1"):
        assert part in entries[1][1]
    assert page.attributes["card"]["href"] == "https://portal.example.com/crm/contact/details/42/"


def test_nothing_to_tell_is_said(anna: Visitor) -> None:
    assert "Nothing is known" in anna.page("/dead-letters/story?record=contact 42").by_id["nothing"]


def test_the_audit_is_paged_newest_first(anna: Visitor, office: DeadLetterOffice) -> None:
    filed = [file_letter(office, number) for number in range(1, 131)]
    for number, one in enumerate(filed):
        office.discard(one.id, by="anna", reason=f"reason {number}")

    first = anna.page("/dead-letters/audit")
    second = anna.page(first.attributes["older"]["href"])

    deeds = [text for _, text in (*first.all("deed"), *second.all("deed"))]
    assert [f"reason {number}" in text for number, text in zip(range(129, -1, -1), deeds, strict=True)] == [True] * 130
    assert "older" not in second.attributes
    assert len(anna.page(second.attributes["newer"]["href"]).all("deed")) == 100
    assert anna.get("/dead-letters/audit?after=nonsense").status_code == 400


def test_a_replay_shows_how_far_it_is(anna: Visitor, office: DeadLetterOffice) -> None:
    for number in range(1, 4):
        file_letter(office, number)
    run = office.replay(Selection(cause="no_counterparty"), by="boris")
    office.advance()
    ended = office.letters.page(Selection(cause="no_counterparty"))[0]
    office.replays.ended(run.id, ended[0].id, closed=True)

    page = anna.page("/dead-letters/replays")

    ((named, text),) = page.all("run")
    assert named["data-run"] == run.id
    assert "settled: 1 · back again: 0 · under way: 2 · to be sent: 0" in text
    assert "boris" in text
    assert page.attributes[f"progress-{run.id}"]["value"] == "1"
    assert page.attributes[f"progress-{run.id}"]["max"] == "3"
    assert "data-refresh" in page.attributes["runs"]


def test_a_replay_is_cancelled(anna: Visitor, office: DeadLetterOffice) -> None:
    for number in range(1, 4):
        file_letter(office, number)
    run = office.replay(Selection(cause="no_counterparty"), by="boris")

    answer = anna.send(
        "/dead-letters/replays", f"/dead-letters/replays/{run.id}/cancel", to=f"/dead-letters/replays/{run.id}/cancel"
    )

    assert answer.status_code == 303
    page = anna.page("/dead-letters/replays")
    assert page.all("cancelled")
    assert f"cancel-{run.id}" not in page.attributes
    assert office.advance() == 0


def test_an_unknown_replay_is_refused(anna: Visitor, office: DeadLetterOffice) -> None:
    file_letter(office, 1)
    token = anna.page("/dead-letters").forms["chosen"]

    assert anna.post("/dead-letters/replays/nobody/cancel", token).status_code == 409


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[tuple[Visitor, RedisServer]]:
    """A desk whose Redis the test may stop."""
    own = RedisServer(tmp_path / "redis").start()
    with desk_process(tmp_path, own, FLOWER_BASIC_AUTH=LOGINS) as address:
        yield Visitor(address), own
    own.kill()


def test_a_store_that_is_away_is_told(dying: tuple[Visitor, RedisServer]) -> None:
    visitor, own = dying
    assert visitor.get("/dead-letters").status_code == 200
    own.kill()

    answer = visitor.get("/dead-letters")

    assert answer.status_code == 503
    assert "Redis or the queue does not answer now" in Page(answer.text).by_id["problem"]
