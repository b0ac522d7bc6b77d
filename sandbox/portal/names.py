"""The three spellings of a field: as stored (UPPER_CASE), in crm.item.* (camelCase), and user fields, which differ."""

from __future__ import annotations

import re
from collections.abc import Iterable

# after the object's number: only letters, or (with a number) only digits
_REGULAR = re.compile(r"^UF_CRM_(?:(?P<number>\d+)_)?(?P<tail>[A-Z]+(?:_[A-Z]+)*)$|^UF_CRM_\d+(?:_\d+)+$")
_PREFIX = "UF_CRM_"


def camel(upper: str) -> str:
    """ASSIGNED_BY_ID -> assignedById."""
    head, *rest = upper.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def upper(camel_case: str) -> str:
    """parentId2 -> PARENT_ID_2."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<=[a-z])(\d)", lambda found: f"_{found[0]}", camel_case).upper()


def user_field_name(original: str) -> str:
    """Convert a user field's name as crm.item.* does by default.

    UF_CRM_3_DIGIT -> ufCrm3Digit and UF_CRM_10_5186744711 -> ufCrm10_5186744711 are regular; where letters and digits
    mix only the prefix changes: UF_CRM_1C_ID -> ufCrm_1C_ID, UF_CRM_1747309879 -> ufCrm_1747309879.
    Source: api-reference/crm/universal/index.md, read 2026-08.
    """
    found = _REGULAR.match(original)
    if not found:
        return "ufCrm_" + original.removeprefix(_PREFIX)
    if found["tail"] is None:
        return "ufCrm" + original.removeprefix(_PREFIX)
    words = "".join(word.capitalize() for word in found["tail"].split("_"))
    return f"ufCrm{found['number'] or ''}{words}"


def user_field_names(originals: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name every user field of an object; one whose converted name is taken keeps its upper case."""
    used = set(taken)
    names = {}
    for original in originals:
        converted = user_field_name(original)
        names[original] = original if converted in used else converted
        used.add(names[original])
    return names
