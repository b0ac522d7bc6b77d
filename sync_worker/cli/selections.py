"""Which letters a command is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sync_worker.domain.identity import EntityKind
from sync_worker.domain.letter import Selection
from sync_worker.errors import all_causes
from sync_worker.sync.office import DeadLetterOffice, NotPossible

NOT_READ = "unknown"  # the entity of an event that could not be read that far
BUG = "internal_error"  # the cause of what no class of ours foresaw
ENTITIES = (*(kind.value for kind in EntityKind), NOT_READ)

F = TypeVar("F", bound=Callable[..., Any])


def filter_options(command: F) -> F:
    """--cause, --entity and --group."""
    for option in (
        click.option("--group", default=None, metavar="ID", help="Only letters of this group (`dead list --groups`)."),
        click.option("--entity", default=None, type=click.Choice(ENTITIES), help="Only letters of this kind of work."),
        click.option("--cause", default=None, help="Only letters of this cause, such as field_conflict."),
    ):
        command = option(command)
    return command


def read_selection(
    office: DeadLetterOffice,
    *,
    ids: tuple[str, ...] = (),
    cause: str | None,
    entity: str | None,
    group: str | None,
) -> Selection:
    """Errors: NotPossible for a cause that there is not, or ids and filters at once."""
    if ids and (cause or entity or group):
        raise NotPossible("name letters, or say which ones by --cause, --entity or --group; not both")
    if cause and not is_cause(cause) and cause not in office.letters.count_by_cause():
        raise NotPossible(f"there is no cause {cause}; there are: {', '.join(sorted((*all_causes(), BUG)))}")
    return Selection(ids=tuple(dict.fromkeys(ids)), cause=cause, entity=entity, group=group)


def is_cause(name: str) -> bool:
    return name in all_causes() or name == BUG
