"""`story`: what happened to one record, and to its partner on the other side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from sync_worker.cli.built import print_json, the_office
from sync_worker.cli.letters_shown import moment
from sync_worker.cli.masking import encodable, hide_in_text, hide_values, printable
from sync_worker.cli.records import record_meant
from sync_worker.domain.identity import System
from sync_worker.domain.letter import Act
from sync_worker.domain.story import StoryEntry
from sync_worker.entities.named import RECORD_ENTITIES
from sync_worker.sync.for_machines import record_for_machines

TITLES = {System.BITRIX24.value: "Bitrix24", System.ONEC.value: "1C"}


@click.command()
@click.argument("entity", type=click.Choice(RECORD_ENTITIES))
@click.argument("id_", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show values that may be personal data.")
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def story(entity: str, id_: str, reveal: bool, as_json: bool) -> None:
    """Tell what happened to a record: events, decisions, calls and outcomes, newest last.

    A number is an id in Bitrix24, a UUID one in 1C. What happened to its partner is told as well.

    \b
    Examples:
      sync-worker story contact 42
      sync-worker story counterparty 6f9619ff-8b86-d011-b42d-00c04fc964ff
      sync-worker story deal 7 --json
    """
    ref = record_meant(entity, id_)
    entries = the_office().story(ref)
    if as_json:
        found = [entry_for_machines(entry, reveal=reveal) for entry in entries]
        print_json(encodable({"record": record_for_machines(ref), "entries": found}))
        return
    if not entries:
        click.echo(f"nothing is known of {ref}; a story is kept for some months")
    for entry in entries:
        for line in entry_lines(entry, reveal=reveal):
            click.echo(line)


def entry_for_machines(entry: StoryEntry, *, reveal: bool) -> dict[str, Any]:
    """Its facts stand beside the three keys that every entry has (design, part 5)."""
    facts = entry.facts if reveal else hide_values(entry.facts)
    always = {"at": entry.at.isoformat(), "what": str(entry.what), "trace": entry.trace}
    return always | {name: fact for name, fact in facts.items() if name not in always}


def entry_lines(entry: StoryEntry, *, reveal: bool) -> Iterator[str]:
    """When and what on the first line, and what belongs to it below."""
    facts = entry.facts
    is_deed = entry.what in tuple(Act)
    about = deed_text(facts, reveal=reveal) if is_deed else event_text(facts)
    yield f"{moment(entry.at)}  {entry.what:12} {printable(about)}".rstrip()
    if not is_deed:
        yield from (f"    {printable(line)}" for line in detail_lines(facts, reveal=reveal))


def event_text(facts: Mapping[str, Any]) -> str:
    sender = f"from {TITLES.get(str(facts['from']), facts['from'])}" if facts.get("from") else ""
    parts = (facts.get("entity"), facts.get("change"), sender, facts.get("lane"))
    return " ".join(str(part) for part in parts if part)


def deed_text(facts: Mapping[str, Any], *, reveal: bool) -> str:
    note = str(facts.get("note") or "")
    letter = f"letter {facts['letter']} ({facts.get('cause')})" if facts.get("letter") else ""
    told = (f"by {facts['by']}" if facts.get("by") else "", letter, note if reveal else hide_in_text(note))
    return ", ".join(part for part in told if part)


def detail_lines(facts: Mapping[str, Any], *, reveal: bool) -> Iterator[str]:
    if facts.get("calls"):
        yield f"calls: {', '.join(facts['calls'])}"
    for system, names in (facts.get("wrote") or {}).items():
        yield f"wrote in {TITLES.get(system, system)}: {', '.join(names)}"
    for lost in (facts.get("lost") or ()) if reveal else hide_values(facts.get("lost") or ()):
        where = TITLES.get(lost["system"], lost["system"])
        yield f"put right in {where}: {lost['field']} was {lost['value']}, is {lost['kept']}"
    if facts.get("cause"):
        message = str(facts.get("message") or "")
        yield f"{facts['cause']}: {message if reveal else hide_in_text(message)}"
    if facts.get("next"):
        yield f"next: {facts['next']}"
    if facts.get("letter"):
        yield f"dead letter {facts['letter']}"
