"""Three-way merge, field by field, against what both sides last agreed on.

Values are compared by content. A field that only one side has at all (its key is absent on the other) is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sync_worker.domain.identity import System
from sync_worker.domain.letter import Choice
from sync_worker.domain.lists import Unite
from sync_worker.domain.rules import Owner

Fields = Mapping[str, Any]
_MISSING: Any = object()
_NO_CHOICES: Mapping[str, Choice] = {}
_NO_LISTS: Mapping[str, Unite] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What each side had when both last agreed. Two views, because a side may be unable to hold the other's value."""

    bitrix24: Fields
    onec: Fields


class Why(StrEnum):
    """Which row of the table in docs/merge.md decided."""

    EQUAL = "both sides say the same"
    AT_REST = "both sides are as they were agreed to be"
    BITRIX24_CHANGED = "only Bitrix24 changed it"
    ONEC_CHANGED = "only 1C changed it"
    FIRST_FILLED = "the records meet for the first time, and one of them has no value"
    OWNED = "its owner's value wins"
    FILLED = "its owner never filled it"
    UNITED = "what either side added or removed is added or removed on the other"
    SETTLED = "a person decided"
    CONFLICT = "both sides changed it differently, and neither owns it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of one field. A side is written where its value is not the one that it is to have."""

    field: str
    owner: Owner
    why: Why
    baseline: Baseline | None  # of this field alone; None where nothing was agreed
    bitrix24: Any  # as it is
    onec: Any
    for_bitrix24: Any  # as it is to be
    for_onec: Any

    @property
    def lost(self) -> System | None:
        """Whose own change gave way to the owner's value; None where nobody's did."""
        if self.why is not Why.OWNED:
            return None
        loser = System.ONEC if self.owner is Owner.BITRIX24 else System.BITRIX24
        value = self.onec if loser is System.ONEC else self.bitrix24
        if self.baseline is None:
            return None if is_blank(value) else loser
        base = self.baseline.onec if loser is System.ONEC else self.baseline.bitrix24
        return loser if value != base[self.field] else None

    @property
    def is_put_back(self) -> bool:
        """True where a side had changed what the other owns, after both had agreed."""
        return self.lost is not None and self.baseline is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to write where, and why. Nothing may be written while there are conflicts."""

    verdicts: tuple[Verdict, ...]

    @property
    def to_bitrix24(self) -> dict[str, Any]:
        return {one.field: one.for_bitrix24 for one in self.verdicts if one.for_bitrix24 != one.bitrix24}

    @property
    def to_onec(self) -> dict[str, Any]:
        return {one.field: one.for_onec for one in self.verdicts if one.for_onec != one.onec}

    @property
    def conflicts(self) -> tuple[Verdict, ...]:
        return tuple(one for one in self.verdicts if one.why is Why.CONFLICT)

    @property
    def lost(self) -> tuple[Verdict, ...]:
        """Values that give way to the owner's: kept for audit."""
        return tuple(one for one in self.verdicts if one.lost is not None)


def merge(
    *,
    baseline: Baseline | None,
    bitrix24: Fields,
    onec: Fields,
    owners: Mapping[str, Owner],
    fill_blank: bool,
    lists: Mapping[str, Unite] = _NO_LISTS,
    settled: Mapping[str, Choice] = _NO_CHOICES,
) -> Plan:
    """Decide for every field that both sides have.

    `owners`: fields that are not named in it are shared. `lists`: how shared lists are united. `settled`: what a person
    decided about conflicts; it counts while both sides still say what that person saw.
    """
    names = sorted(bitrix24.keys() & onec.keys())
    verdicts = (
        _decide(
            Verdict(
                field=name,
                owner=owners.get(name, Owner.SHARED),
                why=Why.CONFLICT,
                baseline=_base(baseline, name),
                bitrix24=bitrix24[name],
                onec=onec[name],
                for_bitrix24=bitrix24[name],
                for_onec=onec[name],
            ),
            fill_blank=fill_blank,
            unite=lists.get(name),
        )
        for name in names
    )
    return Plan(verdicts=tuple(_settle(verdict, settled.get(verdict.field)) for verdict in verdicts))


def _decide(field: Verdict, *, fill_blank: bool, unite: Unite | None) -> Verdict:
    """The table of docs/merge.md, row by row."""
    left, right = field.bitrix24, field.onec
    left_base, right_base = _bases(field)
    if left == right:
        return replace(field, why=Why.EQUAL)
    if left == left_base and right == right_base:
        return replace(field, why=Why.AT_REST)  # one side could not hold the other's value
    if field.owner is not Owner.SHARED:
        is_filled = fill_blank and _never_filled(field)
        from_left = (field.owner is Owner.BITRIX24) is not is_filled
        return _follow(field, Why.FILLED if is_filled else Why.OWNED, from_left=from_left)
    if unite is not None:
        return _unite(field, unite)
    if right == right_base:
        return _follow(field, Why.BITRIX24_CHANGED, from_left=True)
    if left == left_base:
        return _follow(field, Why.ONEC_CHANGED, from_left=False)
    if field.baseline is None and is_blank(left) != is_blank(right):
        return _follow(field, Why.FIRST_FILLED, from_left=is_blank(right))
    return field


def _follow(field: Verdict, why: Why, *, from_left: bool) -> Verdict:
    value = field.bitrix24 if from_left else field.onec
    return replace(field, why=why, for_bitrix24=value, for_onec=value)


def _unite(field: Verdict, unite: Unite) -> Verdict:
    left_base, right_base = ([] if base is _MISSING else base for base in _bases(field))
    united = unite(left_base or [], right_base or [], field.bitrix24 or [], field.onec or [])
    if united is None:
        return field
    return replace(field, why=Why.UNITED, for_bitrix24=united[0], for_onec=united[1])


def _settle(verdict: Verdict, choice: Choice | None) -> Verdict:
    if verdict.why is not Why.CONFLICT or choice is None:
        return verdict
    if (choice.bitrix24, choice.onec) != (verdict.bitrix24, verdict.onec):
        return verdict  # it is another conflict than the one that was decided
    return replace(verdict, why=Why.SETTLED, for_bitrix24=choice.value, for_onec=choice.value)


def _base(baseline: Baseline | None, name: str) -> Baseline | None:
    """Both or none: of a field that one side has only just got, nothing was agreed yet."""
    if baseline is None or name not in baseline.bitrix24 or name not in baseline.onec:
        return None
    return Baseline(bitrix24={name: baseline.bitrix24[name]}, onec={name: baseline.onec[name]})


def _bases(field: Verdict) -> tuple[Any, Any]:
    if field.baseline is None:
        return _MISSING, _MISSING
    return field.baseline.bitrix24[field.field], field.baseline.onec[field.field]


def _never_filled(field: Verdict) -> bool:
    """True where the owner has nothing and never had: the other side's value may fill it."""
    left_base, right_base = _bases(field)
    is_left = field.owner is Owner.BITRIX24
    value, base = (field.bitrix24, left_base) if is_left else (field.onec, right_base)
    return is_blank(value) and (base is _MISSING or is_blank(base))


def is_blank(value: Any) -> bool:
    return value is None or value in ("", [])
