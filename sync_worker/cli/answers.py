"""What a person typed about a letter becomes a decision: from options of the command line, or asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from sync_worker.cli.letter_page import value_text
from sync_worker.domain.identity import RecordRef, RecordType, System, parse_ref
from sync_worker.domain.letter import Choice, DeadLetter, Decision
from sync_worker.domain.rules import Owner
from sync_worker.entities.named import read_record
from sync_worker.entities.typed import ADDRESSES_FORM, read_typed
from sync_worker.sync.office import NotPossible, Options, choose_side, choose_value, options

SIDES = {Owner.BITRIX24.value: Owner.BITRIX24, Owner.ONEC.value: Owner.ONEC}
EDIT, NONE_OF_THEM = "edit", "new"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What was typed, as it was typed."""

    takes: tuple[str, ...] = ()  # "name=onec", or a side alone for all fields
    edits: tuple[str, ...] = ()  # "name=ООО Ромашка"
    pick: str | None = None
    create: bool = False
    reopen: bool = False

    @property
    def is_blank(self) -> bool:
        return self == _NO_ANSWERS


_NO_ANSWERS = Answers()


def read_decision(letter: DeadLetter, answers: Answers) -> Decision:
    """Errors: NotPossible says what was not understood, or what the letter has not."""
    return Decision(
        fields=read_choices(letter, answers),
        pick=read_pick(letter, answers.pick) if answers.pick else None,
        create=answers.create,
        reopen=answers.reopen,
    )


def read_choices(letter: DeadLetter, answers: Answers) -> dict[str, Choice]:
    sides, edits = read_sides(letter, answers), read_edits(answers.edits)
    if twice := sorted(sides.keys() & edits.keys()):
        raise NotPossible(f"--take and --set both speak of {', '.join(twice)}; say one of them")
    chosen = {name: choose_side(letter, name, side) for name, side in sides.items()}
    return chosen | {name: choose_value(letter, name, _typed(name, text)) for name, text in edits.items()}


def read_sides(letter: DeadLetter, answers: Answers) -> dict[str, Owner]:
    """The side of each field for which one was chosen. A side alone is for all fields that nothing else is said of."""
    named = dict(_read_pair(text) for text in answers.takes if "=" in text)
    everywhere = {_read_side(text) for text in answers.takes if "=" not in text}
    if len(everywhere) > 1:
        raise NotPossible("--take bitrix24 and --take onec contradict each other; name fields: --take FIELD=SIDE")
    fields = options(letter).fields
    if everywhere and not fields:
        raise NotPossible(f"letter {letter.id} is no conflict, so there is no side to take")
    edited = {text.partition("=")[0] for text in answers.edits}
    rest = {name: side for side in everywhere for name in fields if name not in edited}
    return rest | named


def _read_pair(text: str) -> tuple[str, Owner]:
    field, _, side = text.partition("=")
    return field.strip(), _read_side(side)


def _read_side(text: str) -> Owner:
    side = SIDES.get(text.strip().lower())
    if side is None:
        raise NotPossible(f"{text.strip()!r} is no side; it is bitrix24 or onec, such as --take name=onec")
    return side


def read_edits(edits: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for edit in edits:
        field, equals, text = edit.partition("=")
        if not equals:
            raise NotPossible(f"--set wants FIELD=VALUE, and not {edit!r}")
        found[field.strip()] = text
    return found


def _typed(field: str, text: str) -> Any:
    try:
        return read_typed(field, text)
    except ValueError as error:
        raise NotPossible(str(error)) from None


def read_pick(letter: DeadLetter, text: str) -> RecordRef:
    """A candidate by its name or its id alone; any other record by its name, for the office to judge."""
    wanted = text.strip().lower()
    for candidate in options(letter).candidates:
        if wanted in (str(candidate).lower(), candidate.key.lower(), candidate.id.lower()):
            return candidate
    try:
        return read_name(wanted)
    except ValueError as error:
        raise NotPossible(f"{text.strip()} names no record: {error}") from None


def read_name(text: str) -> RecordRef:
    """A record by "onec:counterparty:UUID", by "company:42", or by the UUID of a counterparty. Errors: ValueError."""
    if text.count(":") > 1:
        return parse_ref(text)
    type_, _, id_ = text.rpartition(":")
    return read_record(type_ or RecordType.COUNTERPARTY, id_)


# --- asked for -------------------------------------------------------------------------------------------------------


def ask(letter: DeadLetter) -> Answers:
    """Ask for all that the letter wants to know, field by field. Errors: NotPossible where it asks nothing."""
    offered = options(letter)
    if not offered.can_decide:
        raise NotPossible(f"there is nothing to decide about letter {letter.id}; mend its cause, then replay it")
    takes, edits = _ask_fields(offered.fields)
    answer = _ask_partner(offered)
    reopen = offered.can_reopen and click.confirm("May the closed deal be moved?")
    is_new = answer == NONE_OF_THEM
    pick = None if is_new else answer
    return Answers(takes=tuple(takes), edits=tuple(edits), pick=pick, create=is_new, reopen=reopen)


def _ask_fields(fields: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    takes: list[str] = []
    edits: list[str] = []
    for name in sorted(fields):
        said = click.prompt(f"{name}: whose value is right?", type=click.Choice([*SIDES, EDIT]))
        if said == EDIT:
            edits.append(f"{name}={_ask_value(name)}")
        else:
            takes.append(f"{name}={said}")
    return takes, edits


def _ask_value(field: str) -> str:
    """Ask until it can be read."""
    form = {"addresses": f" as JSON, such as {ADDRESSES_FORM}", "phones": ", commas between them"}
    form["emails"] = form["phones"]
    while True:
        text = str(click.prompt(f"{field}{form.get(field, '')} (blank clears it)", default="", show_default=False))
        try:
            click.echo(f"  both sides get: {value_text(read_typed(field, text))}")
        except ValueError as error:
            click.echo(f"  {error}")
        else:
            return text


def _ask_partner(offered: Options) -> str | None:
    """A record's name, NONE_OF_THEM, or None where there is nothing to choose."""
    if offered.names_in is not None:
        return _ask_name(offered)
    if not offered.candidates:
        return NONE_OF_THEM if offered.can_create and click.confirm("Begin anew with a new record?") else None
    numbered = {str(number): str(ref) for number, ref in enumerate(offered.candidates, start=1)}
    for number, name in numbered.items():
        click.echo(f"  {number}  {name}")
    if offered.can_create:
        click.echo(f"  {NONE_OF_THEM}  none of them: make a new record")
    said = str(click.prompt("Which is it?", type=click.Choice([*numbered, *[NONE_OF_THEM] * offered.can_create])))
    return numbered.get(said, said)


def _ask_name(offered: Options) -> str:
    """Any record may take the place of the one that is gone."""
    form = "a UUID" if offered.names_in is System.ONEC else "contact:ID or company:ID"
    anew = f", or `{NONE_OF_THEM}` for a new one" if offered.can_create else ""
    return str(click.prompt(f"Which record takes its place? ({form}{anew})")).strip()
