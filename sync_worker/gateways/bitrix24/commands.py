"""One method call, what it may be joined with, and what several that left together came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sync_worker.errors import SyncError
from sync_worker.gateways.bitrix24.query import has_reference_text, references
from sync_worker.gateways.fence import Fence, no_fence

MAX_BATCH = 50
_WRITES = ("add", "update", "set", "delete", "register", "unregister")


@dataclass(frozen=True, kw_only=True, slots=True)
class ById:
    """A read of one record by its id, which a list by many ids answers just as well."""

    id: str
    list_method: str
    params: tuple[tuple[str, Any], ...] = ()  # of the list, beside the filter by id; hashable: equal ones are joined
    id_field: str = "ID"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One method call; several leave together as a batch."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    by_id: ById | None = None

    @property
    def is_write(self) -> bool:
        return self.method.rpartition(".")[2] in _WRITES

    def alone(self) -> Command:
        """The same, never as a row of a list."""
        return replace(self, by_id=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Commands of one caller, which leave in one request. With `halt` each needs the one before it to succeed."""

    commands: Mapping[str, Command]
    halt: bool = False
    is_loose: bool = False  # independent of one another: some of them may leave without the rest
    fence: Fence = no_fence

    @property
    def is_write(self) -> bool:
        return any(command.is_write for command in self.commands.values())

    @property
    def leaves_alone(self) -> bool:
        """`halt` is said for a whole batch, so a chain would stop strangers' commands; and see `is_spoilt`."""
        return (self.halt and len(self.commands) > 1) or self.is_spoilt

    @property
    def is_spoilt(self) -> bool:
        """True where a text contains `$result[`, which the portal would resolve inside of a batch."""
        return any(has_reference_text(command.params) for command in self.commands.values())

    def joinable(self) -> set[str]:
        """The reads that may become a row of a list: nothing refers to them, and no write has to come before them.

        None of a chain: a row that is missing in a list would not stop it.
        """
        if self.is_write or (self.halt and len(self.commands) > 1):
            return set()
        referred = {reference.key for command in self.commands.values() for reference in references(command.params)}
        return {key for key, command in self.commands.items() if command.by_id} - referred


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The answers of a group by key: a result or an error each. A command that did not run has neither."""

    results: Mapping[str, Any]
    errors: Mapping[str, SyncError] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()  # asked for in a list by ids, and not in it: ask each by itself

    def get(self, key: str) -> Any:
        """The result; raises the command's own error."""
        if key in self.errors:
            raise self.errors[key]
        return self.results.get(key)

    def has(self, key: str) -> bool:
        return key in self.results or key in self.errors

    def with_more(self, other: Batch) -> Batch:
        return Batch(results={**self.results, **other.results}, errors={**self.errors, **other.errors})
