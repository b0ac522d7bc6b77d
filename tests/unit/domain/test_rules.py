from __future__ import annotations

import pytest

from sync_worker.domain.identity import System
from sync_worker.domain.rules import Owner, stage_code


@pytest.mark.parametrize(
    ("category", "code", "expected"),
    [
        (0, "WON", "WON"),
        (1, "WON", "C1:WON"),
        (1, "C1:WON", "C1:WON"),
        (1, "C2:WON", "C2:WON"),  # somebody else's: written as it stands, and found by doctor
        (12, "UC_ABC", "C12:UC_ABC"),
    ],
)
def test_a_bare_stage_gets_its_pipelines_prefix(category: int, code: str, expected: str) -> None:
    assert stage_code(category, code) == expected


def test_shared_is_owned_by_neither_system() -> None:
    assert {owner: owner.system for owner in Owner} == {
        Owner.BITRIX24: System.BITRIX24,
        Owner.ONEC: System.ONEC,
        Owner.SHARED: None,
    }
