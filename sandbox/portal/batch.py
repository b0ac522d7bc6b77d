"""batch: up to 50 commands in one request, which may use each other's results.

HTTP is 200 even if every command failed; empty maps are `[]`.
Source: settings/how-to-call-rest-api/batch.md, read 2026-08.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.portal.errors import LostResultError, RestError, batch_too_long, not_for_batch
from sandbox.portal.params import as_map, is_true, parse_query, php_array

MOST_COMMANDS = 50
_REFERENCE = re.compile(r"\$result\[([^\]]*)\]((?:\[[^\]]*\])*)")
_STEP = re.compile(r"\[([^\]]*)\]")


@dataclass(kw_only=True, slots=True)
class Answer:
    """One method's answer, before it is put into an envelope."""

    result: Any
    time: dict[str, Any]
    total: int | None = None
    next: int | None = None


@dataclass(slots=True)
class Outcome:
    """The five maps of a batch, keyed like its commands."""

    results: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    nexts: dict[str, int] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, answer: Answer) -> None:
        self.results[key] = answer.result
        self.times[key] = answer.time
        if answer.total is not None:
            self.totals[key] = answer.total
        if answer.next is not None:
            self.nexts[key] = answer.next

    def as_json(self) -> dict[str, Any]:
        return {
            "result": php_array(self.results),
            "result_error": php_array(self.errors),
            "result_total": php_array(self.totals),
            "result_next": php_array(self.nexts),
            "result_time": php_array(self.times),
        }


def commands_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Read `cmd`, which may be an object or an array."""
    return {key: str(command) for key, command in (as_map(params.get("cmd")) or {}).items()}


def run(params: Mapping[str, Any], execute: Callable[[str, dict[str, Any]], Answer]) -> Outcome:
    """Run the commands one after the other; `execute` answers one or raises RestError."""
    outcome = Outcome()
    halts = is_true(params.get("halt"))
    for number, (key, command) in enumerate(commands_of(params).items()):
        try:
            outcome.add(key, _one(command, outcome.results, execute, is_extra=number >= MOST_COMMANDS))
        except RestError as refused:
            outcome.errors[key] = refused.body()
            if halts:
                break
        except LostResultError:
            continue  # its key is in none of the maps
    return outcome


def method_of(command: str) -> str:
    """Read the method of a command: `crm.contact.get?id=1`."""
    name = command.split("?", 1)[0].strip("/ ").lower()
    return name.removesuffix(".json")


def _one(
    command: str, results: Mapping[str, Any], execute: Callable[[str, dict[str, Any]], Answer], *, is_extra: bool
) -> Answer:
    if is_extra:
        raise batch_too_long()
    method = method_of(command)
    if method == "batch":
        raise not_for_batch()
    _name, _mark, query = command.partition("?")
    return execute(method, resolved(parse_query(query), results))


def resolved(value: Any, results: Mapping[str, Any]) -> Any:
    """Put results in place of `$result[key][FIELD][0]`. One that leads nowhere becomes an empty text."""
    if isinstance(value, Mapping):
        return {key: resolved(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, results) for item in value]
    if not isinstance(value, str) or "$result" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _follow(whole, results)
    return _REFERENCE.sub(lambda found: _as_text(_follow(found, results)), value)


def _follow(found: re.Match[str], results: Mapping[str, Any]) -> Any:
    here: Any = results.get(found[1], "")
    for step in _STEP.findall(found[2]):
        inner = as_map(here)
        if inner is None or step not in inner:
            return ""
        here = inner[step]
    return here


def _as_text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)
