"""What leaves in an error report tells what happened, and not to whom."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.values import normalise_phone
from sync_worker.errors import all_causes
from sync_worker.scrubbing import scrub_report, without_personal

# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("call +7 (912) 345-67-89", "call [number]"),
        ("call 8.912.345.67.89, or 222-33-44", "call [number], or [number]"),
        ("to ivan.petrov+x@mail.example.ru.", "to [email]."),
        ("ИНН 7707083893 and КПП 770701001", "ИНН [number] and КПП [number]"),
        ("inn=500100732259", "inn=[number]"),
        ("СНИЛС 123-456-789 00", "СНИЛС [number]"),
        ("account 40702810900000000001", "account [number]"),
        ("Контрагент «Иванов Иван» уже есть; NAME", "[words]; NAME"),
        (r'{"name": "\u0418\u0432\u0430\u043d"}', '{"name": "[words]"}'),
        (r"b'\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd'", "b'[words]'"),
    ],
)
def test_what_is_somebodys_is_left_out(text: str, expected: str) -> None:
    assert without_personal(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "onec:counterparty:6f9619ff-8b86-d011-b42d-000000000000 is gone",
        "bitrix24:deal:154321 answered 503 after 12.345678 s",
        "2026-11-02T12:00:00.123456+00:00 or 2026-11-02 12:00:00",
        "Error 111 connecting to 192.168.100.200:6379",
        "trace 5f0c8f0e3a7f4a8b9d1c2e3f4a5b6c7d",
        "letter 01kb3x9q7m4p2na",
    ],
)
def test_ids_instants_and_addresses_of_servers_stay(text: str) -> None:
    assert without_personal(text) == text


@pytest.mark.parametrize("cause", sorted(all_causes()))
def test_our_own_advice_stays(cause: str) -> None:
    advice = all_causes()[cause].advice

    assert without_personal(advice) == advice


@given(
    number=st.integers(min_value=9_000_000_000, max_value=9_999_999_999).map(str),
    prefix=st.sampled_from(["+7", "8", "+7 ", "8 "]),
    separators=st.tuples(*[st.sampled_from(["", " ", "-", ".", " - ", ") "])] * 3),
    around=st.sampled_from(["{}", "phone: {}!", "({})", "тел.{};", '"{}"', "PHONE={}&x=1"]),
)
def test_no_phone_survives_however_it_is_written(
    number: str, prefix: str, separators: tuple[str, str, str], around: str
) -> None:
    first, second, third = separators
    written = f"{prefix}{number[:3]}{first}{number[3:6]}{second}{number[6:8]}{third}{number[8:]}"

    shown = without_personal(around.format(written))

    assert "[number]" in shown
    assert not any(character.isdigit() for character in shown.replace("x=1", ""))
    assert normalise_phone(written) is not None


def test_a_very_long_text_is_cut() -> None:
    assert len(without_personal("a@" * 500_000)) <= 2000


# --- reports ---------------------------------------------------------------------------------------------------------


def line(name: str, message: Any, *args: Any) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "some.py", 1, message, args, None)


def test_only_known_parts_of_a_report_leave() -> None:
    report = {
        "event_id": "5f0c8f0e3a7f4a8b9d1c2e3f4a5b6c7d",
        "request": {"data": "Иванов"},
        "user": {"email": "ivan@example.com"},
        "breadcrumbs": {"values": [{"data": {"url": "https://portal/rest/1/s3cr3t/"}}]},
        "modules": {"redis": "7"},
        "whatever_comes_next": "Иванов",
    }

    assert scrub_report(report, None, without_personal) == {"event_id": report["event_id"]}


def test_an_exceptions_words_are_cleaned_and_its_frames_stay() -> None:
    frames = {"frames": [{"function": "read", "lineno": 12}]}
    raised = {"type": "ValueError", "value": "no such phone: +7 912 345-67-89", "stacktrace": frames}

    shown = scrub_report({"exception": {"values": [raised]}}, None, without_personal)

    cleaned = {"type": "ValueError", "value": "no such phone: [number]", "stacktrace": frames}
    assert shown["exception"] == {"values": [cleaned]}


def test_our_own_log_line_is_told_with_its_arguments_cleaned() -> None:
    record = line("sync_worker.store.keeper", "%s was lost: %s", "the lock email:...", "ivan@example.com")

    shown = scrub_report(
        {"extra": {"args": "ivan@example.com"}, "logentry": {"params": ["x"]}}, record, without_personal
    )

    assert shown["logentry"] == {"message": "%s was lost: %s", "formatted": "the lock email:... was lost: [email]"}
    assert shown["extra"] == {}


def test_of_a_librarys_log_line_only_the_template_leaves() -> None:
    """Celery tells a message that it cannot read with its whole body."""
    shown = scrub_report({}, line("celery.worker.consumer", "Can't decode: %r", b'{"name": "ACME"}'), without_personal)

    assert shown["logentry"] == {"message": "Can't decode: %r", "formatted": "Can't decode: %r"}


def test_of_a_structured_log_line_only_the_events_name_leaves() -> None:
    record = line("sync.upkeep", {"event": "event_given_back", "reason": "ACME"})

    assert scrub_report({}, record, without_personal)["logentry"]["formatted"] == "event_given_back"


def test_a_failed_task_is_named() -> None:
    record = line("celery.app.trace", "Task %(name)s raised: %(exc)s", {"name": "sync.release_parked", "exc": "x"})

    assert scrub_report({}, record, without_personal)["transaction"] == "sync.release_parked"
