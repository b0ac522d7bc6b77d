"""What is made of a record that names another."""

from __future__ import annotations

import pytest

from sync_worker.domain.identity import RecordRef, RecordType, bitrix24_ref, onec_ref
from sync_worker.domain.link import Link
from sync_worker.domain.listed import Listed
from sync_worker.sync.rebuild import SAFE, Verdict, judge, link_of

CARD, OTHER_CARD = bitrix24_ref(RecordType.COMPANY, 7), bitrix24_ref(RecordType.COMPANY, 8)
PARTY = onec_ref(RecordType.COUNTERPARTY, "6f9619ff-8b86-d011-b42d-00c04fc964ff")


def listed(record: RecordRef, names: RecordRef | None = None, *, is_deleted: bool = False) -> Listed:
    return Listed(record=record, names=names, is_deleted=is_deleted)


@pytest.mark.parametrize(
    ("named", "is_contested", "expected"),
    [
        (listed(PARTY, CARD), False, Verdict.AGREED),
        (listed(PARTY, CARD), True, Verdict.AGREED),  # a copy of the card does not part those who agree
        (listed(PARTY), False, Verdict.ONE_SIDED),
        (listed(PARTY), True, Verdict.SEVERAL),
        (listed(PARTY, OTHER_CARD), False, Verdict.NAMES_ANOTHER),
        (None, False, Verdict.MISSING),
        (listed(PARTY, CARD, is_deleted=True), False, Verdict.MARKED),
    ],
)
def test_verdict(named: Listed | None, is_contested: bool, expected: Verdict) -> None:
    assert judge(listed(CARD, PARTY), named, is_contested=is_contested) is expected


@pytest.mark.parametrize("claim", [listed(CARD, PARTY), listed(PARTY, CARD)])
def test_either_side_makes_the_same_link(claim: Listed) -> None:
    assert link_of(claim) == Link(bitrix24=CARD, onec=PARTY)


def test_only_what_nothing_speaks_against_is_written() -> None:
    assert {Verdict.AGREED, Verdict.ONE_SIDED} == SAFE
