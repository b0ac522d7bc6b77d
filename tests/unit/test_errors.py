"""Errors tell a person what is needed to decide."""

from __future__ import annotations

import pytest

from sync_worker.contract import RecordRef, RecordType, System
from sync_worker.errors import (
    AmbiguousMatch,
    BadEvent,
    FieldConflict,
    LinkBroken,
    NotYetLinked,
    RemoteRejected,
    SyncError,
    all_causes,
)

COMPANY = RecordRef(system=System.BITRIX24, type=RecordType.COMPANY, id="7")


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
    ],
)
def test_details_are_what_a_person_needs(error: SyncError, details: dict[str, object]) -> None:
    assert error.details() == details


def test_a_conflict_names_its_fields_in_order() -> None:
    assert str(FieldConflict({"name": {}, "comment": {}})) == "both sides changed: comment, name"


def test_each_cause_names_one_class_and_says_what_happens_next() -> None:
    causes = all_causes()

    assert len(causes) == len({error.__name__ for error in causes.values()}) == 22
    assert all(error.__doc__ and error.__doc__ != SyncError.__doc__ for error in causes.values())
    assert all("cause" in vars(error) for error in causes.values())
