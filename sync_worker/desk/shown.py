"""How things look on a page: plain text, which the templates escape. Nothing here talks to anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sync_worker.domain.identity import RecordRef, RecordType, System
from sync_worker.domain.letter import DeadLetter, Decision, ReplayRun, Selection
from sync_worker.entities.contact import ADDRESS_PARTS, address_line
from sync_worker.entities.typed import ADDRESS_KINDS
from sync_worker.errors import SyncError, all_causes

CARDS = {
    RecordType.CONTACT: "contact",
    RecordType.COMPANY: "company",
    RecordType.DEAL: "deal",
    RecordType.LEAD: "lead",
}
SYSTEMS = {System.BITRIX24.value: "Bitrix24", System.ONEC.value: "1C"}
DECIDED = ("fields", "candidates")  # details that have a place of their own on a letter's page
TOLD = (
    "entity",
    "lane",
    "change",
    "from",
    "cause",
    "message",
    "next",
    "letter",
    "wrote",
    "lost",
    "by",
    "note",
    "calls",
)


def moment(at: datetime) -> str:
    """To the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def title(cause: str) -> str:
    """A cause in words, to be translated."""
    return cause.replace("_", " ")


def advice(cause: str) -> str:
    """The next step; for a cause that is in no table, what the base of all errors says."""
    return all_causes().get(cause, SyncError).advice


def card_address(portal_origin: str, ref: RecordRef | None) -> str | None:
    """The record's card on the portal, of those that have one."""
    if ref is None or ref.system is not System.BITRIX24 or ref.type not in CARDS:
        return None
    return f"{portal_origin}/crm/{CARDS[ref.type]}/details/{ref.id}/"


def lines(value: Any) -> list[str]:
    """A field's value, one line for each of several."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, (list, tuple)):
        return [_line(item) for item in value]
    return _line(value).splitlines()


def _line(value: Any) -> str:
    if isinstance(value, Mapping):
        return address_line(value) if "kind" in value else pretty(value)
    return str(value)


def kinds(value: Any) -> list[str]:
    """The kind of each line where the value is a list of addresses."""
    return [str(item["kind"]) for item in value or () if isinstance(item, Mapping) and "kind" in item]


def is_list(values: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) for value in values.values())


def is_long(values: Mapping[str, Any]) -> bool:
    """True where one line is no place to edit it."""
    return any("\n" in str(value) for value in values.values())


def is_addresses(values: Mapping[str, Any]) -> bool:
    return any(kinds(value) for value in values.values() if isinstance(value, list))


def address_parts(value: Any) -> Mapping[str, Mapping[str, str]]:
    """kind -> part -> text, with every kind and part there is."""
    found = {item["kind"]: item for item in value or () if isinstance(item, Mapping) and "kind" in item}
    return {kind: {part: str(found.get(kind, {}).get(part) or "") for part in ADDRESS_PARTS} for kind in ADDRESS_KINDS}


def suggestion(values: Mapping[str, Any]) -> Any:
    """What an edited value starts from."""
    return values.get("bitrix24") or values.get("onec")


def encode(text: str | bytes) -> bytes:
    """For the wire. What is no character becomes a question mark."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def other_details(letter: DeadLetter) -> Mapping[str, str]:
    """Details that have no place of their own."""
    found = {
        name: value for name, value in letter.details.items() if name not in DECIDED and value not in (None, "", {})
    }
    return {name: value if isinstance(value, str) else pretty(value) for name, value in found.items()}


def other_facts(facts: Mapping[str, Any]) -> Mapping[str, str]:
    """What a story's entry says beside the facts that the page has a place for."""
    return {
        name: value if isinstance(value, str) else pretty(value) for name, value in facts.items() if name not in TOLD
    }


def chosen(decision: Decision | None, field: str, values: Mapping[str, Any]) -> str:
    """Which side a kept decision took for a field: "bitrix24", "onec", "other"; blank where none was taken."""
    choice = decision.fields.get(field) if decision else None
    if choice is None:
        return ""
    return next((side for side in SYSTEMS if values.get(side) == choice.value), "other")


def meant(selection: Selection) -> list[str]:
    """The filters of a replay."""
    given = (selection.entity, selection.cause and title(selection.cause), selection.group)
    return [str(part) for part in given if part]


def done_of(run: ReplayRun) -> int:
    """Letters of a replay that need no more waiting."""
    return run.closed + run.failed + run.skipped
