"""`dead resolve`: a person decides, the workers carry it out, and the outcome is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sync_worker.cli.answers import Answers, ask, read_decision, read_sides
from sync_worker.cli.built import print_json, the_office
from sync_worker.cli.letter_page import show_letter
from sync_worker.cli.letters_shown import message_of
from sync_worker.cli.masking import encodable, printable
from sync_worker.cli.operator import is_at_terminal, operator
from sync_worker.cli.rules_file import NotWrittenError, write_owners
from sync_worker.cli.waiting import STILL_NOTE, Ending, Fate, await_fate
from sync_worker.domain.letter import DeadLetter
from sync_worker.domain.rules import Owner
from sync_worker.settings import load_settings
from sync_worker.sync.office import DeadLetterOffice, NotPossible, owner_rules, told

WAIT_SECONDS = 60


@click.command()
@click.argument("letter_id", metavar="ID")
@click.option("--take", "takes", multiple=True, metavar="[FIELD=]SIDE", help="This side's value: bitrix24 or onec.")
@click.option("--set", "edits", multiple=True, metavar="FIELD=VALUE", help="Another value; blank clears the field.")
@click.option("--pick", default=None, metavar="REF", help="This candidate is the partner.")
@click.option("--create", is_flag=True, help="None of the candidates is: make a new record.")
@click.option("--reopen", is_flag=True, help="The closed deal may be moved.")
@click.option("--always", is_flag=True, help="Always so: the side that was taken owns the field (sync.toml).")
@click.option("--yes", is_flag=True, help="With --always: write into sync.toml without asking.")
@click.option("--reveal", is_flag=True, help="Show values that may be personal data.")
@click.option("--no-wait", is_flag=True, help="Leave it to the workers.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def resolve(
    *,
    letter_id: str,
    takes: tuple[str, ...],
    edits: tuple[str, ...],
    pick: str | None,
    create: bool,
    reopen: bool,
    always: bool,
    yes: bool,
    reveal: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Decide about a letter, and send it round with the decision. Without options it asks.

    Phones and e-mails are typed with commas between them, addresses as JSON.

    \b
    Examples:
      sync-worker dead resolve ID
      sync-worker dead resolve ID --take bitrix24
      sync-worker dead resolve ID --take name=onec --set "phones=+7 495 123-45-67, +7 495 123-45-68"
      sync-worker dead resolve ID --take name=onec --always
      sync-worker dead resolve ID --pick onec:counterparty:6f9619ff-8b86-d011-b42d-00c04fc964ff
    """
    office = the_office()
    letter = office.get(letter_id)
    answers = Answers(takes=takes, edits=edits, pick=pick, create=create, reopen=reopen)
    if answers.is_blank:
        answers = _asked(office, letter, reveal=reveal, as_json=as_json)
    owners = read_sides(letter, answers)
    if always and not owners:
        raise NotPossible("--always wants to know whose value is right: --take FIELD=SIDE")
    decision = read_decision(letter, answers)
    sent = office.resolve(letter_id, decision, by=operator())
    if not as_json:
        click.echo(f"decided: {told(decision)}")
    rule = offer_rule(owners, yes=yes, is_quiet=as_json) if always else None
    ending = None if no_wait else await_fate(office, sent, seconds=WAIT_SECONDS, on_still=tell_still)
    if as_json:
        print_json({"id": letter.id, "decision": told(decision), "rule": rule} | ending_for_machines(ending, reveal))
    elif ending is None:
        click.echo(f"sent round; `sync-worker dead show {letter.id}` tells what became of it")
    tell_ending(ending, reveal=reveal, is_quiet=as_json)
    if rule and rule["fault"]:
        raise NotPossible(f"the rule is not in force: {rule['fault']}")


def _asked(office: DeadLetterOffice, letter: DeadLetter, *, reveal: bool, as_json: bool) -> Answers:
    if as_json or not is_at_terminal():
        raise NotPossible(
            f"say what you decide: `sync-worker dead show {letter.id}` lists the choices; at a terminal it is asked for"
        )
    reveal = reveal or click.confirm("A choice needs the values, which may be personal data. Show them?", default=True)
    show_letter(letter, reveal=reveal, now=office.clock.now())
    click.echo()
    return ask(letter)


# --- the rule --------------------------------------------------------------------------------------------------------


def offer_rule(owners: Mapping[str, Owner], *, yes: bool, is_quiet: bool) -> dict[str, Any]:
    """Print the rule, and write it where the person agrees.

    Shape: {"lines", "file", "written", "fault"}; `fault` says why what was agreed to could not be written.
    """
    path, lines = load_settings().sync_config, owner_rules(owners)
    rule: dict[str, Any] = {"lines": lines, "file": str(path), "written": False, "fault": None}
    if not is_quiet:
        click.echo(f"\nalways so, in {path}:\n\n{lines}")
    if not (yes or (not is_quiet and is_at_terminal() and click.confirm("Write it?"))):
        if not is_quiet:
            click.echo("not written; --yes writes it, or add it by hand")
        return rule
    try:
        is_new = write_owners(path, owners)
    except NotWrittenError as error:
        return rule | {"fault": f"{error}; add the lines by hand, then restart the workers"}
    if not is_quiet:
        click.echo(
            f"{'written' if is_new else f'{path} says so already'}; restart the workers: they read it when they start"
        )
    return rule | {"written": is_new}


# --- the outcome -----------------------------------------------------------------------------------------------------


def tell_still() -> None:
    click.echo(STILL_NOTE, err=True)


def ending_for_machines(ending: Ending | None, reveal: bool) -> dict[str, Any]:
    """`outcome`: settled | back | under_way. A letter that is back has a cause and a message."""
    if ending is None:
        return {"outcome": Fate.UNDER_WAY.value, "cause": None, "message": None}
    is_back = ending.fate is Fate.BACK
    found = {
        "outcome": ending.fate.value,
        "cause": ending.letter.cause if is_back else None,
        "message": message_of(ending.letter, reveal=reveal) if is_back else None,
    }
    return dict(encodable(found))


def tell_ending(ending: Ending | None, *, reveal: bool, is_quiet: bool) -> None:
    """Errors: NotPossible where the letter is back, or nothing is known of it yet."""
    if ending is None:
        return
    letter = ending.letter
    if ending.fate is Fate.BACK:
        raise NotPossible(
            f"letter {letter.id} is back with {letter.cause}: {printable(message_of(letter, reveal=reveal))}"
        )
    if ending.fate is Fate.UNDER_WAY:
        raise NotPossible(f"letter {letter.id} is still under way; it goes on by itself (`dead show {letter.id}`)")
    if not is_quiet:
        click.echo("settled")
