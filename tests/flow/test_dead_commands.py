"""`sync-worker dead ...` over a real Redis: what is printed, what is sent, and what becomes of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from sync_worker.domain.letter import Act, Choice, Decision, Selection
from sync_worker.errors import FieldConflict, NoCounterparty
from tests.contract.store_worlds import COUNTERPARTY, OTHER_COUNTERPARTY, UUID, at, eventually, onec_event
from tests.flow.dead_letters_world import (
    COMMAND,
    COMMAND_SECONDS,
    CONFLICT,
    ENVIRONMENT,
    RULES,
    environment,
    figures,
    file_conflict,
    file_letter,
    look,
    run,
    the_office,
    waiting_for_workers,
    worker_beside,
    write_settings,
)
from tests.services import RedisServer

VALUES = ("Ромашка", "Лютик", "Василёк", "4951234567", "7707083893")
NAMELESS = NoCounterparty("bitrix24:deal:7 has neither company nor contact")


@pytest.fixture(autouse=True)
def _environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings(tmp_path)
    for name, value in {**ENVIRONMENT, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.delenv("SYNC_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def broker_url(redis_server: RedisServer) -> str:
    return redis_server.url(1)


def no_cause(number: int) -> str:
    """File a letter that waits for a counterparty; its id."""
    deal = {"cause": "no_counterparty", "message": str(NAMELESS), "details": {}}
    return file_letter(number, **deal, first_at=at(number), last_at=at(number)).id


# --- list ------------------------------------------------------------------------------------------------------------


def test_no_letters_are_said_to_be_none() -> None:
    assert look("dead", "list").output == "no dead letters\n"
    assert figures("dead", "list") == {"letters": [], "next": None, "groups": []}


def test_a_list_has_the_shape_that_machines_rely_on() -> None:
    filed = file_conflict()

    (shown,) = figures("dead", "list")["letters"]

    assert shown["id"] == filed.id
    assert shown["entity"] == "contact"
    assert shown["record"] == {"system": "bitrix24", "type": "contact", "id": "42"}
    assert shown["ref"] == str(COUNTERPARTY)
    assert shown["cause"] == "field_conflict"
    assert shown["message"] == "both sides changed: name, phones"
    assert shown["candidates"] == []
    assert shown["attempts"] == 1
    assert shown["first_at"] == shown["last_at"] == "2026-11-02T12:00:00+00:00"
    assert shown["advice"] == "Say for each field which value is right."


def test_a_list_begins_with_how_many_there_are_of_each_cause() -> None:
    for number in range(3):
        no_cause(number)
    file_conflict()

    page = look("dead", "list").output
    groups = figures("dead", "list", "--groups")

    assert page.index("no_counterparty") < page.index("field_conflict") < page.index("both sides changed")
    assert [(group["count"], group["cause"], group["topic"]) for group in groups["groups"]] == [
        (3, "no_counterparty", ""),
        (1, "field_conflict", "name, phones"),
    ]
    assert groups["letters"] == []
    assert "both sides changed" not in look("dead", "list", "--groups").output


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--cause", "field_conflict"), ["1"]),
        (("--cause", "no_counterparty"), ["2", "3"]),
        (("--entity", "contact"), ["1", "2", "3"]),
        (("--entity", "deal"), []),
        (("--entity", "deal", "--cause", "field_conflict"), []),
        (("--search", "contact:2"), ["2"]),
        (("--search", "7707083893"), ["1"]),
        (("--search", "7707083893", "--cause", "no_counterparty"), []),
        (("--search", "770708"), []),
    ],
)
def test_a_list_is_filtered(filters: tuple[str, ...], found: list[str]) -> None:
    file_conflict(1, first_at=at(1))
    no_cause(2)
    no_cause(3)

    assert [one["record"]["id"] for one in figures("dead", "list", *filters)["letters"]] == found


def test_a_group_of_the_list_is_a_filter() -> None:
    file_conflict(1)
    no_cause(2)
    groups = {group["cause"]: group["id"] for group in figures("dead", "list", "--groups")["groups"]}

    found = figures("dead", "list", "--group", groups["no_counterparty"])["letters"]

    assert [one["record"]["id"] for one in found] == ["2"]


def test_a_list_goes_on_where_its_page_ended() -> None:
    for number in range(5):
        no_cause(number)

    first = figures("dead", "list", "--limit", "3")
    second = figures("dead", "list", "--limit", "3", "--after", first["next"])

    assert [one["record"]["id"] for one in (*first["letters"], *second["letters"])] == list("01234")
    assert second["next"] is None
    assert f"more: --after {first['next']}" in look("dead", "list", "--limit", "3").output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("list", "--cause", "no_such"), "there is no cause no_such; there are: ambiguous_match"),
        (("list", "--after", "nowhere"), "--after wants the `next` of a page"),
        (("audit", "--after", "nowhere"), "--after wants the `next` of a page"),
        (("show", "nobody"), "there is no letter nobody"),
        (("discard", "nobody", "--reason", "x", "--yes"), "there is no letter nobody"),
        (("discard", "some", "--cause", "bad_event", "--reason", "x"), "not both"),
        (("replay", "nobody"), "there is no letter nobody"),
        (("replay", "nobody", "noone"), "there is no letter nobody"),
        (("replay", "--cancel", "nothing"), "there is no replay nothing"),
        (("resolve", "nobody", "--create"), "there is no letter nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(arguments: tuple[str, ...], why: str) -> None:
    done = look("dead", *arguments)

    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert why in done.output
    assert done.output.count("\n") == 1


def test_without_redis_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:redis-secret@127.0.0.1:1/0")

    done = look("dead", "list")

    assert done.exit_code == 1
    assert "Error: Redis does not do its work" in done.output
    assert "redis-secret" not in done.output


# --- show ------------------------------------------------------------------------------------------------------------


def test_a_conflict_shows_both_sides_beside_what_was_agreed() -> None:
    filed = file_conflict()

    page = look("dead", "show", filed.id, "--reveal").output

    row = next(line for line in page.splitlines() if line.lstrip().startswith("name"))
    assert row.index("Ромашка") < row.index("Лютик") < row.index("Василёк")
    assert "(blank)" in page
    assert "Say for each field which value is right." in page
    assert f"sync-worker dead resolve {filed.id} --take bitrix24" in page
    assert f"sync-worker dead discard {filed.id} --reason" in page


def test_values_are_masked_unless_revealed() -> None:
    filed = file_conflict(message="ООО Лютик (ИНН 7707083893, +7 495 123-45-67) is refused", event=onec_event(7).dump())
    for command in (("list",), ("show", filed.id), ("list", "--json"), ("show", filed.id, "--json")):
        masked, revealed = look("dead", *command).output, look("dead", *command, "--reveal").output

        assert [value for value in VALUES if value in masked] == []
        assert "is refused" in masked
        assert "Лютик" in revealed

    shown = figures("dead", "show", filed.id)
    assert shown["details"]["fields"]["phones"] == {"baseline": [], "bitrix24": ["***", "***"], "onec": []}
    assert shown["event"]["onec"]["data"] == {"name": "***"}
    assert figures("dead", "show", filed.id, "--reveal")["details"] == CONFLICT


def test_candidates_are_shown_with_the_commands_that_pick_them() -> None:
    refs = [str(COUNTERPARTY), str(OTHER_COUNTERPARTY)]
    filed = file_letter(cause="ambiguous_match", message="2 records match", details={"candidates": refs})

    page = look("dead", "show", filed.id).output

    for ref in refs:
        assert f"sync-worker dead resolve {filed.id} --pick {ref}" in page
    assert f"sync-worker dead resolve {filed.id} --create" in page
    assert figures("dead", "show", filed.id)["candidates"] == refs


def test_an_event_that_could_not_be_read_is_shown_without_a_replay() -> None:
    unreadable = {"record": None, "cause": "bad_event", "entity": "unknown", "event": {}}
    filed = file_letter(
        **unreadable, details={"raw": {"data": {"NAME": "Анна"}}, "errors": {}}, message="fits no schema"
    )

    page = look("dead", "show", filed.id).output

    assert "dead replay" not in page
    assert '{"data": {"NAME": "***"}}' in page
    assert "Анна" in look("dead", "show", filed.id, "--reveal").output


# --- resolve ---------------------------------------------------------------------------------------------------------


def test_a_side_for_each_field_settles_a_conflict(broker_url: str) -> None:
    filed = file_conflict()

    with worker_beside(broker_url) as flow:
        done = run("dead", "resolve", filed.id, "--take", "name=onec", "--set", "phones=8 495 123-45-69")

    assert (done.returncode, done.stdout) == (0, "decided: name: 1C's; phones: edited\nsettled\n")
    name, phones = CONFLICT["fields"]["name"], CONFLICT["fields"]["phones"]
    chosen = {
        "name": Choice(value="ООО Василёк", bitrix24=name["bitrix24"], onec=name["onec"]),
        "phones": Choice(value=["+74951234569"], bitrix24=phones["bitrix24"], onec=phones["onec"]),
    }
    assert flow.handled == [(filed.record, Decision(fields=chosen))]
    assert look("dead", "list").output == "no dead letters\n"


def test_a_letter_that_comes_back_is_told_with_its_cause(broker_url: str) -> None:
    filed = file_conflict()
    again = FieldConflict({"name": {"baseline": None, "bitrix24": "Новый Лютик", "onec": "В"}})

    with worker_beside(broker_url, contact42=again):
        done = run("dead", "resolve", filed.id, "--take", "bitrix24")
        as_json = run("dead", "resolve", filed.id, "--take", "bitrix24", "--json")

    assert done.returncode == as_json.returncode == 1
    assert done.stderr == f"Error: letter {filed.id} is back with field_conflict: both sides changed: name\n"
    told = json.loads(as_json.stdout)
    assert (told["outcome"], told["cause"], told["rule"]) == ("back", "field_conflict", None)


@pytest.mark.parametrize("text", [str(COUNTERPARTY), UUID])
def test_a_candidate_is_picked(broker_url: str, text: str) -> None:
    filed = file_letter(cause="ambiguous_match", details={"candidates": [str(COUNTERPARTY), str(OTHER_COUNTERPARTY)]})

    with worker_beside(broker_url) as flow:
        done = run("dead", "resolve", filed.id, "--pick", text, "--json")

    assert json.loads(done.stdout)["outcome"] == "settled"
    assert flow.handled == [(filed.record, Decision(pick=COUNTERPARTY))]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--take", "name=onec"), "missing: phones"),
        (("--take", "onec", "--set", "emails=a@b.ru"), "no conflict about 'emails'"),
        (("--create",), "missing: name, phones"),
        (("--take", "onec", "--reopen"), "not about a closed deal"),
        (("--set", "name=А", "--set", "phones=", "--always"), "--always wants to know whose value is right"),
        ((), "say what you decide"),
    ],
)
def test_a_decision_that_does_not_fit_changes_nothing(
    broker_url: str, arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    filed = file_conflict()

    done = look("dead", "resolve", filed.id, *arguments)

    assert done.exit_code == 1
    assert why in done.output
    assert the_office().get(filed.id) == filed
    assert waiting_for_workers(broker_url) == []
    assert (tmp_path / "sync.toml").read_text(encoding="utf-8") == RULES


def test_without_waiting_it_is_left_to_the_workers(broker_url: str) -> None:
    filed = file_conflict()

    done = run("dead", "resolve", filed.id, "--take", "onec", "--no-wait")
    twice = run("dead", "resolve", filed.id, "--take", "bitrix24", "--no-wait")

    assert done.returncode == 0
    assert "sent round" in done.stdout
    assert twice.returncode == 1
    assert "is being replayed already" in twice.stderr
    assert [event.letter for event in waiting_for_workers(broker_url)] == [filed.id]
    assert "being replayed" in look("dead", "list").output
    assert "under way since" in look("dead", "show", filed.id).output
    assert figures("dead", "list")["letters"][0]["decision"] == "name: 1C's; phones: 1C's"


def test_always_so_writes_the_owner_into_the_rules(broker_url: str, tmp_path: Path) -> None:
    filed = file_conflict()

    with worker_beside(broker_url):
        done = run("dead", "resolve", filed.id, "--take", "onec", "--set", "phones=", "--always", "--yes")

    assert done.returncode == 0, done.stderr
    assert '[owners.counterparty]\nname = "onec"\n' in done.stdout
    assert "restart the workers" in done.stdout
    written = (tmp_path / "sync.toml").read_text(encoding="utf-8")
    assert written == RULES + 'name = "onec"\n'


def test_always_so_is_printed_and_not_written_without_a_yes(broker_url: str, tmp_path: Path) -> None:
    filed = file_conflict()

    with worker_beside(broker_url):
        done = run("dead", "resolve", filed.id, "--take", "bitrix24", "--always", "--json")

    rule = json.loads(done.stdout)["rule"]
    assert rule["lines"] == '[owners.counterparty]\nname = "bitrix24"\nphones = "bitrix24"\n'
    assert not rule["written"]
    assert (tmp_path / "sync.toml").read_text(encoding="utf-8") == RULES


def test_rules_that_cannot_be_written_are_printed(broker_url: str, tmp_path: Path) -> None:
    filed = file_conflict()
    (tmp_path / "sync.toml").chmod(0o444)

    with worker_beside(broker_url):
        done = run("dead", "resolve", filed.id, "--take", "onec", "--always", "--yes")

    assert done.returncode == 1
    assert 'name = "onec"' in done.stdout
    assert "settled" in done.stdout
    assert "sync.toml is read-only; add the lines by hand" in done.stderr
    assert the_office().letters.get(filed.id) is None


def test_at_a_terminal_it_asks_field_by_field(broker_url: str) -> None:
    filed = file_conflict()
    master, slave = pty.openpty()
    command = [*COMMAND, "dead", "resolve", filed.id]

    with worker_beside(broker_url) as flow:
        process = subprocess.Popen(command, env=environment(), stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        os.write(master, b"y\nonec\nbitrix24\n")
        shown = read_all(master)
        code = process.wait(timeout=COMMAND_SECONDS)

    assert code == 0, shown
    assert "ООО Лютик" in shown
    assert "name: whose value is right?" in shown
    assert "decided: name: 1C's; phones: Bitrix24's" in shown
    assert [choice.value for choice in flow.handled[0][1].fields.values()] == ["ООО Василёк", [*PHONES]]


PHONES = ("+74951234567", "+74951234568")


def read_all(master: int) -> str:
    """What a program wrote to its terminal until it was done."""
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux says so when the last one who held the other end is gone
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    return b"".join(parts).decode()


# --- replay ----------------------------------------------------------------------------------------------------------


def test_one_letter_is_replayed_and_its_end_told(broker_url: str) -> None:
    first, second = no_cause(1), no_cause(2)

    with worker_beside(broker_url, contact2=NAMELESS):
        good, bad = run("dead", "replay", first), run("dead", "replay", second, "--json")

    assert (good.returncode, good.stdout) == (0, "settled\n")
    assert bad.returncode == 1
    assert json.loads(bad.stdout) == {
        "id": second,
        "outcome": "back",
        "cause": "no_counterparty",
        "message": str(NAMELESS),
    }


def test_a_whole_cause_is_replayed_with_its_count(broker_url: str) -> None:
    for number in range(5):
        no_cause(number)
    file_conflict(9)

    with worker_beside(broker_url, contact3=NAMELESS) as flow:
        done = run("dead", "replay", "--cause", "no_counterparty", "--json")

    counts = json.loads(done.stdout)["run"]
    assert (counts["total"], counts["closed"], counts["failed"], counts["is_over"]) == (5, 4, 1, True)
    assert done.returncode == 1
    assert "1 of 5 letters are back" in done.stderr
    assert [record.id for record, _ in flow.handled] == list("01234")
    assert sorted(one["record"]["id"] for one in figures("dead", "list")["letters"]) == ["3", "9"]


def test_letters_named_together_are_one_replay(broker_url: str) -> None:
    ids = [no_cause(number) for number in range(3)]

    with worker_beside(broker_url):
        done = run("dead", "replay", *ids[1:])

    assert done.returncode == 0
    assert ", over: 2 settled" in done.stdout
    assert figures("dead", "list")["letters"][0]["id"] == ids[0]


def test_nothing_to_replay_is_no_failure() -> None:
    assert look("dead", "replay", "--cause", "no_counterparty").output == "no letters to replay\n"
    assert figures("dead", "replay", "--all") == {"run": None}
    assert figures("dead", "replay", "--runs") == {"runs": []}


def test_a_replay_without_a_choice_of_letters_is_refused() -> None:
    assert look("dead", "replay").exit_code == 2
    assert look("dead", "replay", "--all", "--runs").exit_code == 2


def test_a_replay_is_listed_and_cancelled() -> None:
    for number in range(3):
        no_cause(number)

    started = figures("dead", "replay", "--all", "--no-wait")["run"]
    (listed,) = figures("dead", "replay", "--runs")["runs"]
    cancelled = figures("dead", "replay", "--cancel", started["id"])["run"]

    assert (listed["id"], listed["pending"], listed["is_over"]) == (started["id"], 3, False)
    assert (cancelled["pending"], cancelled["is_over"]) == (0, True)
    assert "cancelled by" in look("dead", "replay", "--runs").output
    acts = [deed["act"] for deed in figures("dead", "audit")["deeds"]]
    assert acts == [Act.CANCELLED, Act.REPLAYED]
    assert the_office().letters.count(Selection()) == 3


def test_ctrl_c_leaves_the_replay_running(broker_url: str) -> None:
    no_cause(1)
    process = subprocess.Popen(
        [*COMMAND, "dead", "replay", "--all"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    office = the_office()
    assert process.stdout is not None
    assert "1 letters" in process.stdout.readline()  # it is past what Ctrl-C would stop

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=COMMAND_SECONDS)

    (run_now,) = office.replays.page()
    assert process.returncode == 1
    assert f"dead replay --cancel {run_now.id}" in errors
    assert run_now.cancelled_at is None
    with worker_beside(broker_url):
        assert eventually(lambda: office.letters.count(Selection()) == 0)


# --- discard and audit -----------------------------------------------------------------------------------------------


def test_a_discarded_letter_is_gone_and_its_reason_kept() -> None:
    filed = file_conflict()

    done = look("dead", "discard", filed.id, "--reason", "a test record", "--yes")

    assert (done.exit_code, done.output) == (0, "1 discarded\n")
    assert the_office().letters.get(filed.id) is None
    (deed,) = figures("dead", "audit")["deeds"]
    assert (deed["act"], deed["letter"], deed["note"]) == ("discarded", filed.id, "a test record")
    assert (deed["record"]["id"], deed["cause"]) == ("42", "field_conflict")
    assert "@" in deed["by"]
    assert "a test record" in look("dead", "audit").output


def test_a_discard_asks_first() -> None:
    for number in range(3):
        no_cause(number)
    command = ("dead", "discard", "--cause", "no_counterparty", "--reason", "old")

    refused = look(*command, answer="n\n")
    unanswered = look(*command)
    assert figures("dead", "list")["letters"][2:]
    done = look(*command, answer="y\n")

    assert "Give 3 letters up for good?" in refused.output
    assert refused.exit_code == unanswered.exit_code == 1
    assert "3 discarded" in done.output
    assert figures("dead", "list")["letters"] == []


@pytest.mark.parametrize("arguments", [(), ("--reason", "x")])
def test_a_discard_needs_letters_and_a_reason(arguments: tuple[str, ...]) -> None:
    assert look("dead", "discard", *arguments).exit_code == 2


def test_a_blank_reason_is_none() -> None:
    filed = file_conflict()

    done = look("dead", "discard", filed.id, "--reason", "  ", "--yes")

    assert done.exit_code == 1
    assert the_office().get(filed.id) == filed


def test_an_audit_is_told_newest_first_and_in_pages() -> None:
    for number in range(3):
        look("dead", "discard", no_cause(number), "--reason", f"reason {number}", "--yes")

    first = figures("dead", "audit", "--limit", "2")
    second = figures("dead", "audit", "--limit", "2", "--after", first["next"])

    assert [deed["note"] for deed in (*first["deeds"], *second["deeds"])] == ["reason 2", "reason 1", "reason 0"]
    assert second["next"] is None


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["list", "show", "resolve", "replay", "discard", "audit"])
def test_each_command_has_examples_in_its_help(command: str) -> None:
    shown = look("dead", command, "--help")

    assert shown.exit_code == 0
    assert f"sync-worker dead {command}" in shown.output
