"""One portal's inside: its records, its clock, its event queue, and the one lock under which records change."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sandbox.portal import seed, userfields
from sandbox.portal.clock import PortalClock
from sandbox.portal.entities import Entity
from sandbox.portal.events import Events
from sandbox.portal.fields import Field, of
from sandbox.portal.settings import PortalSettings
from sandbox.portal.store import Store

_MULTIFIELDS = {
    name: of("crm_multifield", name, item=None, multiple=True) for name in ("PHONE", "EMAIL", "WEB", "IM", "LINK")
}


@dataclass(slots=True)
class World:
    """What every method works on. Whoever reads or changes `store` holds `lock`."""

    settings: PortalSettings
    clock: PortalClock
    events: Events
    store: Store = field(default_factory=Store)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _user_fields: dict[str, dict[str, Field]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seed.plant(self)

    def reset(self) -> None:
        """Make the portal fresh again."""
        with self.lock:
            self.store = Store()
            self._user_fields.clear()
            seed.plant(self)

    def user_fields(self, user_field_entity: str) -> dict[str, Field]:
        """List the user fields of an object, by stored name."""
        found = self._user_fields.get(user_field_entity)
        if found is None:
            found = self._user_fields[user_field_entity] = userfields.declared(self.store, user_field_entity)
        return found

    def forget_user_fields(self) -> None:
        """Look at the declarations again: one was added or removed."""
        self._user_fields.clear()

    def field(self, entity: Entity, name: str) -> Field | None:
        """Find a field by its stored name: own, user's, or a multifield."""
        found = entity.by_name.get(name) or self.user_fields(entity.user_field_entity).get(name)
        if found is None and entity.has_multifields:
            return _MULTIFIELDS.get(name)
        return found
