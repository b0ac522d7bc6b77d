"""Letters, groups and deeds as tables for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Column, Table

from sync_worker.cli.masking import hide, hide_in_text, hide_values, known_values, printable
from sync_worker.cli.records import short_name
from sync_worker.domain.letter import DeadLetter, Deed, Group
from sync_worker.errors import SyncError, all_causes
from sync_worker.sync.for_machines import group_for_machines, letter_for_machines, record_for_machines
from sync_worker.sync.office import LOST_AFTER, told

COLUMNS: tuple[str, ...] = ("id", "entity", "record", "cause", "message", "tries", "waiting", "last")
NARROW_COLUMNS: tuple[str, ...] = ("id", "record", "cause", "message", "waiting")
PADDING = 2  # characters around a cell
LEAST_MESSAGE, GOOD_MESSAGE = 20, 36  # characters; with less than the good ones there are fewer columns


def advice_for(cause: str) -> str:
    """The next step. Of a cause that no class of ours has, a fault of ours, the one that all have."""
    return all_causes().get(cause, SyncError).advice


def is_under_way(letter: DeadLetter, now: datetime) -> bool:
    """It is being replayed, and not lost on its way."""
    return letter.sent_at is not None and now - letter.sent_at < LOST_AFTER


def message_of(letter: DeadLetter, *, reveal: bool) -> str:
    return letter.message if reveal else hide_in_text(letter.message, known_values(letter))


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


# --- for machines ----------------------------------------------------------------------------------------------------


def summary(letter: DeadLetter, *, reveal: bool, now: datetime) -> dict[str, Any]:
    """One letter of `dead list --json` (design, part 5, and some keys more)."""
    return {
        **letter_for_machines(letter),
        "message": message_of(letter, reveal=reveal),
        "advice": advice_for(letter.cause),
        "under_way": is_under_way(letter, now),
        "decision": told(letter.decision) if letter.decision else None,
    }


def whole(letter: DeadLetter, *, reveal: bool, now: datetime) -> dict[str, Any]:
    """`dead show --json`: everything that is known of it."""
    return {
        **summary(letter, reveal=reveal, now=now),
        "trace": letter.trace,
        "code_version": letter.code_version,
        "details": dict(letter.details) if reveal else hide_values(letter.details, known_values(letter)),
        "event": dict(letter.event) if reveal else hidden_event(letter.event),
        "words": list(letter.words) if reveal else hide(letter.words),
        "deeds": [deed_for_machines(deed) for deed in letter.deeds],
    }


def hidden_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event names a record; one of 1C's carries its state as well."""
    onec = event.get("onec")
    return {**event, "onec": {**onec, "data": hide(onec.get("data"))}} if isinstance(onec, Mapping) else dict(event)


def deed_for_machines(deed: Deed) -> dict[str, Any]:
    return {
        "at": deed.at.isoformat(),
        "by": deed.by,
        "act": deed.act.value,
        "letter": deed.letter or None,
        "entity": deed.entity or None,
        "record": record_for_machines(deed.record),
        "cause": deed.cause or None,
        "note": deed.note,
    }


def group_summary(group: Group) -> dict[str, Any]:
    return {**group_for_machines(group), "topic": hide_in_text(group.topic), "advice": advice_for(group.cause)}


def group_table(groups: Iterable[Group]) -> Table:
    table = Table(
        Column("letters", justify="right", no_wrap=True),
        Column("entity", no_wrap=True),
        Column("cause", no_wrap=True),
        Column("about", no_wrap=True, overflow="ellipsis"),
        Column("group", no_wrap=True),
        box=None,
    )
    for group in groups:
        about = escape(printable(hide_in_text(group.topic)))
        table.add_row(str(group.count), escape(group.entity), escape(group.cause), about, escape(group.id))
    return table


def letter_table(letters: Iterable[DeadLetter], *, reveal: bool, now: datetime, width: int) -> Table:
    """One line a letter: its message is cut to what the other columns leave of the terminal."""
    rows = [_cells(letter, reveal=reveal, now=now) for letter in letters]
    names = COLUMNS if _message_room(COLUMNS, rows, width) >= GOOD_MESSAGE else NARROW_COLUMNS
    table = Table(box=None)
    for name in names:
        taken = _taken(name, rows)
        if name == "message":  # cut here: rich would take from the ids as well
            taken = max(LEAST_MESSAGE, min(taken, _message_room(names, rows, width)))
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=taken)
    for row in rows:
        table.add_row(*(escape(row[name]) for name in names))
    return table


def _taken(name: str, rows: Sequence[Mapping[str, str]]) -> int:
    """How wide a column has to be."""
    return max(cell_len(text) for text in (name, *(row[name] for row in rows)))


def _message_room(names: Iterable[str], rows: Sequence[Mapping[str, str]], width: int) -> int:
    """What the other columns leave."""
    return width - PADDING - sum(_taken(name, rows) + PADDING for name in names if name != "message")


def _cells(letter: DeadLetter, *, reveal: bool, now: datetime) -> dict[str, str]:
    replayed = "(being replayed) " if is_under_way(letter, now) else ""
    return {
        "id": letter.id,
        "entity": letter.entity,
        "record": short_name(letter.record),
        "cause": letter.cause,
        "message": replayed + printable(message_of(letter, reveal=reveal)),
        "tries": str(letter.attempts),
        "waiting": str(letter.waiting),
        "last": f"{letter.last_at.astimezone(UTC):%Y-%m-%d %H:%M}",
    }


def deed_table(deeds: Iterable[Deed]) -> Table:
    """Deeds about any letters."""
    names = ("at", "by", "act", "letter", "record", "cause", "note")
    table = Table(*(Column(name, no_wrap=name != "note") for name in names), box=None)
    for deed in deeds:
        about = (deed.letter, short_name(deed.record), deed.cause)
        table.add_row(*(escape(printable(cell)) for cell in (moment(deed.at), deed.by, deed.act, *about, deed.note)))
    return table
