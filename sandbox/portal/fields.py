"""One field of an object: its type, where it shows, and how a value is read, stored and printed.

Stored values are plain Python: int for ids, float for amounts, "Y"/"N" for flags, aware datetime, date, str, None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sandbox.portal.clock import MOSCOW
from sandbox.portal.names import camel
from sandbox.portal.params import as_int, as_list, is_true

INTEGERS = frozenset(
    (
        *("integer", "user", "employee", "location", "enumeration"),
        *(f"crm_{name}" for name in ("company", "contact", "lead", "quote", "category", "entity")),
    )
)
FLAGS = frozenset(("char", "boolean"))
_NOT_TEXT = INTEGERS | {"double", "datetime", "date", "file"}
_DATE_FORMS = ("%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d")


class NotValidError(ValueError):
    """A value that the field cannot hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field, under its stored name, which is also its name in the classic methods."""

    name: str
    kind: str = "string"  # the `type` of *.fields
    item: str | None = None  # its name in crm.item.*; None: not there
    shown: bool = True  # the classic get and list print it
    described: bool = True  # the classic *.fields lists it
    read_only: bool = False
    required: bool = False
    immutable: bool = False
    multiple: bool = False
    dynamic: bool = False  # a user field
    status_type: str | None = None  # the directory of a crm_status
    title: str | None = None
    default: Any = None
    blank: Any = None  # what the classic methods print for "nothing": null, or "" for some dates
    item_blank: Any = None  # the same in crm.item.*: null, or 0 for some references
    whole: bool = False  # an amount printed without decimals

    @property
    def label(self) -> str:
        return self.title or self.name.replace("_", " ").capitalize()


def text(name: str, **options: Any) -> Field:
    options.setdefault("item", camel(name))
    return Field(name=name, **options)


def of(kind: str, name: str, **options: Any) -> Field:
    options.setdefault("item", camel(name))
    return Field(name=name, kind=kind, **options)


def hidden(name: str, **options: Any) -> Field:
    """A field that crm.item.* does not have."""
    return Field(name=name, item=None, **options)


def listing(name: str, status_type: str, **options: Any) -> Field:
    return of("crm_status", name, status_type=status_type, **options)


def flag(name: str, default: str = "N", **options: Any) -> Field:
    return of("char", name, default=default, **options)


def computed(kind: str, name: str, **options: Any) -> Field:
    return of(kind, name, read_only=True, **options)


def parse_when(value: Any) -> datetime:
    """Read ISO 8601 or the site's own form; without an offset it is the server's time. NotValidError otherwise."""
    written = str(value).strip()
    for form in (None, *_DATE_FORMS):
        try:
            found = datetime.strptime(written, form) if form else datetime.fromisoformat(written)  # noqa: DTZ007
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=MOSCOW)).astimezone(MOSCOW).replace(microsecond=0)
    raise NotValidError(f"not a date: {written!r}")


def read(field: Field, value: Any, *, strict: bool = False) -> Any:
    """Turn a value from a request into the stored one. NotValidError for a bad date, when strict for any bad value."""
    if field.multiple:
        return [_read_one(field, item, strict=strict) for item in as_list(value) if item not in (None, "")]
    return _read_one(field, value, strict=strict)


def _read_one(field: Field, value: Any, *, strict: bool) -> Any:
    if field.kind in FLAGS:
        return "Y" if is_true(value) else "N"
    if value is None or value == "" or value is False:
        return None if value is None or field.kind in _NOT_TEXT else ""
    if field.kind in INTEGERS:
        return _number(field, value, strict=strict, cast=as_int)
    if field.kind == "double":
        return round(float(_number(field, value, strict=strict, cast=_as_float)), 6)
    if field.kind == "datetime":
        return parse_when(value)
    if field.kind == "date":
        return parse_when(value).date()
    if field.kind == "file":
        return None  # files are no part of this exchange
    if isinstance(value, dict | list):
        raise NotValidError(f"not a text: {value!r}")
    return "1" if value is True else str(value)


def _number(field: Field, value: Any, *, strict: bool, cast: Any) -> Any:
    if strict and (isinstance(value, dict | list) or not _is_number(value)):
        raise NotValidError(f"not a number for {field.name}: {value!r}")
    return cast(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _as_float(value: Any) -> float:
    return float(value) if _is_number(value) else 0.0


def classic(field: Field, value: Any) -> Any:
    """Print for the classic methods: strings, or null."""
    if field.multiple:
        return [classic_one(field, item) for item in value or []]
    return field.blank if value is None else classic_one(field, value)


def classic_one(field: Field, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return shown_date(value)
    if field.kind == "double" and not field.dynamic:
        return f"{value:.0f}" if field.whole else f"{value:.2f}"
    if field.dynamic and field.kind == "boolean":
        return "1" if value == "Y" else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)


def typed(field: Field, value: Any) -> Any:
    """Print for crm.item.*: numbers are numbers."""
    if field.multiple:
        return [typed_one(item) for item in value or []]
    return field.item_blank if value is None else typed_one(value)


def typed_one(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return shown_date(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown_date(value: date) -> str:
    """Print a pure date as the portal does: midnight UTC in the server's zone."""
    return f"{value.isoformat()}T03:00:00+03:00"


def describe(field: Field, *, title: str | None = None) -> dict[str, Any]:
    """Describe a field as *.fields does."""
    told: dict[str, Any] = {
        "type": field.kind,
        "isRequired": field.required,
        "isReadOnly": field.read_only,
        "isImmutable": field.immutable,
        "isMultiple": field.multiple,
        "isDynamic": field.dynamic,
    }
    if field.status_type:
        told["statusType"] = field.status_type
    told["title"] = title or field.label
    return told
