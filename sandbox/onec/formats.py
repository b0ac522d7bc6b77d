"""Which texts are well-formed, and their one canonical spelling. Pure; `Invalid` says what is wrong."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# Sums of long numbers must not be rounded on the way; the default of 28 digits would.
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)

MONEY_PLACES = 2
QUANTITY_PLACES = 3
LONGEST_DECIMAL = 32  # 1C's own numbers end there


class Invalid(ValueError):
    """A value that the contract does not allow. `field` is its path, such as `rows[0].price`."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def inside(self, parent: str) -> Invalid:
        """The same fault, named from one level further out."""
        joint = "" if not self.field or self.field.startswith("[") else "."
        return Invalid(self.message, field=f"{parent}{joint}{self.field}")


def parse_uuid(text: str) -> str:
    """The reference in lower case, as 1C writes it."""
    if not _UUID.fullmatch(text):
        raise Invalid("not a UUID")
    return text.lower()


def parse_email(text: str) -> str:
    if len(text) > 254 or not _EMAIL.fullmatch(text):
        raise Invalid("not an e-mail address")
    return text


def parse_date(text: str) -> str:
    if not _DATE.fullmatch(text):
        raise Invalid("not a date, YYYY-MM-DD")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise Invalid("no such date") from error


def parse_instant(text: str) -> float:
    """Seconds since 1970, cut to whole ones: 1C keeps no fractions."""
    if not _INSTANT.fullmatch(text):
        raise Invalid("not a time with an offset (RFC 3339)")
    try:
        return float(int(datetime.fromisoformat(text.upper()).timestamp() // 1))
    except (ValueError, OverflowError) as error:
        raise Invalid("no such time") from error


def format_instant(at_seconds: float, *, utc_offset_hours: int) -> str:
    """RFC 3339 in the base's own zone, whole seconds."""
    zone = timezone(timedelta(hours=utc_offset_hours))
    return datetime.fromtimestamp(int(at_seconds), zone).isoformat()


def parse_money(text: str) -> str:
    """Canonical money, two places always: "1200.5" and "01200.50" are both "1200.50"."""
    return f"{_parse_decimal(text, places=MONEY_PLACES):.2f}"


def parse_quantity(text: str) -> str:
    """Canonical quantity, no zeros at the end: "2.500" is "2.5"."""
    plain = f"{_parse_decimal(text, places=QUANTITY_PLACES):.3f}"
    return plain.rstrip("0").rstrip(".")


def _parse_decimal(text: str, *, places: int) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise Invalid("not a decimal")
    _, _, fraction = text.partition(".")
    if len(fraction.rstrip("0")) > places:
        raise Invalid(f"more than {places} decimal places")
    if len(text) > LONGEST_DECIMAL:
        raise Invalid(f"longer than {LONGEST_DECIMAL} characters")
    value = Decimal(text)
    return value if value else Decimal(0)  # no minus zero


def round_money(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01'), context=_EXACT):.2f}"


def multiply(left: str, right: str) -> Decimal:
    return _EXACT.multiply(Decimal(left), Decimal(right))


def add(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.add(left, right)
