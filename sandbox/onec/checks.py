"""Checks of single values, and how they combine: a check takes what JSON gave and returns the canonical value.

Every check raises `Invalid`, named from the outermost field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.onec.formats import Invalid

Check = Callable[[Any], Any]
Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One schema: its checks by field, what a new record holds, and what a create cannot do without."""

    checks: Mapping[str, Check]
    blanks: Fields = field(default_factory=dict)
    required: tuple[str, ...] = ()


def read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("not a text")
    return value


def read_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid("not a boolean")
    return value


def text(parse: Callable[[str], str] = str) -> Check:
    """A text in a given format."""
    return lambda value: parse(read_text(value))


def pattern(expression: str) -> Check:
    compiled = re.compile(expression)

    def check(value: Any) -> str:
        if not compiled.fullmatch(read_text(value)):
            raise Invalid(f"does not match {expression}")
        return str(value)

    return check


def heading(*, max_length: int | None = None, blank: bool = True) -> Check:
    """A string attribute: 1C cuts the spaces at its end. Where `blank` is False, the form's fill check refuses it."""

    def check(value: Any) -> str:
        trimmed = read_text(value).rstrip(" ")
        if max_length is not None and len(value) > max_length:
            raise Invalid(f"longer than {max_length}")
        if not trimmed and not blank:
            raise Invalid("must be filled")
        return trimmed

    return check


def choice(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if read_text(value) not in allowed:
            raise Invalid(f"not one of {', '.join(allowed)}")
        return str(value)

    return check


def nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def array(check: Check) -> Check:
    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Invalid("not an array")
        return [_at(f"[{index}]", check, item) for index, item in enumerate(value)]

    return check_all


def nested(shape: Shape) -> Check:
    """An object inside a record; the fields it lacks are filled with the shape's blanks."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Invalid("not an object")
        for name in shape.required:
            if name not in value:
                raise Invalid("is missing", field=name)
        return {**shape.blanks, **read_fields(shape, value)}

    return check


def read_fields(shape: Shape, item: Fields) -> dict[str, Any]:
    """The known fields that are there, canonical; unknown ones are ignored."""
    return {name: _at(name, check, item[name]) for name, check in shape.checks.items() if name in item}


def _at(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except Invalid as fault:
        raise fault.inside(name) from None
