"""Threads that meet where the test wants them to. Conditions are polled; nothing is measured by the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

LONG = 60  # seconds; only a hung test waits for so long


class Gate:
    """Where a journey stops until the test lets it through."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def stop(self) -> None:
        self.reached.set()
        assert self.opened.wait(LONG)


def await_that(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(LONG * 1000):
        if is_so():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to that")
