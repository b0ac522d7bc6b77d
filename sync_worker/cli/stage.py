"""The two systems of the demo as a person at their pages sees them: forms to fill in, and what is there now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

JSON = {"Accept": "application/json"}
POLL_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Real HTTP to both systems' pages and to the door that shows all they hold."""

    portal_url: str
    onec_url: str
    http: requests.Session = field(default_factory=requests.Session)

    def portal_form(self, path: str, **values: Any) -> int:
        """Fill in a form of the portal; return the record's id."""
        return int(self._post(f"{self.portal_url}/ui/{path}", values)["id"])

    def onec_form(self, path: str, **values: Any) -> str:
        """Fill in a form of the base; return the record's ref."""
        return str(self._post(f"{self.onec_url}/ui/{path}", values)["ref"])

    def onec_faults(self, spec: str) -> None:
        self.http.post(f"{self.onec_url}/_sandbox/faults", json={"spec": spec}, timeout=10).raise_for_status()

    def robot(self, url: str, deal_id: int) -> None:
        """Let the portal's automation robot call its outgoing webhook."""
        order = {"url": url, "entity": "DEAL", "id": deal_id}
        self.http.post(f"{self.portal_url}/_sandbox/robot", json=order, timeout=10).raise_for_status()

    def portal(self, type_: str, id_: int | str) -> dict[str, Any]:
        """One record of the portal, by its type in /_sandbox/state; {} where it is not there."""
        rows = self._state(self.portal_url)[type_]
        key = "id" if type_ == "smart_invoices" else "ID"
        return next((row for row in rows if str(row[key]) == str(id_)), {})

    def portal_all(self, type_: str) -> list[dict[str, Any]]:
        return list(self._state(self.portal_url)[type_])

    def onec(self, type_: str, **conditions: Any) -> dict[str, Any]:
        """The one record of the base that has these values; {} for none or several."""
        found = [
            row for row in self.onec_all(type_) if all(row.get(name) == value for name, value in conditions.items())
        ]
        return found[0] if len(found) == 1 else {}

    def onec_all(self, type_: str) -> list[dict[str, Any]]:
        return list(self._state(self.onec_url)[type_])

    def refusals(self) -> int:
        """How often the portal said that we are too fast."""
        journal = self.http.get(f"{self.portal_url}/_sandbox/journal", timeout=10).json()
        return int(journal["counters"]["refused_503"]) + int(journal["counters"]["refused_429"])

    def _post(self, url: str, values: Mapping[str, Any]) -> dict[str, Any]:
        reply = self.http.post(url, data=values, headers=JSON, timeout=10)
        reply.raise_for_status()
        return dict(reply.json())

    def _state(self, url: str) -> dict[str, list[dict[str, Any]]]:
        reply = self.http.get(f"{url}/_sandbox/state", timeout=10)
        reply.raise_for_status()
        return dict(reply.json())


def wait_for(look: Callable[[], Any], *, seconds: float) -> Any:
    """Look until there is something to see; return it, or None when the time is up."""
    give_up_at = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        if time.monotonic() > give_up_at:
            return None
        time.sleep(POLL_SECONDS)
