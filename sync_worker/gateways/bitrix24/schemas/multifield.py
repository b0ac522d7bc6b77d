"""Phones and e-mails as the old CRM methods have them. Source: reference/bitrix24 3.1, "Multi-fields exactly"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sync_worker.domain.values import normalise_all

_TO_KIND = {"WORK": "work", "MOBILE": "mobile", "HOME": "home", "FAX": "fax"}
_FROM_KIND = {kind: code for code, kind in _TO_KIND.items()}

Normalise = Callable[[object], str | None]


def read_values(entries: Sequence[Mapping[str, Any]] | None, normalise: Normalise) -> list[str]:
    """Normalised values; the portal leaves the whole key out when there are none."""
    return normalise_all((entry.get("VALUE") for entry in entries or ()), normalise)


def read_kinds(entries: Sequence[Mapping[str, Any]] | None, normalise: Normalise) -> dict[str, str]:
    """Value -> work, mobile, home, fax or other."""
    kinds: dict[str, str] = {}
    for entry in entries or ():
        if value := normalise(entry.get("VALUE")):
            kinds.setdefault(value, _TO_KIND.get(str(entry.get("VALUE_TYPE")), "other"))
    return kinds


def new_entries(values: Sequence[str], kinds: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"VALUE": value, "VALUE_TYPE": _FROM_KIND.get(kinds.get(value, "work"), "OTHER")} for value in values]


def changed_entries(
    entries: Sequence[Mapping[str, Any]] | None, wanted: Sequence[str], kinds: Mapping[str, str], normalise: Normalise
) -> list[dict[str, str]]:
    """What to send so that exactly `wanted` remains.

    Leaving an entry out never deletes it, and sending it without its ID adds it once more: so the kept ones are not
    mentioned, the unwanted are deleted by ID, and only the missing are added. What is no value to us (an e-mail
    without @) was typed by a person for a reason, and stays.
    """
    present = {normalise(entry.get("VALUE")) for entry in entries or ()}
    removed = [
        {"ID": str(entry["ID"]), "DELETE": "Y"}
        for entry in entries or ()
        if (value := normalise(entry.get("VALUE"))) and value not in wanted
    ]
    return removed + new_entries([value for value in wanted if value not in present], kinds)
