"""Values that both sides write differently: normalised once, compared for ever.

The two libraries used here are pure tables of rules, with no I/O.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import phonenumbers
from stdnum.ru import inn as _inn

KOPECK = Decimal("0.01")
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")


def text_or_none(value: object) -> str | None:
    """Text with single spaces, or None for everything that either side uses to say "nothing"."""
    if value is None or value is False or isinstance(value, (list, dict)):
        return None
    return " ".join(str(value).split()) or None


def multiline_or_none(value: object) -> str | None:
    """Text whose line breaks count, such as a comment; None for nothing."""
    if value is None or isinstance(value, (list, dict, bool)):
        return None
    lines = [line.rstrip() for line in str(value).replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip() or None


def normalise_code(value: object) -> str | None:
    """ИНН, КПП, ОГРН: upper-case without spaces, or None. No judgement whether it is a valid one."""
    text = text_or_none(value)
    return re.sub(r"\s+", "", text).upper() if text else None


def is_inn(value: str | None) -> bool:
    """True for an ИНН of 10 or 12 digits whose check digits are right (reference: python-stdnum).

    Zeros pass the check, but people type them where a form insists on an ИНН: they name nobody.
    """
    return value is not None and bool(_inn.is_valid(value)) and bool(value.strip("0"))


def normalise_email(value: object) -> str | None:
    """Lower case, no space, no trailing dot; None where it is no address. `+tag` is kept: it is another mailbox."""
    text = (text_or_none(value) or "").lower().rstrip(".")
    return text if _EMAIL.match(text) else None


def normalise_phone(value: object, *, region: str = "RU") -> str | None:
    """E.164 where it can be told; else the digits as they stand, so that nothing typed by a person is lost."""
    text = text_or_none(value)
    if text is None:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_valid_number(number):
        return text
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{formatted};ext={number.extension}" if number.extension else formatted


def normalise_all(values: Iterable[object], normalise: Any) -> list[str]:
    """Sorted normalised values, each once: lists are compared as sets."""
    return sorted({text for text in map(normalise, values) if text})


def decimal_or_zero(value: object) -> Decimal:
    """Money or a quantity out of a string, a number or nothing. Floats go through their shortest text."""
    try:
        number = Decimal(str(value)) if value not in (None, "", False) else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def kopecks(value: Decimal) -> Decimal:
    return value.quantize(KOPECK, rounding=ROUND_HALF_UP)


def kopecks_up(value: Decimal) -> Decimal:
    """Up to the next kopeck: a price before discount must never be below what the row really costs."""
    return value.quantize(KOPECK, rounding=ROUND_CEILING)


def decimal_text(value: Decimal) -> str:
    """A contract's decimal: plain digits, no exponent, no zeros at the end beyond the point."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "") else text


def money_text(value: Decimal) -> str:
    return format(kopecks(value), "f")


def fingerprint(fields: Mapping[str, Any]) -> str:
    """A short hash of canonical fields: equal for equal content, whatever the order of keys."""
    canonical = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=12).hexdigest()


def join_name(last_name: object, name: object, second_name: object) -> str | None:
    """A person's name as 1C writes it: Фамилия Имя Отчество."""
    return text_or_none(" ".join(part for part in map(text_or_none, (last_name, name, second_name)) if part))


def split_name(full: str | None) -> tuple[str | None, str | None, str | None]:
    """(last name, name, second name) out of 1C's one line; what follows the second word is the second name."""
    parts = (full or "").split(maxsplit=2)
    last, first, second = (*parts, None, None, None)[:3]
    return last, first, second
