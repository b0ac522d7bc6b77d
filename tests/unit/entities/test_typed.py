from __future__ import annotations

from typing import Any

import pytest

from sync_worker.entities.contact import FIELDS
from sync_worker.entities.typed import read_typed


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("name", "  ООО   Ромашка ", "ООО Ромашка"),
        ("full_name", "", None),
        ("inn", "77 0708 3893", "7707083893"),
        ("kpp", " 7736a1001 ", "7736A1001"),
        ("ogrn", " ", None),
        ("emails", "B@example.com, a@example.com,, b@example.com", ["a@example.com", "b@example.com"]),
        ("emails", " ", []),
        ("phones", "8 495 123-45-67, +7 (495) 123-45-66", ["+74951234566", "+74951234567"]),
        ("responsible", " Boss@Example.com ", "boss@example.com"),
        ("responsible", "", None),
        ("comment", "one \r\ntwo ", "one\ntwo"),
        ("addresses", "", []),
        ("addresses", "[]", []),
        (
            "addresses",
            '[{"kind": "postal", "city": " Тверь "}, {"kind": "legal", "city": "Москва", "unit": ""}]',
            [{"kind": "legal", "city": "Москва"}, {"kind": "postal", "city": "Тверь"}],
        ),
    ],
)
def test_what_was_typed_becomes_the_canonical_value(field: str, text: str, value: Any) -> None:
    assert read_typed(field, text) == value


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("emails", "a@b.ru, c", "'c' is no e-mail"),
        ("responsible", "Осипова", "is no e-mail"),
        ("addresses", "Москва", "typed as JSON"),
        ("addresses", '{"kind": "legal"}', "are a list"),
        ("addresses", '[{"city": "Москва"}]', "has a kind"),
        ("addresses", '[{"kind": "legal", "house": "1"}]', "has no house"),
        ("addresses", '[{"kind": "legal", "city": "А"}, {"kind": "legal", "city": "Б"}]', "one address of a kind"),
        ("colour", "red", "cannot be edited"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_the_field_wants(field: str, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_typed(field, text)


@pytest.mark.parametrize("field", [one.name for one in FIELDS])
def test_every_field_of_a_counterparty_can_be_typed_and_cleared(field: str) -> None:
    assert not read_typed(field, "")
