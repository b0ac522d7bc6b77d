"""May this call still leave? A task whose lease has run out must not write: another works on its record by then."""

from __future__ import annotations

from collections.abc import Callable

Fence = Callable[[], None]
"""Asked right before a call leaves, in whichever thread that is. It raises where the call may not leave any more."""


def no_fence() -> None:
    """For calls that are made under no lease."""


def under_no_lease() -> Fence:
    """The fence of whoever holds nothing."""
    return no_fence
