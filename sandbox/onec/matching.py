"""Whom an upsert means: the object it is linked to, the one it names, or none; and who would become its double."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.onec.records import Stored
from sandbox.onec.store import Store


class Rejected(Exception):
    """The item is not done; `code` is one of UpsertResult's, `about` the object where one is meant for sure."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        candidates: list[str] | None = None,
        about: Stored | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.candidates = candidates
        self.about = about


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The object an item is about, None where it has to be made, and the one that loses its link to it."""

    stored: Stored | None
    loser: Stored | None = None


def find_target(store: Store, type: str, external_id: str, key: Mapping[str, Any]) -> Target:
    """Resolve an item's key. Rejected: not_found for an unknown `ref`, duplicate for a link that is taken."""
    linked = store.find_linked(type, external_id)
    ref = key.get("ref")
    if ref is None:
        return Target(stored=linked)
    named = store.get(type, ref)
    if named is None:
        raise Rejected("not_found", "no such object", field="ref")
    loser = linked if linked is not None and linked.ref != ref else None
    taken = [named.ref] if named.external_id not in (None, external_id) else []
    taken += [loser.ref] if loser else []
    if taken and not key.get("relink"):
        raise Rejected("duplicate", "the link is taken", field="ref", candidates=taken)
    return Target(stored=named, loser=loser)


def refuse_double(store: Store, before: Stored | None, fields: Mapping[str, Any], allowed: list[str]) -> None:
    """Reject a counterparty that would have a double by its inn and kpp, unless a person listed all of them."""
    inn, kpp = fields["inn"], fields["kpp"]
    if before is not None and (before.fields["inn"], before.fields["kpp"]) == (inn, kpp):
        return
    doubles = sorted(one.ref for one in (store.find_by_inn(inn) if inn else []) if _is_double(one, before, kpp))
    if set(doubles) - set(allowed):
        message = "a counterparty with this inn is there already"
        raise Rejected("duplicate", message, field="inn", candidates=doubles, about=before)


def _is_double(other: Stored, before: Stored | None, kpp: str | None) -> bool:
    if other.deleted or (before is not None and other.ref == before.ref):
        return False
    return kpp is None or other.fields["kpp"] == kpp
