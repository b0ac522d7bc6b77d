"""The line that `up` keeps up to date."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sync_worker.cli.status_line import StatusLine, in_words, spoken

TOLD: dict[str, Any] = {
    "status": "ready",
    "queued": {"deal": 2, "contact.bulk": 40},
    "parked": 3,
    "oldest_seconds": {"contact": 0.0, "deal": 61.2, "status": 4.0},
    "dead_letters": 1,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_tells_what_waits_how_long_and_what_needs_a_person() -> None:
    assert in_words(TOLD) == "queued 42 (contact.bulk 40, deal 2)  parked 3  oldest 61 s (deal)  letters 1"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({**TOLD, "queued": {}, "oldest_seconds": {"deal": 0.0}}, "queued 0  parked 3  oldest -  letters 1"),
        ({"status": "ready", "parked": 0, "dead_letters": 0}, "parked 0  letters 0"),
        ({"status": "ready"}, ""),
        ({"status": "degraded", "troubles": ["the broker is away"]}, "degraded: the broker is away"),
        ({"refused": 503}, "the ingress takes no events (503): the queue cannot be reached"),
        ({}, "the ingress does not answer"),
    ],
    ids=["idle", "rabbitmq", "no redis", "spool", "refusing", "gone"],
)
def test_what_is_not_told_is_left_out(told: dict[str, Any], words: str) -> None:
    assert in_words(told) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (3000, "50 min"), (9000, "2.5 h")])
def test_ages_are_said_as_people_do(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def _shown(out: io.StringIO, *, seconds: int) -> str:
    """What is written when it is called each second; nobody answers at that address."""
    now = [100.0]
    line = StatusLine("http://127.0.0.1:1/readyz", out=out, monotonic=lambda: now[0])
    for _ in range(seconds):
        line.show()
        now[0] += 1
    line.end()
    return out.getvalue()


def test_a_pipe_gets_a_line_a_minute() -> None:
    lines = _shown(io.StringIO(), seconds=121).splitlines()

    assert len(lines) == 3
    assert all(line.endswith("  the ingress does not answer") for line in lines)


def test_a_terminal_gets_one_line_that_is_written_over() -> None:
    text = _shown(Terminal(), seconds=10)

    assert text.count("\r") == 5
    assert text.count("\n") == 1
