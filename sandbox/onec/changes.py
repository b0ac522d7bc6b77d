"""What was changed by hand and not confirmed yet: one entry an object, at the place of its last change.

This is the exchange plan's table of registered changes. It keeps no state of objects: readers look at the newest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

STATUS = "status"  # an order's status moved
CONTENT = "content"  # anything else of the object


@dataclass(kw_only=True, slots=True)
class Registration:
    """An object's unconfirmed changes. `places` are sequences of writes, the newest per kind of change."""

    type: str
    ref: str
    event_id: str = ""
    occurred_at: float = 0.0  # of the last change, seconds since 1970
    places: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> int:
        return max(self.places.values())


@dataclass(slots=True)
class Changes:
    """The registered changes, oldest first. The store's lock guards it."""

    _entries: dict[tuple[str, str], Registration] = field(default_factory=dict)

    def register(
        self, type: str, ref: str, *, kinds: Iterable[str], place: int, event_id: str, at: float
    ) -> Registration:
        """Note a change made by the write numbered `place`; the object's entry moves to the end."""
        entry = self._entries.pop((type, ref), None) or Registration(type=type, ref=ref)
        entry.event_id, entry.occurred_at = event_id, at
        entry.places.update(dict.fromkeys(kinds, place))
        self._entries[type, ref] = entry
        return entry

    def confirm(self, place: int) -> None:
        """Forget everything up to `place`; what changed since stays."""
        for key, entry in list(self._entries.items()):
            entry.places = {kind: at for kind, at in entry.places.items() if at > place}
            if not entry.places:
                del self._entries[key]

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._entries.values())
