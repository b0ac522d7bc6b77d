"""Values that both sides write differently."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.values import (
    decimal_or_zero,
    decimal_text,
    fingerprint,
    is_inn,
    join_name,
    kopecks,
    kopecks_up,
    money_text,
    multiline_or_none,
    normalise_all,
    normalise_code,
    normalise_email,
    normalise_phone,
    split_name,
    text_or_none,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  Ромашка \t\n ООО ", "Ромашка ООО"),
        (42, "42"),
        (0, "0"),
        ("", None),
        (" \n", None),
        (None, None),
        (False, None),  # Bitrix24's "nothing" of some fields
        ([], None),
        ({}, None),
    ],
)
def test_text_has_single_spaces_and_nothing_is_none(value: object, expected: str | None) -> None:
    assert text_or_none(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("звонить утром  \r\n\r\nпосле 10\r\n", "звонить утром\n\nпосле 10"),
        ("  отступ", "отступ"),
        (7, "7"),
        ("\r\n", None),
        (None, None),
        (False, None),
        ([], None),
    ],
)
def test_a_comment_keeps_its_lines(value: object, expected: str | None) -> None:
    assert multiline_or_none(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(" 7707 083893 ", "7707083893"), ("77360100a", "77360100A"), ("", None), (None, None), (False, None)],
)
def test_a_code_has_no_spaces_and_upper_case(value: object, expected: str | None) -> None:
    assert normalise_code(value) == expected


@pytest.mark.parametrize(
    ("inn", "expected"),
    [
        ("7707083893", True),
        ("500100732259", True),
        ("0100000004", True),  # a leading zero counts
        ("7707083894", False),  # wrong check digit
        ("500100732258", False),
        ("77070838", False),  # too short
        ("ABCDEFGHIJ", False),
        ("", False),
        (None, False),
        ("0000000000", False),  # passes the check digits, and names nobody
        ("000000000000", False),
    ],
)
def test_an_inn_is_told_by_its_length_and_check_digits(inn: str | None, expected: bool) -> None:
    assert is_inn(inn) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" Ivan@Example.COM ", "ivan@example.com"),
        ("ivan@example.com.", "ivan@example.com"),
        ("ivan+sales@example.com", "ivan+sales@example.com"),  # another mailbox
        ("иван@пример.рф", "иван@пример.рф"),
        ("ivan example.com", None),
        ("ivan@", None),
        ("@example.com", None),
        ("a@b@c", None),
        ("ivan @example.com", None),
        (None, None),
        (False, None),
    ],
)
def test_an_email_is_lower_case_or_none(value: object, expected: str | None) -> None:
    assert normalise_email(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8 (916) 123-45-67", "+79161234567"),
        ("+7 916 1234567", "+79161234567"),
        ("9161234567", "+79161234567"),
        ("89161234567", "+79161234567"),
        (89161234567, "+79161234567"),
        ("84951234567 доб. 12", "+74951234567;ext=12"),
        ("8 800 555-35-35", "+78005553535"),
        ("+375 29 123-45-67", "+375291234567"),
        ("123", "123"),  # parses, but is no valid number: kept as typed
        ("спросить у Ивана", "спросить у Ивана"),  # does not parse: kept as typed
        ("", None),
        (None, None),
    ],
)
def test_a_phone_is_e164_where_it_can_be_told(value: object, expected: str | None) -> None:
    assert normalise_phone(value) == expected


@pytest.mark.parametrize("phone", ["+79161234567", "+74951234567;ext=12", "+375291234567", "123"])
def test_a_normalised_phone_stays_as_it_is(phone: str) -> None:
    assert normalise_phone(phone) == phone


def test_a_list_is_a_sorted_set() -> None:
    values = ["b@example.com", " A@example.com", "", None, "B@example.com", "no address"]

    assert normalise_all(values, normalise_email) == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1200.50", "1200.50"),
        (0.1, "0.1"),
        (7, "7"),
        (0, "0"),
        ("", "0"),
        (None, "0"),
        (False, "0"),
        ("скоро", "0"),
        ([], "0"),
        ("NaN", "0"),
        ("Infinity", "0"),
    ],
)
def test_a_decimal_is_read_from_whatever_stands_there(value: object, expected: str) -> None:
    assert decimal_or_zero(value) == Decimal(expected)


@given(st.text() | st.floats() | st.none() | st.booleans() | st.integers())
def test_a_decimal_is_always_a_number(value: object) -> None:
    assert decimal_or_zero(value).is_finite()


@pytest.mark.parametrize(
    ("value", "rounded", "up"),
    [
        ("1.005", "1.01", "1.01"),
        ("1.004", "1.00", "1.01"),
        ("1.0001", "1.00", "1.01"),
        ("1.00", "1.00", "1.00"),
        ("-1.005", "-1.01", "-1.00"),
    ],
)
def test_kopecks_round_half_up_and_prices_always_up(value: str, rounded: str, up: str) -> None:
    assert (str(kopecks(Decimal(value))), str(kopecks_up(Decimal(value)))) == (rounded, up)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1E+3", "1000"), ("2.500", "2.5"), ("0.000", "0"), ("-0.0", "0"), ("100", "100"), ("0.001", "0.001")],
)
def test_a_decimal_is_written_in_plain_digits(value: str, expected: str) -> None:
    assert decimal_text(Decimal(value)) == expected


def test_money_has_two_digits() -> None:
    assert [money_text(Decimal(value)) for value in ("1E+3", "0", "7.125")] == ["1000.00", "0.00", "7.13"]


# --- fingerprints ----------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
json_fields = st.dictionaries(st.text(max_size=6), json_values, max_size=5)


def turned(value: object) -> object:
    """The same content with all keys in the other order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(json_fields)
def test_a_fingerprint_does_not_see_the_order_of_keys(fields: dict[str, object]) -> None:
    other = turned(fields)
    assert isinstance(other, dict)

    assert fingerprint(other) == fingerprint(fields)


@given(json_fields, json_fields)
def test_different_content_has_different_fingerprints(one: dict[str, object], other: dict[str, object]) -> None:
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (fingerprint(one) == fingerprint(other)) is is_same


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    """It lies in Redis for years: another algorithm would make every record look changed."""
    assert fingerprint({"name": "Ромашка", "phones": ["+74951234567"]}) == "4ed69161ebb214038af2858e"


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "full"),
    [
        (("Иванов", "Иван", "Иванович"), "Иванов Иван Иванович"),
        (("Иванов", "Иван", None), "Иванов Иван"),
        (("Иванов", None, None), "Иванов"),
        (("Алиев", "Али", "Вели оглы"), "Алиев Али Вели оглы"),
        ((None, None, None), None),
    ],
)
def test_a_name_is_the_same_after_a_round_trip(parts: tuple[str | None, ...], full: str | None) -> None:
    assert join_name(*parts) == full
    assert split_name(full) == parts


def test_a_part_that_is_blank_leaves_no_gap() -> None:
    assert join_name(" Иванов ", "", "Иванович") == "Иванов Иванович"
