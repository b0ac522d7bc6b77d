"""Parameters as PHP reads them: bracket notation, and arrays that are lists and maps at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse_query(query: str) -> dict[str, Any]:
    """Read `fields[PHONE][0][VALUE]=1&select[]=ID`: every value is a string; maps keyed 0..n-1 become lists."""
    return parse_pairs(parse_qsl(query, keep_blank_values=True))


def parse_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        _put(tree, _path(key), value)
    return {name: _listed(value) for name, value in tree.items()}


def _path(key: str) -> list[str]:
    head, bracket, _rest = key.partition("[")
    return [head, *_BRACKETS.findall(key[len(head) :])] if bracket else [key]


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        step = name if name else _next_index(tree)
        if not isinstance(tree.get(step), dict):
            tree[step] = {}
        tree = tree[step]
    tree[path[-1] if path[-1] else _next_index(tree)] = value


def _next_index(tree: Mapping[str, Any]) -> str:
    return str(max((int(key) for key in tree if key.isdigit()), default=-1) + 1)


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item) for name, item in value.items()}
    return list(inner.values()) if is_list(inner) and inner else inner


def is_list(value: Mapping[Any, Any]) -> bool:
    """Say whether PHP would print this map as a JSON list: its keys are 0..n-1 in order."""
    return all(str(key) == str(index) for index, key in enumerate(value))


def php_array(value: Mapping[str, Any]) -> Any:
    """Print a map as PHP does: `[]` when empty, a list when its keys are 0..n-1."""
    return list(value.values()) if is_list(value) else dict(value)


def as_map(value: Any) -> dict[str, Any] | None:
    """Read an array either way as a map; None if it is no array."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return None


def as_list(value: Any) -> list[Any]:
    """Read an array or a single value as a list; nothing and an empty string are an empty one."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list):
        return value
    return [] if value in (None, "") else [value]


def as_int(value: Any) -> int:
    """Cast as PHP does: what is no number is 0."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def is_true(value: Any) -> bool:
    """Read PHP's and Bitrix24's several ways to say yes."""
    return value is True or (not isinstance(value, bool) and str(value).strip().lower() in {"1", "y", "true", "yes"})
