"""Who has to be told what, and when: a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from sync_worker.domain.alert import Told
from sync_worker.errors import FieldConflict, SyncError, all_causes
from sync_worker.sync.alerts import Alert, Reason, due, settled
from tests.contract.store_worlds import NOON

CAUSE = "field_conflict"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def told(count: int, *, ago: timedelta = HOUR) -> Mapping[str, Told]:
    return {CAUSE: Told(count=count, at=NOON - ago)}


@pytest.mark.parametrize(
    ("count", "before", "expected"),
    [
        pytest.param(1, {}, Reason.NEW, id="the first letter of a cause"),
        pytest.param(412, {}, Reason.NEW, id="many at once"),
        pytest.param(0, {}, None, id="a cause without letters"),
        pytest.param(0, told(3, ago=DAY), None, id="settled: no reminder"),
        pytest.param(3, told(3), None, id="told, and nothing is new"),
        pytest.param(29, told(3), None, id="grown, but not tenfold"),
        pytest.param(30, told(3), Reason.GROWN, id="grown tenfold"),
        pytest.param(30, told(3, ago=DAY), Reason.GROWN, id="growth is told rather than a reminder"),
        pytest.param(1, told(3), None, id="fewer than told"),
        pytest.param(3, told(3, ago=DAY - MOMENT), None, id="not yet a day"),
        pytest.param(3, told(3, ago=DAY), Reason.STILL_THERE, id="a day later"),
        pytest.param(1, told(3, ago=DAY), Reason.STILL_THERE, id="a day later, some are settled"),
        pytest.param(3, told(3, ago=-DAY), None, id="told by a clock that is ahead"),
    ],
)
def test_a_message_is_due(count: int, before: Mapping[str, Told], expected: Reason | None) -> None:
    found = due({CAUSE: count}, before, NOON)

    assert found == ([Alert(cause=CAUSE, count=count, reason=expected)] if expected else [])


def test_each_cause_has_a_message_of_its_own() -> None:
    counts = {"order_locked": 2, "field_conflict": 3, "link_broken": 1}

    found = due(counts, {"link_broken": Told(count=1, at=NOON)}, NOON)

    assert [(alert.cause, alert.count) for alert in found] == [("field_conflict", 3), ("order_locked", 2)]


def test_a_cause_that_is_empty_again_is_forgotten_so_that_its_next_letter_is_news() -> None:
    before = {cause: Told(count=1, at=NOON) for cause in ("field_conflict", "order_locked", "link_broken")}

    assert settled({"field_conflict": 1, "order_locked": 0}, before) == {"order_locked", "link_broken"}


@pytest.mark.parametrize(
    ("count", "reason", "start"),
    [
        (1, Reason.NEW, "1 dead letter: field_conflict. Next: "),
        (3, Reason.NEW, "3 dead letters: field_conflict. Next: "),
        (30, Reason.GROWN, "Now 30 dead letters: field_conflict. Next: "),
        (2, Reason.STILL_THERE, "Still 2 dead letters: field_conflict. Next: "),
    ],
)
def test_the_text_says_how_many_why_and_what_to_do(count: int, reason: Reason, start: str) -> None:
    message = Alert(cause=CAUSE, count=count, reason=reason).message()

    text = str(message.pop("text"))
    assert text.startswith(f"{start}{FieldConflict.advice} ")
    assert text.endswith("See `sync-worker dead list --cause field_conflict` or Flower's Dead letters.")
    assert message == {"cause": CAUSE, "count": count, "reason": reason.value}


@pytest.mark.parametrize("cause", sorted({*all_causes(), "internal_error"}))
def test_every_cause_has_a_next_step(cause: str) -> None:
    advice = all_causes().get(cause, SyncError).advice

    assert len(advice) > 20
    assert advice in Alert(cause=cause, count=1, reason=Reason.NEW).text
