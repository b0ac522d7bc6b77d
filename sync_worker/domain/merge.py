"""Three-way merge, field by field, against what both sides last agreed on.

Values are compared by content. A field that only one side has at all (its key is absent on the other) is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_worker.domain.identity import System
from sync_worker.domain.rules import Owner

Fields = Mapping[str, Any]
_MISSING = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What each side had when both last agreed. Two views, because a side may be unable to hold the other's value."""

    bitrix24: Fields
    onec: Fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """One shared field that both sides changed to different values."""

    field: str
    baseline: Any
    bitrix24: Any
    onec: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to write where. Nothing may be written while there are conflicts."""

    to_bitrix24: Fields
    to_onec: Fields
    put_back: frozenset[str]  # owned fields that the other side had changed
    conflicts: tuple[Conflict, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.to_bitrix24 or self.to_onec or self.conflicts)


def merge(
    *, baseline: Baseline | None, bitrix24: Fields, onec: Fields, owners: Mapping[str, Owner], fill_blank: bool
) -> Plan:
    """Decide for every field that both sides have. Fields without an owner in `owners` are shared."""
    to_bitrix24: dict[str, Any] = {}
    to_onec: dict[str, Any] = {}
    put_back: set[str] = set()
    conflicts: list[Conflict] = []
    for name in sorted(bitrix24.keys() & onec.keys()):
        left, right = bitrix24[name], onec[name]
        if left == right:
            continue
        owner = owners.get(name, Owner.SHARED)
        left_base, right_base = _bases(baseline, name)
        left_changed, right_changed = left != left_base, right != right_base
        if not left_changed and not right_changed:
            continue  # they were agreed to differ: one side could not hold the other's value
        winner = _winner(
            left_changed=left_changed,
            right_changed=right_changed,
            owner=owner.system,
            blank_owner=fill_blank and _never_filled(owner, left, right, left_base, right_base),
            left_blank=_is_blank(left) and left_base is _MISSING,
            right_blank=_is_blank(right) and right_base is _MISSING,
        )
        if winner is None:
            known = None if left_base is _MISSING else left_base
            conflicts.append(Conflict(field=name, baseline=known, bitrix24=left, onec=right))
        elif winner is System.BITRIX24:
            to_onec[name] = left
            if owner is Owner.BITRIX24 and right_base is not _MISSING and right != right_base:
                put_back.add(name)
        else:
            to_bitrix24[name] = right
            if owner is Owner.ONEC and left_base is not _MISSING and left != left_base:
                put_back.add(name)
    return Plan(to_bitrix24=to_bitrix24, to_onec=to_onec, put_back=frozenset(put_back), conflicts=tuple(conflicts))


def _winner(
    *,
    left_changed: bool,
    right_changed: bool,
    owner: System | None,
    blank_owner: bool,
    left_blank: bool,
    right_blank: bool,
) -> System | None:
    """Whose value is right; None for a conflict. The table of docs/merge.md, row by row."""
    if owner is not None:
        other = System.ONEC if owner is System.BITRIX24 else System.BITRIX24
        return other if blank_owner else owner
    if left_changed and not right_changed:
        return System.BITRIX24
    if right_changed and not left_changed:
        return System.ONEC
    if left_blank != right_blank:  # first meeting: a blank is no opinion
        return System.ONEC if left_blank else System.BITRIX24
    return None


def _bases(baseline: Baseline | None, name: str) -> tuple[Any, Any]:
    """Both or none: of a field that one side has only just got, nothing was agreed yet."""
    if baseline is None or name not in baseline.bitrix24 or name not in baseline.onec:
        return _MISSING, _MISSING
    return baseline.bitrix24[name], baseline.onec[name]


def _never_filled(owner: Owner, left: Any, right: Any, left_base: Any, right_base: Any) -> bool:
    """True where the owner has nothing and never had: the other side's value may fill it."""
    value, base = (left, left_base) if owner is Owner.BITRIX24 else (right, right_base)
    return _is_blank(value) and (base is _MISSING or _is_blank(base))


def _is_blank(value: Any) -> bool:
    return value is None or value in ("", [])


def agreed(*, bitrix24: Fields, onec: Fields, plan: Plan) -> Baseline:
    """The baseline after the plan was carried out."""
    return Baseline(bitrix24={**bitrix24, **plan.to_bitrix24}, onec={**onec, **plan.to_onec})
