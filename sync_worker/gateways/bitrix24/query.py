"""PHP's bracket notation, which batch commands are written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote


def command_text(method: str, params: Mapping[str, Any]) -> str:
    """`method?filter[ID]=1&...` with every value URL-encoded.

    References such as `$result[key][ID]` travel in values as they are: the portal resolves them after decoding.
    Source: reference, Batch 2.5; tests/samples/bitrix24/batch.request.json
    """
    pairs = "&".join(f"{quote(key, safe='[]')}={quote(value, safe='')}" for key, value in _pairs(params))
    return f"{method}?{pairs}" if pairs else method


def _pairs(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(inner, f"{prefix}[{key}]" if prefix else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _pairs(inner, f"{prefix}[{index}]")
        if not value and prefix:
            yield prefix, ""  # PHP has no way to write an empty array; an empty value clears as well
    else:
        yield prefix, _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "1" if value else "0"
    return str(value)
