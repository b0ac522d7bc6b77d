"""`sync-worker story` over a real Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sync_worker.bootstrap import build_worker
from sync_worker.domain.identity import RecordRef
from sync_worker.domain.link import Link
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.story import StoryEntry
from sync_worker.settings import load_settings
from tests.contract.store_worlds import CONTACT, COUNTERPARTY, UUID, at
from tests.flow.dead_letters_world import ENVIRONMENT, figures, file_conflict, look, no_task, the_office, write_settings

LOST = {"field": "inn", "system": "bitrix24", "value": "500100732259", "kept": "7707083893"}
EVENT = {"entity": "contact", "change": "changed", "lane": "live", "from": "bitrix24"}


@pytest.fixture(autouse=True)
def _environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings(tmp_path)
    for name, value in {**ENVIRONMENT, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.delenv("SYNC_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def tell(ref: RecordRef, seconds: float, what: str, **facts: Any) -> None:
    the_office().stories.tell(ref, StoryEntry(at=at(seconds), what=what, trace=f"t{seconds}", facts=facts))


def link() -> None:
    build_worker(load_settings(), send_task=no_task).links.save(Link(bitrix24=CONTACT, onec=COUNTERPARTY))


def test_a_story_has_the_shape_that_machines_rely_on() -> None:
    tell(CONTACT, 1, Outcome.UPDATED, **EVENT, calls=["crm.contact.get"], wrote={"onec": ["name"]})

    found = figures("story", "contact", "42")

    assert found["record"] == {"system": "bitrix24", "type": "contact", "id": "42"}
    (entry,) = found["entries"]
    assert (entry["at"], entry["what"], entry["trace"]) == ("2026-11-02T12:00:01+00:00", "updated", "t1")
    assert entry["wrote"] == {"onec": ["name"]}


@pytest.mark.parametrize(("entity", "id_"), [("contact", "42"), ("counterparty", UUID), ("contact", UUID.upper())])
def test_both_partners_have_one_story_newest_last(entity: str, id_: str) -> None:
    link()
    tell(CONTACT, 3, Outcome.ECHO, **EVENT)
    tell(COUNTERPARTY, 2, Outcome.UPDATED, **EVENT | {"from": "onec"})
    tell(CONTACT, 1, Outcome.CREATED, **EVENT)

    page = look("story", entity, id_).output

    assert [entry["what"] for entry in figures("story", entity, id_)["entries"]] == ["created", "updated", "echo"]
    assert page.index("created") < page.index("updated") < page.index("echo")
    assert "2026-11-02 12:00:03 UTC  echo" in page


def test_a_story_tells_calls_writes_failures_and_deeds() -> None:
    filed = file_conflict()
    tell(
        CONTACT,
        1,
        Outcome.UPDATED,
        **EVENT,
        calls=["crm.contact.get", "POST /counterparties"],
        wrote={"onec": ["name"]},
    )
    tell(CONTACT, 2, "failed", **EVENT, cause="remote_rejected", message="refused a@b.ru", next="wait 20 s")
    the_office().discard(filed.id, by="anna@desk", reason="a test record")

    page = look("story", "contact", "42").output

    assert "calls: crm.contact.get, POST /counterparties" in page
    assert "wrote in 1C: name" in page
    assert "remote_rejected: refused ***" in page
    assert "next: wait 20 s" in page
    assert f"by anna@desk, letter {filed.id} (field_conflict), a test record" in page


def test_values_that_gave_way_are_masked_unless_revealed() -> None:
    tell(CONTACT, 1, Outcome.UPDATED, **EVENT, lost=[LOST])

    masked, revealed = look("story", "contact", "42").output, look("story", "contact", "42", "--reveal").output

    assert "put right in Bitrix24: inn was ***, is ***" in masked
    assert "put right in Bitrix24: inn was 500100732259, is 7707083893" in revealed
    assert figures("story", "contact", "42")["entries"][0]["lost"] == [LOST | {"value": "***", "kept": "***"}]
    assert figures("story", "contact", "42", "--reveal")["entries"][0]["lost"] == [LOST]


def test_nothing_known_is_said() -> None:
    assert "nothing is known of bitrix24:deal:7" in look("story", "deal", "7").output
    assert figures("story", "deal", "7")["entries"] == []


@pytest.mark.parametrize(("entity", "id_"), [("contact", "Осипова"), ("order", "7"), ("counterparty", "42")])
def test_what_is_no_id_is_refused_in_a_sentence(entity: str, id_: str) -> None:
    done = look("story", entity, id_)

    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
