"""The table of docs/reliability.md: a row for each trial, made anew one at a time."""

from __future__ import annotations

from tests.process.trials import Verdict
from tests.trials import BEGIN, END, PAGE, TRIALS, with_row

EMPTY = f"before\n{BEGIN}\n{END}\nafter\n"


def verdict(seen: str) -> Verdict:
    return Verdict(trial="what was done", seed=7, passed=True, seen=seen)


def test_a_row_is_made_anew_and_the_others_stay_in_order() -> None:
    page = with_row(EMPTY, "redis_cuts", verdict("first"), seconds=1)
    page = with_row(page, "create_kills", verdict("second"), seconds=1)
    page = with_row(page, "redis_cuts", verdict("a | b"), seconds=1)

    rows = [line for line in page.splitlines() if line.startswith("| `") and "python" not in line]
    assert [row.split("`")[1] for row in rows] == ["create_kills", "redis_cuts"]
    assert "a / b" in rows[1]
    assert "first" not in page
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")


def test_the_page_tells_of_every_trial() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert BEGIN in page
    assert END in page
    assert [name for name in TRIALS if f"`{name}" not in page] == []
