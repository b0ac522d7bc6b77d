"""PHP's bracket notation, which batch commands are written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

REFERENCE = "$result["


@dataclass(frozen=True, slots=True)
class Result:
    """Stands in params for what an earlier command of the same group answers: Result("requisites", (0, "ID"))."""

    key: str
    path: tuple[str | int, ...] = ()

    def text(self, prefix: str = "") -> str:
        """`$result[key][0][ID]`. Source: reference, Batch 2.5."""
        return f"{REFERENCE}{prefix}{self.key}]" + "".join(f"[{step}]" for step in self.path)

    def follow(self, results: Mapping[str, Any]) -> Any:
        """What the portal would put in its place: an empty text where it leads nowhere."""
        here: Any = results.get(self.key, "")
        for step in self.path:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return ""
        return here


def command_text(method: str, params: Mapping[str, Any], *, prefix: str = "") -> str:
    """`method?filter[ID]=1&...` with every value URL-encoded. `prefix` stands before the key of each Result.

    Source: reference, Batch 2.5; tests/samples/bitrix24/batch.request.json
    """
    pairs = "&".join(f"{quote(key, safe='[]')}={quote(value, safe='')}" for key, value in _pairs(params, prefix))
    return f"{method}?{pairs}" if pairs else method


def references(value: Any) -> Iterator[Result]:
    """All Results in params."""
    if isinstance(value, Result):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from references(inner)


def resolved(value: Any, results: Mapping[str, Any]) -> Any:
    """Params with each Result replaced by what it stands for."""
    if isinstance(value, Result):
        return value.follow(results)
    if isinstance(value, Mapping):
        return {key: resolved(inner, results) for key, inner in value.items()}
    return [resolved(inner, results) for inner in value] if isinstance(value, (list, tuple)) else value


def has_reference_text(value: Any) -> bool:
    """True where somebody's text looks like a reference. Nothing escapes it inside of a batch."""
    if isinstance(value, Mapping):
        return any(has_reference_text(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(map(has_reference_text, value))
    return isinstance(value, str) and REFERENCE in value


def _pairs(value: Any, prefix: str, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(inner, prefix, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _pairs(inner, prefix, f"{name}[{index}]")
        if not value and name:
            yield name, ""  # PHP has no way to write an empty array; an empty value clears as well
    else:
        yield name, value.text(prefix) if isinstance(value, Result) else _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "1" if value else "0"
    return str(value)
