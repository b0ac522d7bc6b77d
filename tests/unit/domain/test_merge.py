"""The three-way merge: its table row by row, and what holds for any history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.merge import Baseline, Conflict, Plan, agreed, merge
from sync_worker.domain.rules import Owner

B24, ONEC, SHARED = Owner.BITRIX24, Owner.ONEC, Owner.SHARED
NOTHING: tuple[Any, Any] = ("-", "-")


def merged(
    left: Any, right: Any, *, base: Any = None, owner: Owner = SHARED, fill_blank: bool = True, has_base: bool = True
) -> Plan:
    """The plan for one field; `base`: what both last agreed on."""
    baseline = Baseline(bitrix24={"x": base}, onec={"x": base}) if has_base else None
    return merge(baseline=baseline, bitrix24={"x": left}, onec={"x": right}, owners={"x": owner}, fill_blank=fill_blank)


def written(plan: Plan) -> tuple[Any, Any]:
    """(to Bitrix24, to 1C), "-" for nothing."""
    return plan.to_bitrix24.get("x", "-"), plan.to_onec.get("x", "-")


# left: Bitrix24's value, right: 1C's; the baseline is "a"
TABLE = [
    # row of the table                       left  right  owner   to Bitrix24, to 1C  put back
    ("same, same",                            "a", "a", SHARED, NOTHING, False),
    ("same, same, owned",                     "a", "a", ONEC, NOTHING, False),
    ("Bitrix24 changed its own",              "b", "a", B24, ("-", "b"), False),
    ("1C changed its own",                    "a", "b", ONEC, ("b", "-"), False),
    ("Bitrix24 changed what 1C owns",         "b", "a", ONEC, ("a", "-"), True),
    ("1C changed what Bitrix24 owns",         "a", "b", B24, ("-", "a"), True),
    ("Bitrix24 changed a shared one",         "b", "a", SHARED, ("-", "b"), False),
    ("1C changed a shared one",               "a", "b", SHARED, ("b", "-"), False),
    ("both changed to the same, shared",      "b", "b", SHARED, NOTHING, False),
    ("both changed to the same, owned",       "b", "b", B24, NOTHING, False),
    ("both changed, Bitrix24 owns",           "b", "c", B24, ("-", "b"), True),
    ("both changed, 1C owns",                 "b", "c", ONEC, ("c", "-"), True),
    ("cleared by its owner",                  None, "a", B24, ("-", None), False),
    ("cleared by the other",                  "a", None, B24, ("-", "a"), True),
    ("shared one cleared in Bitrix24",        None, "a", SHARED, ("-", None), False),
    ("shared one cleared in 1C",              "a", "", SHARED, ("", "-"), False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("left", "right", "owner", "expected", "is_put_back"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_table(left: Any, right: Any, owner: Owner, expected: tuple[Any, Any], is_put_back: bool) -> None:
    plan = merged(left, right, base="a", owner=owner)

    assert written(plan) == expected
    assert plan.put_back == (frozenset("x") if is_put_back else frozenset())
    assert plan.conflicts == ()


@pytest.mark.parametrize(("left", "right"), [("b", "c"), (None, "c"), ("b", None)], ids=["values", "cleared", "mirror"])
def test_both_changed_a_shared_field_differently(left: Any, right: Any) -> None:
    plan = merged(left, right, base="a")

    assert plan.conflicts == (Conflict(field="x", baseline="a", bitrix24=left, onec=right),)
    assert written(plan) == NOTHING
    assert not plan.is_empty


# --- the first meeting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "owner", "expected"),
    [
        pytest.param("a", "a", SHARED, NOTHING, id="equal"),
        pytest.param("a", "b", B24, ("-", "a"), id="Bitrix24 owns"),
        pytest.param("a", "b", ONEC, ("b", "-"), id="1C owns"),
        pytest.param("a", None, SHARED, ("-", "a"), id="1C has no opinion"),
        pytest.param("", "b", SHARED, ("b", "-"), id="Bitrix24 has no opinion"),
        pytest.param([], ["b"], SHARED, (["b"], "-"), id="an empty list is no opinion"),
        pytest.param("a", None, ONEC, ("-", "a"), id="1C owns, and has none yet"),
        pytest.param([], ["b"], B24, (["b"], "-"), id="Bitrix24 owns, and has none yet"),
    ],
)
def test_first_meeting(left: Any, right: Any, owner: Owner, expected: tuple[Any, Any]) -> None:
    plan = merged(left, right, owner=owner, has_base=False)

    assert written(plan) == expected
    assert (plan.conflicts, plan.put_back) == ((), frozenset())


def test_two_values_of_a_shared_field_at_the_first_meeting_are_a_conflict() -> None:
    plan = merged("a", "b", has_base=False)

    assert plan.conflicts == (Conflict(field="x", baseline=None, bitrix24="a", onec="b"),)


@pytest.mark.parametrize("newcomer", ["bitrix24", "onec"])
def test_a_field_that_one_side_has_only_just_got_is_met_for_the_first_time(newcomer: str) -> None:
    views: dict[str, Mapping[str, Any]] = {"bitrix24": {"x": "a"}, "onec": {"x": "a"}, newcomer: {}}
    now: dict[str, Any] = {"bitrix24": {"x": "a"}, "onec": {"x": "a"}, newcomer: {"x": None}}

    plan = merge(baseline=Baseline(**views), owners={}, fill_blank=True, **now)

    assert getattr(plan, f"to_{newcomer}") == {"x": "a"}
    assert plan.conflicts == ()


# --- fill_blank ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param({"left": "b", "right": None, "owner": ONEC}, ("-", "b"), id="never filled: filled by Bitrix24"),
        pytest.param({"left": None, "right": "b", "owner": B24}, ("b", "-"), id="never filled: filled by 1C"),
        pytest.param(
            {"left": "b", "right": None, "owner": ONEC, "fill_blank": False}, (None, "-"), id="only the owner may"
        ),
        pytest.param(
            {"left": "b", "right": None, "owner": ONEC, "base": "a"}, (None, "-"), id="cleared by the owner: stays so"
        ),
        pytest.param({"left": "b", "right": "c", "owner": ONEC}, ("c", "-"), id="filled by both: the owner's"),
    ],
)
def test_fill_blank(case: dict[str, Any], expected: tuple[Any, Any]) -> None:
    assert written(merged(**case)) == expected


# --- two views of one agreement --------------------------------------------------------------------------------------


def test_what_a_side_cannot_hold_is_not_written_again_and_again() -> None:
    baseline = Baseline(bitrix24={"x": "long name"}, onec={"x": "long"})

    plan = merge(baseline=baseline, bitrix24={"x": "long name"}, onec={"x": "long"}, owners={"x": B24}, fill_blank=True)

    assert plan.is_empty


def test_a_field_that_only_one_side_has_is_left_alone() -> None:
    plan = merge(baseline=None, bitrix24={"x": "a"}, onec={"y": "b"}, owners={}, fill_blank=True)

    assert plan.is_empty


def test_the_baseline_is_what_each_side_has_after_the_plan() -> None:
    left, right = {"x": "a", "only": 1}, {"x": None}
    plan = merge(baseline=None, bitrix24=left, onec=right, owners={}, fill_blank=True)

    assert agreed(bitrix24=left, onec=right, plan=plan) == Baseline(bitrix24=left, onec={"x": "a"})


# --- any history -----------------------------------------------------------------------------------------------------

values = st.sampled_from([None, "", "a", "b", "c", [], ["a"]])
names = st.sampled_from("xyz")
sides = st.dictionaries(names, values)
owners = st.dictionaries(names, st.sampled_from(Owner))
baselines = st.none() | st.builds(Baseline, bitrix24=sides, onec=sides)


@given(baselines, sides, sides, owners, st.booleans())
def test_merging_twice_changes_nothing(
    baseline: Baseline | None, left: dict[str, Any], right: dict[str, Any], owned: dict[str, Owner], fill: bool
) -> None:
    plan = merge(baseline=baseline, bitrix24=left, onec=right, owners=owned, fill_blank=fill)
    after = agreed(bitrix24=left, onec=right, plan=plan)

    again = merge(baseline=after, bitrix24=after.bitrix24, onec=after.onec, owners=owned, fill_blank=fill)

    assert again.is_empty


@given(baselines, sides, sides, owners)
def test_the_owners_value_is_never_overwritten(
    baseline: Baseline | None, left: dict[str, Any], right: dict[str, Any], owned: dict[str, Owner]
) -> None:
    plan = merge(baseline=baseline, bitrix24=left, onec=right, owners=owned, fill_blank=False)

    assert not {name for name, owner in owned.items() if owner is B24} & plan.to_bitrix24.keys()
    assert not {name for name, owner in owned.items() if owner is ONEC} & plan.to_onec.keys()


@given(baselines, sides, sides, owners)
def test_fill_blank_overwrites_only_blanks(
    baseline: Baseline | None, left: dict[str, Any], right: dict[str, Any], owned: dict[str, Owner]
) -> None:
    plan = merge(baseline=baseline, bitrix24=left, onec=right, owners=owned, fill_blank=True)

    assert all(not left[name] for name in plan.to_bitrix24 if owned.get(name) is B24)
    assert all(not right[name] for name in plan.to_onec if owned.get(name) is ONEC)


@given(baselines, sides, sides, owners, st.booleans())
def test_swapping_the_sides_mirrors_the_plan(
    baseline: Baseline | None, left: dict[str, Any], right: dict[str, Any], owned: dict[str, Owner], fill: bool
) -> None:
    mirror = {B24: ONEC, ONEC: B24, SHARED: SHARED}
    swapped = Baseline(bitrix24=baseline.onec, onec=baseline.bitrix24) if baseline else None

    plan = merge(baseline=baseline, bitrix24=left, onec=right, owners=owned, fill_blank=fill)
    turned = merge(
        baseline=swapped,
        bitrix24=right,
        onec=left,
        owners={name: mirror[owner] for name, owner in owned.items()},
        fill_blank=fill,
    )

    assert (turned.to_bitrix24, turned.to_onec, turned.put_back) == (plan.to_onec, plan.to_bitrix24, plan.put_back)
    assert [(one.field, one.onec, one.bitrix24) for one in turned.conflicts] == [
        (one.field, one.bitrix24, one.onec) for one in plan.conflicts
    ]


@given(baselines, sides, sides, owners, st.booleans())
def test_a_field_is_written_on_one_side_or_is_a_conflict_and_never_both(
    baseline: Baseline | None, left: dict[str, Any], right: dict[str, Any], owned: dict[str, Owner], fill: bool
) -> None:
    plan = merge(baseline=baseline, bitrix24=left, onec=right, owners=owned, fill_blank=fill)

    decided = [*plan.to_bitrix24, *plan.to_onec, *(conflict.field for conflict in plan.conflicts)]
    assert len(decided) == len(set(decided))
    assert plan.put_back <= {*plan.to_bitrix24, *plan.to_onec}
    assert all(owned.get(conflict.field, SHARED) is SHARED for conflict in plan.conflicts)
