"""What may be personal data is hidden, unless --reveal: names of fields stay, their values go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sync_worker.domain.letter import DeadLetter
from sync_worker.telemetry import MASK

VALUES = ("fields", "raw", "value", "kept")
"""Keys of a letter's details, and of a story's lost values, that hold what stood in a record."""
_SHORTEST_WORD = 4  # a known value that is shorter is part of too many other words

_WORD = "[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?"
_TEXT = re.compile(
    r"(?P<kept>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a record's id in 1C
    r"|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)"  # a date
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # an e-mail
    r"|(?<![\w.])\+?\d[\s(-]*\d{3}[\s)-]+\d{3}[\s-]*\d\d[\s-]*\d\d\b"  # a phone, as people write it
    r"|(?<![\w.])\+?\d{10,20}\b"  # a phone, an ИНН, an account
    rf"|{_WORD}\s+(?:{_WORD}\s+{_WORD}\b|[А-ЯЁ]\.\s?[А-ЯЁ]\.)"  # Фамилия Имя Отчество, Фамилия И. О.
    rf"|(?<=[«\"']){_WORD}\s+{_WORD}(?=[»\"'])"  # «Фамилия Имя»
)


def hide(value: Any) -> Any:
    """Keys and emptiness stay."""
    if isinstance(value, Mapping):
        return {name: hide(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide(inner) for inner in value]
    return value if value is None or value == "" or isinstance(value, bool) else MASK


def hide_in_text(text: str, known: Iterable[str] = ()) -> str:
    """A message without what looks like personal data, and without the `known` values of its record.

    It goes by the form of e-mails, phones, numbers and full names; ids and dates stay.
    """
    for word in sorted({word for word in known if len(word) >= _SHORTEST_WORD}, key=len, reverse=True):
        text = text.replace(word, MASK)
    return _TEXT.sub(lambda found: found["kept"] or MASK, text)


def hide_values(value: Any, known: Iterable[str] = ()) -> Any:
    """A structure whose VALUES are hidden, and whose other texts are as `hide_in_text` leaves them."""
    if isinstance(value, Mapping):
        return {name: hide(inner) if name in VALUES else hide_values(inner, known) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_values(inner, known) for inner in value]
    return hide_in_text(value, known) if isinstance(value, str) else value


def known_values(letter: DeadLetter) -> frozenset[str]:
    """What is known to have stood in the letter's record."""
    stored = (letter.details.get(name) for name in VALUES)
    return frozenset((*letter.words, *(text for value in stored for text in _texts(value))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def printable(text: str) -> str:
    """One line without control characters: a remote's words shall not move the cursor, nor hold half a character."""
    return "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))


def encodable(value: Any) -> Any:
    """The same for every text inside a structure that is printed as JSON: only half characters have to go."""
    if isinstance(value, Mapping):
        return {encodable(name): encodable(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(inner) for inner in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
