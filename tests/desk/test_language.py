"""Whatever a page can say, it can say in Russian."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tornado import locale

from sync_worker.contract import Change
from sync_worker.desk.language import FOLDER, load_languages, translate_sentence
from sync_worker.desk.shown import advice, title
from sync_worker.domain.identity import EntityKind, Lane
from sync_worker.domain.letter import Act
from sync_worker.domain.outcome import Outcome
from sync_worker.entities.contact import ADDRESS_PARTS, FIELDS
from sync_worker.entities.typed import ADDRESS_KINDS
from sync_worker.errors import all_causes
from tests.services import ROOT

DESK = ROOT / "sync_worker" / "desk"
ROWS = list(csv.reader((FOLDER / "ru.csv").read_text(encoding="utf-8").splitlines()))
RUSSIAN = dict(ROWS)
CAUSES = sorted({*all_causes(), "internal_error"})
WHAT = [*Outcome, "failed", "waited", "dead_letter", *Act]
REFUSALS = {  # file -> (what it raises, functions whose refusals no form of ours can bring about)
    ROOT / "sync_worker" / "sync" / "office.py": ("NotPossible", ()),
    DESK / "typed.py": ("NotPossible", ()),
    ROOT / "sync_worker" / "entities" / "typed.py": ("ValueError", ("_address", "_addresses")),
}


def said_in_templates() -> Iterator[str]:
    for path in (DESK / "templates").glob("*.html"):
        found = re.findall(r"""\b_\((?:"([^"]+)"|'([^']+)')\)""", path.read_text(encoding="utf-8"))
        yield from (double or single for double, single in found)


def said_in_code() -> Iterator[str]:
    """Arguments of `say`, and the constants that are sentences."""
    for path in DESK.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                yield ast.literal_eval(node.args[0])
        module = import_module(f"sync_worker.desk.{path.stem}" if path.stem != "__init__" else "sync_worker.desk")
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str) and re.fullmatch(r"[A-Z].* .*\.", value):
                yield value


def refusals(path: Path, error: str, unreachable: tuple[str, ...]) -> Iterator[str]:
    """What is raised there, with {} in the place of each value."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef) and function.name not in unreachable:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error:
                    yield from templates(node.args[0])


def remarks() -> Iterator[str]:
    """Every text with values in it that may become a letter's message."""
    for path in (*(ROOT / "sync_worker" / "sync").glob("*.py"), ROOT / "sync_worker" / "errors.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield from templates(node)


def templates(text: ast.expr) -> Iterator[str]:
    if isinstance(text, ast.Constant):
        yield str(text.value)
    elif isinstance(text, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in text.values)


SAID = sorted(
    {
        *said_in_templates(),
        *said_in_code(),
        *(text for path, (error, unreachable) in REFUSALS.items() for text in refusals(path, error, unreachable)),
    }
)
WORDS = [
    *map(title, CAUSES),
    *map(str, (*EntityKind, *Lane, *Change)),
    *(title(str(what)) for what in WHAT),
    *(field.name for field in FIELDS),
    *ADDRESS_KINDS,
    *ADDRESS_PARTS,
]
SAYABLE = {*SAID, *WORDS, *map(advice, CAUSES), *remarks()}
DETAILS = ["totals", "code", "field", "need", "gone", "subject", "raw", "errors"]
"""Keys of a letter's details, as the errors fill them."""


@pytest.fixture(scope="module")
def russian() -> locale.Locale:
    load_languages()
    return locale.get("ru")


@pytest.mark.parametrize("text", SAID)
def test_each_sentence_has_a_translation(text: str) -> None:
    assert RUSSIAN.get(text), f"locale/ru.csv has no {text!r}"


@pytest.mark.parametrize("word", sorted(set(WORDS)))
def test_each_word_has_a_translation(word: str) -> None:
    assert RUSSIAN.get(word), f"locale/ru.csv has no {word!r}"


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_advice_translated(cause: str) -> None:
    assert RUSSIAN.get(advice(cause)), f"locale/ru.csv has no {advice(cause)!r}"


def test_much_was_found_to_translate() -> None:
    """The walks above can fail: they see templates, code and refusals."""
    assert {"Settle it so, and replay", "Discarded: %(id)s.", "nothing is decided about letter {}"} <= set(SAID)
    assert len(SAID) > 100


@pytest.mark.parametrize(("english", "translated"), ROWS)
def test_a_translation_keeps_the_places_of_values(english: str, translated: str) -> None:
    assert sorted(re.findall(r"%\(\w+\)[sd]|\{\}", english)) == sorted(re.findall(r"%\(\w+\)[sd]|\{\}", translated))
    assert re.search("[А-Яа-я]", translated), f"{translated!r} is no Russian"


@pytest.mark.parametrize("english", RUSSIAN)
def test_nothing_is_translated_that_nobody_says(english: str) -> None:
    assert english in SAYABLE | set(DETAILS)


def test_nothing_is_translated_twice() -> None:
    assert len(RUSSIAN) == len(ROWS)


def test_a_sentence_with_values_is_translated(russian: locale.Locale) -> None:
    told = translate_sentence("there is no letter 1m6e; it may have been settled meanwhile", russian)

    assert told == "письма 1m6e нет; возможно, его уже разобрали"


def test_an_unknown_sentence_stays_as_it_is(russian: locale.Locale) -> None:
    assert translate_sentence("a remote's own words", russian) == "a remote's own words"
