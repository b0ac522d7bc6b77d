from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sync_worker.cli.answers import Answers, ask, read_decision, read_sides
from sync_worker.domain.letter import Choice, DeadLetter, Decision
from sync_worker.domain.rules import Owner
from sync_worker.sync.office import NotPossible, refuse_unfit
from tests.contract.store_worlds import COMPANY, COUNTERPARTY, OTHER_COUNTERPARTY, UUID, letter

NAME = {"baseline": "А", "bitrix24": "Б", "onec": "В"}
PHONES = {"baseline": [], "bitrix24": ["+74951234567"], "onec": ["+74951234568"]}
CONFLICT = letter(details={"fields": {"name": NAME, "phones": PHONES}})
CANDIDATES = [str(COUNTERPARTY), str(OTHER_COUNTERPARTY)]
AMBIGUOUS = letter(cause="ambiguous_match", details={"candidates": CANDIDATES})
BROKEN = letter(cause="link_broken", details={"gone": str(COUNTERPARTY), "subject": str(COMPANY)})


def chosen(one: dict[str, Any], value: Any) -> Choice:
    return Choice(value=value, bitrix24=one["bitrix24"], onec=one["onec"])


@pytest.mark.parametrize(
    ("answers", "name", "phones"),
    [
        (Answers(takes=("bitrix24",)), "Б", ["+74951234567"]),
        (Answers(takes=("onec",)), "В", ["+74951234568"]),
        (Answers(takes=("name=onec", "phones=bitrix24")), "В", ["+74951234567"]),
        (Answers(takes=("onec", "phones=bitrix24")), "В", ["+74951234567"]),
        (
            Answers(takes=("onec",), edits=("phones=8 495 123-45-69, +74951234567",)),
            "В",
            ["+74951234567", "+74951234569"],
        ),
        (Answers(takes=("phones=onec",), edits=("name=  ООО   Ромашка = 1 ",)), "ООО Ромашка = 1", ["+74951234568"]),
        (Answers(takes=("name=onec",), edits=("phones=",)), "В", []),
        (Answers(takes=("phones=onec",), edits=("name=",)), None, ["+74951234568"]),
    ],
)
def test_a_side_or_a_value_is_chosen_for_each_field(answers: Answers, name: Any, phones: Any) -> None:
    decision = read_decision(CONFLICT, answers)

    assert decision == Decision(fields={"name": chosen(NAME, name), "phones": chosen(PHONES, phones)})
    refuse_unfit(decision, CONFLICT)


@pytest.mark.parametrize(
    ("filed", "answers", "why"),
    [
        (CONFLICT, Answers(takes=("left",)), "'left' is no side"),
        (CONFLICT, Answers(takes=("name=shared",)), "'shared' is no side"),
        (CONFLICT, Answers(takes=("bitrix24", "onec")), "contradict"),
        (CONFLICT, Answers(takes=("inn=onec",)), "no conflict about 'inn'; it has: name, phones"),
        (CONFLICT, Answers(takes=("name=onec",), edits=("name=Г",)), "both speak of name"),
        (CONFLICT, Answers(edits=("name",)), "wants FIELD=VALUE"),
        (CONFLICT, Answers(edits=("emails=a@b.ru, c",)), "'c' is no e-mail"),
        (AMBIGUOUS, Answers(takes=("onec",)), "is no conflict"),
        (AMBIGUOUS, Answers(pick="Ромашка"), "names no record"),
    ],
)
def test_what_was_not_understood_is_said(filed: DeadLetter, answers: Answers, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        read_decision(filed, answers)


@pytest.mark.parametrize("text", [UUID, UUID.upper(), f"counterparty:{UUID}", f"onec:counterparty:{UUID}"])
def test_a_candidate_is_picked_by_its_name_or_its_id(text: str) -> None:
    assert read_decision(AMBIGUOUS, Answers(pick=text)) == Decision(pick=COUNTERPARTY)


@pytest.mark.parametrize("text", [str(COUNTERPARTY), UUID, f"contact:{UUID}"])
def test_any_record_may_be_named_in_the_place_of_one_that_is_gone(text: str) -> None:
    decision = read_decision(BROKEN, Answers(pick=text))

    assert decision == Decision(pick=COUNTERPARTY)
    refuse_unfit(decision, BROKEN)


def test_what_is_no_candidate_is_the_offices_to_refuse() -> None:
    decision = read_decision(AMBIGUOUS, Answers(pick="company:42"))

    with pytest.raises(NotPossible, match="none of the candidates"):
        refuse_unfit(decision, AMBIGUOUS)


def test_only_taken_sides_make_a_rule() -> None:
    assert read_sides(CONFLICT, Answers(takes=("onec",), edits=("phones=",))) == {"name": Owner.ONEC}


# --- asked for -------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    answers: Answers | None = None
    shown: str = ""
    exit_code: int = 0


def asked(filed: DeadLetter, *typed: str) -> Asked:
    """What `ask` made of what a person typed, line by line."""
    found = Asked()

    @click.command()
    def command() -> None:
        found.answers = ask(filed)

    done = CliRunner().invoke(command, input="".join(f"{line}\n" for line in typed))
    found.shown, found.exit_code = done.output, done.exit_code
    return found


def test_a_conflict_is_asked_field_by_field() -> None:
    found = asked(CONFLICT, "onec", "edit", "8 495 123-45-69")

    assert found.answers == Answers(takes=("name=onec",), edits=("phones=8 495 123-45-69",))
    assert "both sides get: +74951234569" in found.shown


def test_a_value_that_cannot_be_read_is_asked_for_again() -> None:
    filed = letter(details={"fields": {"emails": {"baseline": [], "bitrix24": ["a@b.ru"], "onec": []}}})

    found = asked(filed, "edit", "nonsense", "c@d.ru")

    assert "'nonsense' is no e-mail address" in found.shown
    assert found.answers == Answers(edits=("emails=c@d.ru",))


def test_a_wrong_side_is_asked_for_again() -> None:
    filed = letter(details={"fields": {"name": NAME}})

    assert asked(filed, "both", "bitrix24").answers == Answers(takes=("name=bitrix24",))


def test_a_candidate_is_chosen_by_its_number() -> None:
    assert asked(AMBIGUOUS, "2").answers == Answers(pick=str(OTHER_COUNTERPARTY))
    assert asked(AMBIGUOUS, "new").answers == Answers(create=True)


def test_the_place_of_what_is_gone_is_asked_for() -> None:
    assert asked(BROKEN, UUID).answers == Answers(pick=UUID)


def test_a_closed_deal_is_reopened_on_a_yes_only() -> None:
    closed = letter(cause="deal_closed", details={})

    assert asked(closed, "y").answers == Answers(reopen=True)
    assert asked(closed, "n").answers == Answers()


def test_a_letter_that_asks_nothing_says_so() -> None:
    with pytest.raises(NotPossible, match="nothing to decide"):
        ask(letter(cause="no_counterparty", details={}))
