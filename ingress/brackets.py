"""Form bodies with PHP's bracket notation, as Bitrix24 sends them: `data[FIELDS][ID]=42`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

MAX_FIELDS = 1000  # PHP's own max_input_vars
MAX_DEPTH = 8  # levels in a name; a deeper one is taken as it stands, without nesting

_NAME = re.compile(r"([^\[]+)((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")


def parse_brackets(form: bytes) -> dict[str, Any]:
    """The nested mapping that a urlencoded body or query string means.

    Shape: texts and mappings only. `a[0]=x`, and `a[]=x` alike, become `{"a": {"0": "x"}}`. Of two values for one
    name the last one counts. What is no UTF-8 becomes U+FFFD.
    Errors: ValueError for more than MAX_FIELDS fields.
    """
    root: dict[str, Any] = {}
    text = form.decode("utf-8", "replace")
    for name, value in parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS):
        _put(root, _split(name), value)
    return root


def _split(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    keys = _KEY.findall(match[2]) if match else []
    return [match[1], *keys] if match and len(keys) < MAX_DEPTH else [name]


def _put(node: dict[str, Any], path: list[str], value: str) -> None:
    for depth, key in enumerate(path[:-1]):
        name = _name_in(node, key) if depth else key
        child = node.get(name)
        if not isinstance(child, dict):
            child = node[name] = {}
        node = child
    last = path[-1]
    node[_name_in(node, last) if len(path) > 1 else last] = value


def _name_in(node: dict[str, Any], key: str) -> str:
    """`key`, or for `[]` the next free index."""
    if key:
        return key
    index = len(node)
    while str(index) in node:
        index += 1
    return str(index)
