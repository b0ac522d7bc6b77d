"""Lists that both sides may change at once: phones and e-mails as sets, addresses by their kind.

Each function takes both sides' baselines and both present values, as canonical lists, and returns what Bitrix24 and 1C
are to have, or None for a conflict. The baselines are apart because a side may be unable to hold the other's value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Items = Sequence[Any]
Unite = Callable[[Items, Items, Items, Items], tuple[list[Any], list[Any]] | None]


def unite_sets(left_base: Items, right_base: Items, left: Items, right: Items) -> tuple[list[Any], list[Any]]:
    """What either side added is added to the other, what either removed is removed. There is no conflict."""
    was_left, was_right, is_left, is_right = set(left_base), set(right_base), set(left), set(right)
    new_left = (is_left - (was_right - is_right)) | (is_right - was_right)
    new_right = (is_right - (was_left - is_left)) | (is_left - was_left)
    return sorted(new_left), sorted(new_right)


def unite_by_kind(left_base: Items, right_base: Items, left: Items, right: Items) -> tuple[list[Any], list[Any]] | None:
    """Each kind for itself: the side that changed it is followed; changed on both to different values is a conflict."""
    was_left, was_right, is_left, is_right = (_by_kind(items) for items in (left_base, right_base, left, right))
    new_left, new_right = dict(is_left), dict(is_right)
    for kind in is_left.keys() | is_right.keys():
        one, other = is_left.get(kind), is_right.get(kind)
        left_moved, right_moved = one != was_left.get(kind), other != was_right.get(kind)
        if one == other or not (left_moved or right_moved):
            continue
        if left_moved and right_moved and one is not None and other is not None:
            return None
        # of a kind that one changed and the other removed, the address that somebody wrote is worth more
        follow_left = left_moved and (not right_moved or other is None)
        _put(new_right if follow_left else new_left, kind, one if follow_left else other)
    return _listed(new_left), _listed(new_right)


def _by_kind(items: Items) -> dict[str, Mapping[str, Any]]:
    return {item["kind"]: item for item in items}


def _put(items: dict[str, Mapping[str, Any]], kind: str, item: Mapping[str, Any] | None) -> None:
    if item is None:
        items.pop(kind, None)
    else:
        items[kind] = item


def _listed(items: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    return [items[kind] for kind in sorted(items)]
