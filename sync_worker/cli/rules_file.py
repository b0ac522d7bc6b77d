"""Writing an owner into sync.toml, as a person would: everything else in the file stays as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from sync_worker.domain.rules import Owner
from sync_worker.sync_toml import load_rules

TABLE = ("owners", "counterparty")


class NotWrittenError(Exception):
    """The file is as it was; the message says why."""


def with_owners(text: str, owners: Mapping[str, Owner]) -> str:
    """The file's text with these owners in it; comments, order and form stay.

    Errors: tomlkit.exceptions.TOMLKitError, TypeError where a table's name stands for something else.
    """
    document = tomlkit.parse(text)
    place: MutableMapping[str, Any] = document
    for name, is_super in zip(TABLE, (True, False), strict=True):
        if name not in place:
            place[name] = tomlkit.table(is_super_table=is_super)
        place = place[name]
    with _before_the_tail(place):
        for field, owner in owners.items():
            place[field] = owner.value
    written = tomlkit.dumps(document)
    return written.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in text else written


@contextmanager
def _before_the_tail(table: MutableMapping[str, Any]) -> Iterator[None]:
    """What the block adds comes before the comments at the table's end: those mostly speak of the next one."""
    body = table.value.body if isinstance(table, Table) else []
    tail = []
    while body and body[-1][0] is None:
        tail.append(body.pop()[1])
    yield
    body.extend((None, item) for item in reversed(tail))


def write_owners(path: Path, owners: Mapping[str, Owner]) -> bool:
    """Put the owners into the file, checked first. False where it says so already.

    Errors: NotWrittenError.
    """
    target = path.resolve()  # where it is a link, the file behind it is the one to replace
    if not target.is_file():
        raise NotWrittenError(f"{path} is not there")
    if not os.access(target, os.W_OK) or not target.stat().st_mode & 0o222:
        raise NotWrittenError(f"{path} is read-only")
    try:
        before = target.read_bytes().decode("utf-8")
        after = with_owners(before, owners)
        if after == before:
            return False
        _replace(target, after)
    except OSError as error:  # a file that a container was given alone can be written and not replaced
        raise NotWrittenError(f"{path} cannot be written: {error.strerror}") from error
    except (TOMLKitError, UnicodeDecodeError, TypeError) as error:
        raise NotWrittenError(f"{path} cannot be edited: {error}") from error
    return True


def _replace(target: Path, text: str) -> None:
    """Through a file beside it, so that nobody ever reads half of it."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        if faults := load_rules(beside)[1]:
            told = "; ".join(fault.replace(str(beside), target.name) for fault in faults)
            raise NotWrittenError(f"the rule does not fit: {told}")
        shutil.copymode(target, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
