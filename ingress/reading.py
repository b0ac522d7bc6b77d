"""What reading a request can come to, besides a ChangeEvent or a Misfit of the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sync_worker.contract import ChangeEvent, Misfit

_POSITIVE = re.compile(r"0*([1-9][0-9]{0,18})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """An authentic event that nobody handles: counted and let go."""

    code: str


Reading = ChangeEvent | Misfit | Ignored


def positive_id(value: object) -> str | None:
    """Bitrix24's id as the decimal text of a positive integer; None where it is no such thing."""
    match = _POSITIVE.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1] if match else None
