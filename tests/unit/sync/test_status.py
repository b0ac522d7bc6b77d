"""Order status in 1C -> the stage of that deal's own pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_worker.contract import OnecState
from sync_worker.domain.identity import EntityKind, System
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import DealClosed, LinkBroken, RecordBusy, StageRefused, StatusUnmapped
from tests.unit.sync.world import DEAL, ORDER, World, deal, linked


def told(world: World, status: str | None, *, sequence: int = 1, external_id: str | None = "b24:deal:5") -> Any:
    data = {"number": "1", "status": status}
    state = OnecState(data=data, sequence=sequence, version="v", external_id=external_id, event_id=f"e{sequence}")
    return world.event(EntityKind.STATUS, ORDER, state)


@pytest.fixture
def ordered(world: World) -> World:
    """A world where the deal has its order."""
    world.links.save(linked(DEAL, ORDER))
    world.deals.records[DEAL] = deal()
    return world


def test_a_status_moves_the_deal(ordered: World) -> None:
    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.UPDATED
    assert ordered.deals.records[DEAL].stage == "FINAL_INVOICE"


def test_a_deal_that_stands_there_already_is_not_moved(ordered: World) -> None:
    ordered.deals.records[DEAL] = deal(stage="FINAL_INVOICE")

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.UNCHANGED
    assert ordered.deals.count("move") == 0


def test_a_closed_deal_that_stands_there_already_is_no_question(ordered: World) -> None:
    ordered.deals.records[DEAL] = deal(stage="WON", is_closed=True)

    assert ordered.handle(told(ordered, "Закрыт")) is Outcome.UNCHANGED


def test_a_status_in_ignore_statuses_means_nothing(ordered: World) -> None:
    assert ordered.handle(told(ordered, "НеСогласован")) is Outcome.UNCHANGED
    assert ordered.deals.count("move") == 0


def test_a_status_that_is_not_mapped_is_a_question(ordered: World) -> None:
    with pytest.raises(StatusUnmapped, match="ВРезерве has no stage in pipeline 0"):
        ordered.handle(told(ordered, "ВРезерве"))


def test_a_status_that_was_not_mapped_is_handled_once_it_is(ordered: World) -> None:
    event = told(ordered, "ВРезерве")
    ordered.run(event)
    pipeline = replace(ordered.rules.pipelines[0], stages={"ВРезерве": "NEW"})
    ordered.rules = replace(ordered.rules, pipelines={0: pipeline})

    assert ordered.handle(ordered.replay()) is Outcome.UPDATED
    assert ordered.letters.count_by_cause() == {}


def test_a_closed_deal_is_not_reopened_silently(ordered: World) -> None:
    ordered.deals.records[DEAL] = deal(stage="LOSE", is_closed=True)

    with pytest.raises(DealClosed, match="LOSE"):
        ordered.handle(told(ordered, "КОтгрузке"))

    assert ordered.deals.records[DEAL].stage == "LOSE"


def test_a_closed_deal_is_reopened_where_the_rules_say_so(ordered: World) -> None:
    pipeline = replace(ordered.rules.pipelines[0], reopen_closed=True)
    ordered.rules = replace(ordered.rules, pipelines={0: pipeline})
    ordered.deals.records[DEAL] = deal(stage="LOSE", is_closed=True)

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.UPDATED


def test_a_deal_that_does_not_move_is_told(ordered: World) -> None:
    ordered.deals.sticky.add(DEAL)

    with pytest.raises(StageRefused, match="stayed at stage EXECUTING instead of FINAL_INVOICE"):
        ordered.handle(told(ordered, "КОтгрузке"))


def test_a_status_that_failed_is_not_taken_for_handled(ordered: World) -> None:
    ordered.deals.fail("move", StageRefused("a required field is empty"))
    with pytest.raises(StageRefused):
        ordered.handle(told(ordered, "КОтгрузке"))

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.UPDATED


def test_an_older_status_that_comes_late_changes_nothing(ordered: World) -> None:
    ordered.handle(told(ordered, "Закрыт", sequence=2))

    assert ordered.handle(told(ordered, "КОтгрузке", sequence=1)) is Outcome.STALE
    assert ordered.deals.records[DEAL].stage == "WON"


def test_the_same_status_twice_costs_no_call(ordered: World) -> None:
    ordered.handle(told(ordered, "КОтгрузке"))
    ordered.forget_calls()

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.STALE
    assert ordered.deals.calls == []


def test_an_order_without_a_status_says_nothing(ordered: World) -> None:
    assert ordered.handle(told(ordered, None)) is Outcome.UNCHANGED


def test_a_deal_in_a_pipeline_that_does_not_sync_is_left_alone(ordered: World) -> None:
    ordered.deals.records[DEAL] = deal(category=1, stage="C1:NEW")

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.SKIPPED


def test_an_order_that_knows_its_deal_before_our_link_was_saved_is_linked(world: World) -> None:
    world.deals.records[DEAL] = deal()

    assert world.handle(told(world, "КОтгрузке")) is Outcome.UPDATED
    assert world.links.find(ORDER) == linked(DEAL, ORDER)


def test_an_order_that_no_deal_made_is_nothing(world: World) -> None:
    assert world.handle(told(world, "КОтгрузке", external_id=None)) is Outcome.SKIPPED


def test_a_tombstone_is_final(ordered: World) -> None:
    ordered.links.save(linked(DEAL, ORDER, deleted_in=System.BITRIX24))

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.SKIPPED


def test_an_order_that_was_restored_moves_its_deal_again(ordered: World) -> None:
    ordered.links.save(linked(DEAL, ORDER, deleted_in=System.ONEC))

    assert ordered.handle(told(ordered, "КОтгрузке")) is Outcome.UPDATED
    assert ordered.links.find(DEAL) == linked(DEAL, ORDER)


def test_an_older_status_that_comes_late_revives_no_order(ordered: World) -> None:
    ordered.lose(ordered.deleted_in_onec(EntityKind.STATUS, ORDER, sequence=3))

    assert ordered.handle(told(ordered, "КОтгрузке", sequence=2)) is Outcome.STALE
    assert ordered.links.find(DEAL) == linked(DEAL, ORDER, deleted_in=System.ONEC)


def test_a_deletion_that_comes_late_buries_no_order(ordered: World) -> None:
    ordered.handle(told(ordered, "КОтгрузке", sequence=3))

    assert ordered.handle(ordered.deleted_in_onec(EntityKind.STATUS, ORDER, sequence=2)) is Outcome.STALE
    assert ordered.links.find(DEAL) == linked(DEAL, ORDER)


def test_a_deal_that_is_gone_is_told(ordered: World) -> None:
    del ordered.deals.records[DEAL]

    with pytest.raises(LinkBroken, match="is gone"):
        ordered.handle(told(ordered, "КОтгрузке"))


def test_a_deleted_order_leaves_a_tombstone_and_its_deal(ordered: World) -> None:
    ordered.lose(ordered.deleted_in_onec(EntityKind.STATUS, ORDER))

    assert ordered.links.find(DEAL) == linked(DEAL, ORDER, deleted_in=System.ONEC)
    assert ordered.deals.calls == []


def test_a_deal_that_another_task_holds_is_left_to_it(ordered: World) -> None:
    with ordered.locks.hold(str(DEAL)), pytest.raises(RecordBusy):
        ordered.handle(told(ordered, "КОтгрузке"))

    assert ordered.deals.calls == []


def test_a_doorbell_of_bitrix24_says_nothing_of_a_status(ordered: World) -> None:
    assert ordered.handle(ordered.ring(DEAL, entity=EntityKind.STATUS)) is Outcome.SKIPPED
