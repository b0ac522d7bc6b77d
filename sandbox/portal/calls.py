"""One call of a method: who asks, with which parameters, in which world; and the table of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.portal.errors import RestError, classic
from sandbox.portal.filters import Page
from sandbox.portal.params import as_int, as_map
from sandbox.portal.store import Record
from sandbox.portal.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A method being called. Top-level names of the classic methods come in any case: `get` finds them."""

    world: World
    user_id: int
    params: dict[str, Any]
    method: str = ""
    is_application: bool = False  # by OAuth, as a local application; else by a webhook

    def get(self, name: str, default: Any = None) -> Any:
        if name in self.params:
            return self.params[name]
        wanted = name.lower()
        return next((value for key, value in self.params.items() if key.lower() == wanted), default)

    def array(self, name: str, *, optional: bool = False) -> dict[str, Any]:
        """Read an array parameter, or refuse in the words of the classic methods."""
        value = self.get(name)
        if optional and value in (None, ""):
            return {}
        found = as_map(value)
        if found is None:
            raise classic(f"Parameter '{name}' must be array.")
        return found

    def record_id(self) -> int:
        """Read `id` of a classic method."""
        record_id = as_int(self.get("id"))
        if record_id <= 0:
            raise classic("ID is not defined or invalid.")
        return record_id

    @property
    def is_admin(self) -> bool:
        user = self.world.store.users.get(self.user_id)
        return bool(user and user["ADMIN"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """The answer of a list method: `total` and `next` stand beside `result`."""

    result: Any
    total: int
    next: int | None = None


def listed(page: Page, show: Callable[[Record], Any], *, wrap: str | None = None) -> Listed:
    """Print a page, as a bare list or under the key of its family."""
    shown = [show(record) for record in page.records]
    return Listed(result={wrap: shown} if wrap else shown, total=page.total, next=page.next)


Method = Callable[[Call], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A method in the table."""

    run: Method
    scope: str = "crm"


@dataclass(slots=True)
class Methods:
    """All methods by name, in lower case."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, name: str, run: Method, *, scope: str = "crm") -> None:
        self.entries[name.lower()] = Entry(run=run, scope=scope)

    def find(self, name: str) -> Entry | None:
        return self.entries.get(name.lower())


def denied_unless_admin(call: Call) -> None:
    if not call.is_admin:
        raise classic("Access denied.")


def no_value(name: str) -> RestError:
    return classic(f"{name} is not defined or invalid.")
