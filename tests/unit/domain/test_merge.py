"""The three-way merge: its table row by row, and what holds for any history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_worker.domain.identity import System
from sync_worker.domain.letter import Choice
from sync_worker.domain.merge import Baseline, Fields, Plan, Why, merge
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


def put_back(plan: Plan) -> set[str]:
    return {one.field for one in plan.lost if one.is_put_back}


def is_empty(plan: Plan) -> bool:
    return not (plan.to_bitrix24 or plan.to_onec or plan.conflicts)


def agreed(plan: Plan, *, bitrix24: Fields, onec: Fields) -> Baseline:
    """The baseline after the plan was carried out."""
    return Baseline(bitrix24={**bitrix24, **plan.to_bitrix24}, onec={**onec, **plan.to_onec})


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
    assert put_back(plan) == (set("x") if is_put_back else set())
    assert plan.conflicts == ()


@pytest.mark.parametrize(("left", "right"), [("b", "c"), (None, "c"), ("b", None)], ids=["values", "cleared", "mirror"])
def test_both_changed_a_shared_field_differently(left: Any, right: Any) -> None:
    plan = merged(left, right, base="a")

    (conflict,) = plan.conflicts
    assert (conflict.field, conflict.bitrix24, conflict.onec) == ("x", left, right)
    assert conflict.baseline == Baseline(bitrix24={"x": "a"}, onec={"x": "a"})
    assert written(plan) == NOTHING


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
    assert (plan.conflicts, put_back(plan)) == ((), set())


def test_two_values_of_a_shared_field_at_the_first_meeting_are_a_conflict() -> None:
    plan = merged("a", "b", has_base=False)

    assert [(one.baseline, one.bitrix24, one.onec) for one in plan.conflicts] == [(None, "a", "b")]


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


# --- why, and what gave way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "why"),
    [
        pytest.param({"left": "a", "right": "a", "base": "a"}, Why.EQUAL, id="equal"),
        pytest.param({"left": "b", "right": "a", "base": "a"}, Why.BITRIX24_CHANGED, id="changed in Bitrix24"),
        pytest.param({"left": "a", "right": "b", "base": "a"}, Why.ONEC_CHANGED, id="changed in 1C"),
        pytest.param({"left": "b", "right": "a", "base": "a", "owner": ONEC}, Why.OWNED, id="owned"),
        pytest.param({"left": "b", "right": None, "owner": ONEC}, Why.FILLED, id="never filled by its owner"),
        pytest.param({"left": "a", "right": None, "has_base": False}, Why.FIRST_FILLED, id="first meeting"),
        pytest.param({"left": "b", "right": "c", "base": "a"}, Why.CONFLICT, id="conflict"),
    ],
)
def test_each_verdict_says_which_row_decided(case: dict[str, Any], why: Why) -> None:
    (verdict,) = merged(**case).verdicts

    assert verdict.why is why


@pytest.mark.parametrize(
    ("case", "lost"),
    [
        pytest.param({"left": "b", "right": "a", "base": "a", "owner": ONEC}, System.BITRIX24, id="put back"),
        pytest.param({"left": "a", "right": "b", "base": "a", "owner": B24}, System.ONEC, id="put back in 1C"),
        pytest.param({"left": "a", "right": None, "base": "a", "owner": B24}, System.ONEC, id="a cleared value"),
        pytest.param(
            {"left": "a", "right": "b", "owner": B24, "has_base": False}, System.ONEC, id="at the first meeting"
        ),
        pytest.param({"left": "a", "right": None, "owner": B24, "has_base": False}, None, id="a blank is no loss"),
        pytest.param({"left": "b", "right": "a", "base": "a", "owner": B24}, None, id="the owner changed its own"),
        pytest.param({"left": "b", "right": "a", "base": "a"}, None, id="shared: nobody gave way"),
    ],
)
def test_the_value_that_gives_way_is_named_for_audit(case: dict[str, Any], lost: System | None) -> None:
    (verdict,) = merged(**case).verdicts

    assert verdict.lost is lost


# --- what a person decided -------------------------------------------------------------------------------------------


def settled(choice: Choice, *, left: Any = "b", right: Any = "c") -> Plan:
    baseline = Baseline(bitrix24={"x": "a"}, onec={"x": "a"})
    one: dict[str, Any] = {"bitrix24": {"x": left}, "onec": {"x": right}}
    return merge(baseline=baseline, owners={}, fill_blank=True, settled={"x": choice}, **one)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("b", ("-", "b")), ("c", ("c", "-")), ("d", ("d", "d")), (None, (None, None))],
    ids=["Bitrix24's side", "1C's side", "edited", "cleared"],
)
def test_a_conflict_is_settled_as_a_person_decided(value: Any, expected: tuple[Any, Any]) -> None:
    plan = settled(Choice(value=value, bitrix24="b", onec="c"))

    assert written(plan) == expected
    assert [one.why for one in plan.verdicts] == [Why.SETTLED]


@pytest.mark.parametrize(("left", "right"), [("z", "c"), ("b", "z")], ids=["Bitrix24", "1C"])
def test_a_decision_about_values_that_are_no_longer_there_counts_for_nothing(left: str, right: str) -> None:
    plan = settled(Choice(value="b", bitrix24="b", onec="c"), left=left, right=right)

    assert [one.why for one in plan.conflicts] == [Why.CONFLICT]


def test_a_decision_does_not_overrule_what_needs_none() -> None:
    plan = settled(Choice(value="c", bitrix24="b", onec="a"), left="b", right="a")

    assert written(plan) == ("-", "b")


# --- two views of one agreement --------------------------------------------------------------------------------------


def test_what_a_side_cannot_hold_is_not_written_again_and_again() -> None:
    baseline = Baseline(bitrix24={"x": "long name"}, onec={"x": "long"})

    plan = merge(baseline=baseline, bitrix24={"x": "long name"}, onec={"x": "long"}, owners={"x": B24}, fill_blank=True)

    assert is_empty(plan)


def test_a_field_that_only_one_side_has_is_left_alone() -> None:
    plan = merge(baseline=None, bitrix24={"x": "a"}, onec={"y": "b"}, owners={}, fill_blank=True)

    assert is_empty(plan)


def test_the_baseline_is_what_each_side_has_after_the_plan() -> None:
    left, right = {"x": "a", "only": 1}, {"x": None}
    plan = merge(baseline=None, bitrix24=left, onec=right, owners={}, fill_blank=True)

    assert agreed(plan, bitrix24=left, onec=right) == Baseline(bitrix24=left, onec={"x": "a"})


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
    after = agreed(plan, bitrix24=left, onec=right)

    again = merge(baseline=after, bitrix24=after.bitrix24, onec=after.onec, owners=owned, fill_blank=fill)

    assert is_empty(again)


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

    assert (turned.to_bitrix24, turned.to_onec) == (plan.to_onec, plan.to_bitrix24)
    assert put_back(turned) == put_back(plan)
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
    assert put_back(plan) <= {*plan.to_bitrix24, *plan.to_onec}
    assert all(owned.get(conflict.field, SHARED) is SHARED for conflict in plan.conflicts)
