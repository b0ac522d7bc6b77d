"""`dead`: the dead letters. What waits for a person is listed, shown and given up here; who did what is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from sync_worker.cli.built import console, print_json, the_office
from sync_worker.cli.letter_page import show_letter
from sync_worker.cli.letters_shown import (
    deed_for_machines,
    deed_table,
    group_summary,
    group_table,
    letter_table,
    summary,
    whole,
)
from sync_worker.cli.masking import encodable
from sync_worker.cli.operator import operator
from sync_worker.cli.replay import replay
from sync_worker.cli.resolve import resolve
from sync_worker.cli.selections import filter_options, read_selection
from sync_worker.domain.letter import DeadLetter, Group, Selection
from sync_worker.sync.office import DeadLetterOffice, NotPossible

PAGE = 100
json_option = click.option("--json", "as_json", is_flag=True, help="For a machine.")
reveal_option = click.option("--reveal", is_flag=True, help="Show values that may be personal data.")


@click.group()
def dead() -> None:
    """Events that wait for a person: look at them, decide, send them round again, or give them up.

    \b
    Examples:
      sync-worker dead list                             what waits, by cause
      sync-worker dead show ID                          one letter, and what can be done
      sync-worker dead resolve ID --take name=onec      settle a conflict
      sync-worker dead replay --cause no_counterparty   try all letters of a cause again
    """


dead.add_command(resolve)
dead.add_command(replay)


# --- looking ---------------------------------------------------------------------------------------------------------


@dead.command("list")
@filter_options
@click.option("--search", "word", default=None, help="By a whole id (42, contact:42, a UUID), ИНН, e-mail or trace.")
@click.option("--groups", "only_groups", is_flag=True, help="Only how many there are of each cause.")
@click.option("--after", default=None, help="The `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=PAGE, show_default=True)
@reveal_option
@json_option
def list_letters(
    *,
    cause: str | None,
    entity: str | None,
    group: str | None,
    word: str | None,
    only_groups: bool,
    after: str | None,
    limit: int,
    reveal: bool,
    as_json: bool,
) -> None:
    """List the dead letters, oldest first; above them how many there are of each cause.

    \b
    Examples:
      sync-worker dead list --cause field_conflict --limit 20
      sync-worker dead list --entity deal --json
      sync-worker dead list --search 7707083893
    """
    office = the_office()
    selection = read_selection(office, cause=cause, entity=entity, group=group)
    has_groups = only_groups or (selection == Selection() and word is None and after is None)
    groups = office.groups() if has_groups else []
    letters, following = ([], None) if only_groups else _find(office, selection, word, after, limit)
    now = office.clock.now()
    if as_json:
        shown = {"letters": [summary(letter, reveal=reveal, now=now) for letter in letters], "next": following}
        print_json(encodable(shown | ({"groups": list(map(group_summary, groups))} if has_groups else {})))
    else:
        _show_list(groups, letters, following, reveal=reveal, now=now)


def _find(
    office: DeadLetterOffice, selection: Selection, word: str | None, after: str | None, limit: int
) -> tuple[list[DeadLetter], str | None]:
    if word is not None:
        return [letter for letter in office.letters.search(word, limit=limit) if _fits(letter, selection)], None
    try:
        return office.letters.page(selection, after=after, limit=limit)
    except ValueError as error:
        raise NotPossible(f"--after wants the `next` of a page, and not {after!r}") from error


def _fits(letter: DeadLetter, selection: Selection) -> bool:
    return selection.cause in (None, letter.cause) and selection.entity in (None, letter.entity)


def _show_list(
    groups: list[Group], letters: list[DeadLetter], following: str | None, *, reveal: bool, now: datetime
) -> None:
    if groups:
        console.print(group_table(groups))
    if groups and letters:
        click.echo()
    if letters:
        console.print(letter_table(letters, reveal=reveal, now=now, width=console.width))
    if following:
        click.echo(f"more: --after {following}")
    if not groups and not letters:
        click.echo("no dead letters")


@dead.command()
@click.argument("letter_id", metavar="ID")
@reveal_option
@json_option
def show(letter_id: str, reveal: bool, as_json: bool) -> None:
    """Show one letter: what happened, both sides, and what can be done about it.

    \b
    Example:
      sync-worker dead show 01k2f7c3v0m8q5z --reveal
    """
    office = the_office()
    letter, now = office.get(letter_id), office.clock.now()
    if as_json:
        print_json(encodable(whole(letter, reveal=reveal, now=now)))
    else:
        show_letter(letter, reveal=reveal, now=now)


@dead.command()
@click.option("--after", default=None, help="The `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=PAGE, show_default=True)
@json_option
def audit(after: str | None, limit: int, as_json: bool) -> None:
    """Tell who did what with the letters, newest first.

    \b
    Example:
      sync-worker dead audit --limit 20
    """
    office = the_office()
    try:
        deeds, following = office.audit.page(after=after, limit=limit)
    except ValueError as error:
        raise NotPossible(f"--after wants the `next` of a page, and not {after!r}") from error
    if as_json:
        print_json(encodable({"deeds": [deed_for_machines(deed) for deed in deeds], "next": following}))
        return
    if not deeds:
        click.echo("nobody did anything with a letter yet")
        return
    console.print(deed_table(deeds))
    if following:
        click.echo(f"more: --after {following}")


# --- giving up -------------------------------------------------------------------------------------------------------


@dead.command()
@click.argument("letter_ids", nargs=-1, metavar="[ID]...")
@filter_options
@click.option("--reason", required=True, help="Why; it is kept for whoever looks for the letter later.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def discard(
    *,
    letter_ids: tuple[str, ...],
    cause: str | None,
    entity: str | None,
    group: str | None,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Give letters up: their events are never tried again. What came after them goes on.

    \b
    Examples:
      sync-worker dead discard 01k2f7c3v0m8q5z --reason "a test record"
      sync-worker dead discard --cause bad_event --reason "a sender that is switched off"
    """
    office = the_office()
    selection = read_selection(office, ids=letter_ids, cause=cause, entity=entity, group=group)
    if selection == Selection():
        raise click.UsageError("name letters, or say which by --cause, --entity or --group")
    if not reason.strip():
        raise NotPossible("say why: --reason must not be blank")
    wanted = [office.get(letter_id).id for letter_id in selection.ids]
    asked_at, count = office.clock.now(), len(wanted) or office.letters.count(selection)
    if count and not yes:
        click.confirm(f"Give {count} letter{'s' * (count != 1)} up for good?", abort=True, err=True)
    given_up = sum(_give_up(office, id_, reason) for id_ in wanted or _ids(office, selection, before=asked_at))
    if as_json:
        print_json({"discarded": given_up, "asked_for": count})
    else:
        click.echo(f"{given_up} discarded" + (f"; {count - given_up} were gone already" * (given_up < count)))


def _ids(office: DeadLetterOffice, selection: Selection, *, before: datetime) -> Iterator[str]:
    """Of the letters as they were when the person was asked: what failed since is no part of the answer."""
    after: str | None = None
    while True:
        page, after = office.letters.page(selection, after=after)
        yield from (letter.id for letter in page if letter.last_at <= before)
        if after is None:
            return


def _give_up(office: DeadLetterOffice, letter_id: str, reason: str) -> bool:
    try:
        office.discard(letter_id, by=operator(), reason=reason)
    except NotPossible:
        return False  # settled or discarded by somebody else meanwhile
    return True
