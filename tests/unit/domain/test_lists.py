"""Shared lists: what either side adds or removes reaches the other, and nothing that somebody wrote is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.lists import unite_by_kind, unite_sets
from sync_worker.domain.merge import Baseline, Why, merge
from sync_worker.domain.rules import Owner

A, B, C = "+74950000001", "+74950000002", "+74950000003"


def merged(base: list[Any] | None, left: list[Any], right: list[Any], *, unite: Any = unite_sets) -> Any:
    """(what Bitrix24 is to have, what 1C is to have, why)"""
    baseline = None if base is None else Baseline(bitrix24={"x": base}, onec={"x": base})
    (verdict,) = merge(
        baseline=baseline, bitrix24={"x": left}, onec={"x": right}, owners={}, fill_blank=True, lists={"x": unite}
    ).verdicts
    return verdict.for_bitrix24, verdict.for_onec, verdict.why


@pytest.mark.parametrize(
    ("base", "left", "right", "expected"),
    [
        pytest.param([A], [A, B], [A], [A, B], id="added in Bitrix24"),
        pytest.param([A], [A], [A, B], [A, B], id="added in 1C"),
        pytest.param([A], [A, B], [A, C], [A, B, C], id="another one added on each"),
        pytest.param([A, B], [A], [A, B, C], [A, C], id="one removed, another added"),
        pytest.param([A, B], [A], [B], [], id="another one removed on each"),
        pytest.param([A], [B], [C], [B, C], id="the same one changed on both"),
        pytest.param([A], [], [A], [], id="cleared in Bitrix24"),
        pytest.param([A], [A], [], [], id="cleared in 1C"),
        pytest.param(None, [A], [B], [A, B], id="first meeting: all that is known"),
        pytest.param(None, [], [B], [B], id="first meeting: one knows none"),
    ],
)
def test_phones_and_emails_are_united_as_sets(
    base: list[str] | None, left: list[str], right: list[str], expected: list[str]
) -> None:
    assert merged(base, left, right) == (expected, expected, Why.UNITED)


def test_a_value_that_one_side_cannot_hold_is_not_taken_for_removed() -> None:
    baseline = Baseline(bitrix24={"x": [A, "office"]}, onec={"x": [A]})

    plan = merge(
        baseline=baseline, bitrix24={"x": [A, B, "office"]}, onec={"x": [A]}, owners={}, fill_blank=True,
        lists={"x": unite_sets},
    )  # fmt: skip

    assert (plan.to_bitrix24, plan.to_onec) == ({}, {"x": [A, B]})


def test_an_owned_list_is_not_united() -> None:
    baseline = Baseline(bitrix24={"x": [A]}, onec={"x": [A]})

    plan = merge(
        baseline=baseline, bitrix24={"x": [A, B]}, onec={"x": [A, C]}, owners={"x": Owner.BITRIX24}, fill_blank=True,
        lists={"x": unite_sets},
    )  # fmt: skip

    assert (plan.to_bitrix24, plan.to_onec) == ({}, {"x": [A, B]})


def legal(street: str) -> dict[str, str]:
    return {"kind": "legal", "street": street}


def postal(street: str) -> dict[str, str]:
    return {"kind": "postal", "street": street}


@pytest.mark.parametrize(
    ("base", "left", "right", "expected"),
    [
        pytest.param([legal("1")], [legal("2")], [legal("1")], [legal("2")], id="moved in Bitrix24"),
        pytest.param([legal("1")], [legal("1")], [legal("2")], [legal("2")], id="moved in 1C"),
        pytest.param(
            [legal("1")], [legal("2")], [legal("1"), postal("9")], [legal("2"), postal("9")], id="another kind on each"
        ),
        pytest.param([legal("1"), postal("9")], [legal("1")], [legal("1"), postal("9")], [legal("1")], id="removed"),
        pytest.param([legal("1")], [], [legal("2")], [legal("2")], id="removed on one, moved on the other: kept"),
        pytest.param([legal("1")], [legal("2")], [], [legal("2")], id="the mirror"),
        pytest.param(None, [legal("1")], [postal("9")], [legal("1"), postal("9")], id="first meeting"),
    ],
)
def test_addresses_are_united_by_their_kind(base: Any, left: Any, right: Any, expected: Any) -> None:
    assert merged(base, left, right, unite=unite_by_kind) == (expected, expected, Why.UNITED)


@pytest.mark.parametrize("base", [[legal("1")], None], ids=["moved on both", "first meeting"])
def test_one_kind_with_two_new_addresses_is_a_conflict(base: Any) -> None:
    assert merged(base, [legal("2")], [legal("3")], unite=unite_by_kind)[2] is Why.CONFLICT


sets = st.lists(st.sampled_from("abcd"), unique=True).map(sorted)
by_kind = st.dictionaries(st.sampled_from(["actual", "legal", "postal"]), st.sampled_from("123")).map(
    lambda found: [{"kind": kind, "street": found[kind]} for kind in sorted(found)]
)


@given(sets, sets, sets)
def test_united_sets_are_equal_and_keep_all_that_was_added(base: Any, left: Any, right: Any) -> None:
    one, other = unite_sets(base, base, left, right)

    assert one == other
    assert set(one) >= (set(left) | set(right)) - set(base)
    assert set(one) & set(base) == set(base) & set(left) & set(right)
    assert unite_sets(one, other, one, other) == (one, other)


@given(by_kind, by_kind, by_kind)
def test_united_addresses_are_equal_and_lie_at_rest(base: Any, left: Any, right: Any) -> None:
    united = unite_by_kind(base, base, left, right)

    if united is not None:
        one, other = united
        assert one == other
        assert unite_by_kind(one, other, one, other) == (one, other)
    mirrored = unite_by_kind(base, base, right, left)
    assert mirrored == (None if united is None else (united[1], united[0]))
