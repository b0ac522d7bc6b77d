"""Errors tell a person what is needed to decide."""

from __future__ import annotations

import pytest

from sync_worker.contract import RecordRef, RecordType, System
from sync_worker.errors import (
    AmbiguousMatch,
    BadEvent,
    FieldConflict,
    LinkBroken,
    MergedAway,
    NotYetLinked,
    RemoteRejected,
    StatusUnmapped,
    SyncError,
    TotalMismatch,
    all_causes,
)

COMPANY = RecordRef(system=System.BITRIX24, type=RecordType.COMPANY, id="7")
OTHER = RecordRef(system=System.BITRIX24, type=RecordType.COMPANY, id="8")
PARTY = RecordRef(system=System.ONEC, type=RecordType.COUNTERPARTY, id="6f9619ff-8b86-d011-b42d-00c04fc964ff")


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (FieldConflict({"name": {"baseline": "a"}}), {"fields": {"name": {"baseline": "a"}}}),
        (AmbiguousMatch("two", candidates=("a", "b")), {"candidates": ["a", "b"]}),
        (NotYetLinked("first", need=COMPANY), {"need": "bitrix24:company:7"}),
        (NotYetLinked("first"), {}),
        (RemoteRejected("no", code="validation", field="inn"), {"code": "validation", "field": "inn"}),
        (RemoteRejected("no"), {"code": ""}),
        (BadEvent("?", raw={"a": 1}), {"raw": {"a": 1}}),
        (LinkBroken("gone"), {}),
        (LinkBroken("gone", gone=COMPANY, left=PARTY), {"gone": str(COMPANY), "subject": str(PARTY)}),
        (
            MergedAway("merged", candidates=("a", "b"), gone=COMPANY, heir=OTHER),
            {"candidates": ["a", "b"], "gone": str(COMPANY), "subject": str(OTHER)},
        ),
        (TotalMismatch("sums", deal="1.00", order="2.00"), {"totals": {"bitrix24": "1.00", "onec": "2.00"}}),
    ],
)
def test_details_are_what_a_person_needs(error: SyncError, details: dict[str, object]) -> None:
    assert error.details() == details


def test_a_conflict_names_its_fields_in_order() -> None:
    assert str(FieldConflict({"name": {}, "comment": {}})) == "both sides changed: comment, name"


def test_each_cause_names_one_class_and_says_what_happens_next() -> None:
    causes = all_causes()

    assert len(causes) == len({error.__name__ for error in causes.values()}) == 30
    assert all(error.__doc__ and error.__doc__ != SyncError.__doc__ for error in causes.values())
    assert all("cause" in vars(error) for error in causes.values())


@pytest.mark.parametrize("cause", sorted(all_causes()))
def test_each_cause_says_what_to_do_next(cause: str) -> None:
    assert all_causes()[cause].advice.endswith(".")


@pytest.mark.parametrize(
    ("error", "topic"),
    [
        (FieldConflict({"name": {}, "comment": {}}), "comment, name"),
        (RemoteRejected("no", code="validation", field="inn"), "validation inn"),
        (NotYetLinked("first", need=COMPANY), "company"),
        (NotYetLinked("first"), ""),
        (LinkBroken("gone", gone=COMPANY), "company gone in bitrix24"),
        (LinkBroken("gone"), ""),
        (StatusUnmapped("no stage", status="Закрыт in pipeline 1"), "Закрыт in pipeline 1"),
        (AmbiguousMatch("two"), ""),
    ],
)
def test_letters_of_one_cause_are_grouped_by_what_they_have_in_common(error: SyncError, topic: str) -> None:
    assert error.topic == topic
