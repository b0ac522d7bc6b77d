"""What people were told of dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The last message about the letters of one cause."""

    count: int  # how many letters it told of
    at: datetime
