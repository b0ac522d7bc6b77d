"""When a change counts as heard of, and when a side looks empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync_worker.domain.drift import Heard, SweepState, Swept, bell_name, drift_of, heard_of, looks_empty
from sync_worker.domain.identity import EntityKind

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("read_after_seconds", "heard"),
    [
        (-3600, Heard.NO),
        (-1.5, Heard.NO),
        (-1.0, Heard.PERHAPS),  # the clocks may be a second apart
        (0.5, Heard.PERHAPS),  # the stamp is cut off to the second: the change may have come after the read
        (1.9, Heard.PERHAPS),
        (2.0, Heard.YES),
        (3600, Heard.YES),
    ],
)
def test_read_covers_a_change_that_surely_came_before_it(read_after_seconds, heard):
    assert heard_of(changed_at=NOON, began=after(read_after_seconds), now=after(7200)) is heard


def test_record_that_was_never_read_is_not_heard_of():
    assert heard_of(changed_at=NOON, began=None, now=after(60)) is Heard.NO


def test_read_at_a_moment_to_come_covers_nothing():
    assert heard_of(changed_at=NOON, began=after(100), now=after(60)) is Heard.NO


@pytest.mark.parametrize(
    ("gone", "of", "is_empty"),
    [(20, 20, False), (21, 21, True), (21, 42, False), (22, 42, True), (300, 1000, False), (0, 0, False)],
)
def test_side_looks_empty_when_more_than_half_and_more_than_a_few_are_gone(gone, of, is_empty):
    assert looks_empty(gone=gone, of=of) is is_empty


def test_drift_is_summed_over_the_sources_of_an_entity():
    parts = [
        Swept(source="contact", state=SweepState.DONE, drift={EntityKind.CONTACT: 2}),
        Swept(source="company", state=SweepState.DONE, drift={EntityKind.CONTACT: 1}),
        Swept(source="deal", state=SweepState.DONE, drift={EntityKind.DEAL: 0}),
    ]

    assert drift_of(parts) == {EntityKind.CONTACT: 3, EntityKind.DEAL: 0}


def test_look_at_the_whole_record_has_a_name_of_its_own():
    names = {bell_name(EntityKind.CONTACT, "bitrix24:company:7", whole=whole) for whole in (False, True)}

    assert names == {"contact bitrix24:company:7", "contact bitrix24:company:7 whole"}
