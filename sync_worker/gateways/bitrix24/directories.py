"""What changes seldom on a portal and is asked often: users, our own fields, and the default invoice category."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sync_worker.domain.identity import RecordType
from sync_worker.domain.values import normalise_email, text_or_none
from sync_worker.errors import Misconfigured, RemoteRejected
from sync_worker.gateways.bitrix24.client import Bitrix24Client
from sync_worker.gateways.bitrix24.schemas import ONEC_ID_FIELD

LIFE_SECONDS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    id: str
    email: str | None  # None where the webhook's scope does not show e-mails (user_brief)
    name: str | None


@dataclass(kw_only=True, slots=True)
class Directories:
    """Answers from memory for ten minutes. Shared by the threads of one process."""

    client: Bitrix24Client
    monotonic: Callable[[], float]
    _kept: dict[tuple[str, str], tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def user(self, id_: object) -> User | None:
        """The user of this id; None for nobody, or somebody whom the webhook may not see."""
        text = text_or_none(id_)
        if not text or text == "0":
            return None
        found: User | None = self._recall("user", text, lambda: self._find_user({"ID": text}))
        return found

    def user_by_email(self, email: str | None) -> User | None:
        wanted = normalise_email(email)
        if wanted is None:
            return None
        found: User | None = self._recall("email", wanted, lambda: self._find_user({"EMAIL": wanted}, email=wanted))
        return found

    def require_onec_field(self, type_: RecordType) -> None:
        """Make sure that a 1C ref written into records of this type will be kept.

        The portal ignores fields that it has not, and announces the change all the same: each try to mark a record
        would call for the next one. Errors: Misconfigured where the field is missing; that is not remembered.
        """
        self._recall("field", type_, lambda: self._find_onec_field(type_))

    def invoice_category(self, wanted: int) -> int:
        """The smart invoice category to use; 0 asks for the portal's default one."""
        return wanted or int(self._recall("category", "31", self._default_invoice_category))

    def _find_user(self, user_filter: dict[str, Any], *, email: str | None = None) -> User | None:
        """A webhook without the scope `user` knows nobody, and no record stops for that; `doctor` says so."""
        try:
            rows = self.client.call("user.get", FILTER=user_filter) or []
        except (Misconfigured, RemoteRejected):
            return None
        users = map(_user, rows)
        # a filter that the scope does not allow is ignored, and anybody would come back
        return next((user for user in users if email is None or user.email == email), None)

    def _find_onec_field(self, type_: RecordType) -> bool:
        try:
            found = self.client.call(f"crm.{type_}.userfield.list", filter={"FIELD_NAME": ONEC_ID_FIELD})
        except (RemoteRejected, Misconfigured):
            return True  # no right to look: `doctor` says so
        if not found:
            raise Misconfigured(f"the portal has no field {ONEC_ID_FIELD} in a {type_}: run `sync-worker setup`")
        return True

    def _default_invoice_category(self) -> int:
        answer = self.client.call("crm.category.list", entityTypeId=31) or {}
        categories = answer.get("categories") or []
        for category in categories:
            if category.get("isDefault") == "Y":
                return int(category["id"])
        if not categories:
            raise RemoteRejected(
                "the portal has no smart invoice category; switch smart invoices on, or set invoices.kind"
            )
        return int(categories[0]["id"])

    def _recall(self, kind: str, key: str, ask: Callable[[], Any]) -> Any:
        now = self.monotonic()
        with self._lock:
            kept = self._kept.get((kind, key))
        if kept and kept[0] > now:
            return kept[1]
        value = ask()
        with self._lock:
            self._kept[(kind, key)] = (now + LIFE_SECONDS, value)
        return value


def _user(row: dict[str, Any]) -> User:
    name = " ".join(part for part in (text_or_none(row.get("LAST_NAME")), text_or_none(row.get("NAME"))) if part)
    return User(id=str(row["ID"]), email=normalise_email(row.get("EMAIL")), name=name or None)
