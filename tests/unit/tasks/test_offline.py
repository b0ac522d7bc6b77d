"""What a look at the offline queue leaves in the log: one line of rows, one alarm, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.errors import Misconfigured, RateLimited
from sync_worker.sync.offline import Look
from sync_worker.tasks import offline


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, event: str, **_: Any) -> None:
        self.lines.append(("info", event))

    def error(self, event: str, **_: Any) -> None:
        self.lines.append(("error", event))


@pytest.mark.parametrize(
    ("look", "taken", "lines"),
    [
        (Look(), 0, []),
        (Look(rows={"rung": 2, "kept": 1}), 3, [("info", "offline_queue_read")]),
        (Look(error=Misconfigured("no token"), is_alarm=True), 0, [("error", "offline_queue_shut")]),
        (Look(error=Misconfigured("no token")), 0, [("info", "offline_queue_waits")]),
        (Look(error=RateLimited("spent")), 0, [("info", "offline_queue_waits")]),
        (Look(is_well_again=True), 0, [("info", "offline_queue_read_again")]),
    ],
)
def test_what_is_said_of_a_look(
    monkeypatch: pytest.MonkeyPatch, look: Look, taken: int, lines: list[tuple[str, str]]
) -> None:
    log = Log()
    monkeypatch.setattr(offline, "logger", log)

    assert offline._log(look) == taken
    assert log.lines == lines
