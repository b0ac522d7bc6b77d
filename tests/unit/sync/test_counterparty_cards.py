"""A look at the card alone: where it will do, and where the record has to be read whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sync_worker.domain.identity import EntityKind, RecordType, System, bitrix24_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Kind
from sync_worker.entities.contact import CounterpartyRecord
from sync_worker.errors import FieldConflict, LinkBroken
from tests.unit.sync.world import BRANCH_KPP, COMPANY, KPP, REQUISITE, World, company, linked

FOREIGN_PART = bitrix24_ref(RecordType.REQUISITE, 99)


@pytest.fixture
def ringing(world: World) -> World:
    """A linked company on a portal that rings for requisites too."""
    world.linked_company()
    world.links.remember_owner(FOREIGN_PART, bitrix24_ref(RecordType.COMPANY, 98))
    return world


def party(world: World) -> CounterpartyRecord:
    (found,) = world.base.records.values()
    return found


# --- where it will do ------------------------------------------------------------------------------------------------


def test_an_echo_costs_the_card_and_no_call_to_onec(ringing: World) -> None:
    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.ECHO
    assert (ringing.portal.calls, ringing.base.calls) == (["read_card"], [])


def test_an_edit_of_the_card_is_copied_without_reading_the_rest(ringing: World) -> None:
    ringing.portal.edit(COMPANY, phones=["+78005553535"])

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.UPDATED
    assert ringing.portal.calls == ["read_card"]
    assert party(ringing).fields["phones"] == ["+78005553535"]
    assert party(ringing).fields["kpp"] == KPP


def test_what_was_agreed_over_the_card_is_remembered(ringing: World) -> None:
    ringing.portal.edit(COMPANY, phones=["+78005553535"])
    ringing.handle(ringing.ring(COMPANY))

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.ECHO
    assert ringing.handle(ringing.tell(party(ringing))) is Outcome.STALE


def test_both_sides_changed_the_card_alike(ringing: World) -> None:
    ringing.portal.edit(COMPANY, name="Ромашка Плюс")
    ringing.base.edit(party(ringing).ref, name="Ромашка Плюс")

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.UNCHANGED
    assert ringing.portal.calls == ["read_card"]


def test_a_conflict_on_the_card_is_one_without_reading_the_rest(ringing: World) -> None:
    ringing.portal.edit(COMPANY, name="Ромашка Плюс")
    ringing.base.edit(party(ringing).ref, name="Ромашка Люкс")

    with pytest.raises(FieldConflict):
        ringing.handle(ringing.ring(COMPANY))

    assert ringing.portal.calls == ["read_card"]


def test_a_card_that_is_gone_leaves_a_tombstone(ringing: World) -> None:
    del ringing.portal.records[COMPANY]

    ringing.lose(ringing.ring(COMPANY))

    assert ringing.links.find(COMPANY) == linked(COMPANY, party(ringing).ref, deleted_in=System.BITRIX24)


# --- where all has to be read ----------------------------------------------------------------------------------------


def test_what_is_written_to_the_portal_is_merged_with_all_of_it(ringing: World) -> None:
    """1C's КПП is newer than what is remembered, and so is the portal's: nothing rang for that one yet."""
    ringing.portal.edit(COMPANY, phones=["+78005553535"], ogrn="1027700132195")
    ringing.base.edit(party(ringing).ref, kpp=BRANCH_KPP)

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.UPDATED
    assert ringing.portal.calls == ["read_card", "read", "update"]
    assert ringing.portal.records[COMPANY].fields["kpp"] == BRANCH_KPP
    assert party(ringing).fields["ogrn"] == "1027700132195"


def test_a_partner_that_is_not_named_on_the_card_is_written_with_all_of_it(ringing: World) -> None:
    ringing.portal.alter(COMPANY, other_ref=None)

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.UPDATED
    assert ringing.portal.calls == ["read_card", "read", "update"]
    assert ringing.portal.records[COMPANY].other_ref == party(ringing).ref.id


def test_a_record_that_goes_between_card_and_rest_leaves_a_tombstone(ringing: World) -> None:
    ringing.portal.alter(COMPANY, other_ref=None)
    ringing.portal.before("read", lambda: ringing.portal.records.pop(COMPANY))

    with pytest.raises(LinkBroken):
        ringing.handle(ringing.ring(COMPANY))

    assert ringing.base.count("update") == 0


def test_an_event_of_a_part_reads_all(ringing: World) -> None:
    ringing.portal.requisites[REQUISITE] = COMPANY
    ringing.portal.edit(COMPANY, ogrn="1027700132195")

    assert ringing.handle(ringing.ring(REQUISITE)) is Outcome.UPDATED
    assert ringing.portal.calls == ["owner_of", "read"]
    assert party(ringing).fields["ogrn"] == "1027700132195"


def test_the_kind_moves_by_an_event_of_a_part(ringing: World) -> None:
    ringing.portal.requisites[REQUISITE] = COMPANY
    ringing.portal.alter(COMPANY, kind=Kind.SOLE_TRADER)

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.ECHO
    assert ringing.handle(ringing.ring(REQUISITE)) is Outcome.UPDATED
    assert party(ringing).kind is Kind.SOLE_TRADER


def test_an_event_that_asks_for_all_of_it_gets_it(ringing: World) -> None:
    ringing.handle(replace(ringing.ring(COMPANY), whole=True))

    assert ringing.portal.calls == ["read"]


def test_a_portal_that_never_rang_for_a_part_is_read_whole(world: World) -> None:
    world.linked_company()
    world.portal.edit(COMPANY, ogrn="1027700132195")

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.calls == ["read"]


@pytest.mark.parametrize("gap", [{"baseline": None}, {"marks": {}}], ids=["no baseline", "no kind"])
def test_what_is_not_remembered_is_read(ringing: World, gap: Mapping[str, Any]) -> None:
    memory = ringing.memories.get(EntityKind.CONTACT, COMPANY)
    ringing.memories.save(EntityKind.CONTACT, COMPANY, replace(memory, **gap))

    ringing.handle(ringing.ring(COMPANY))

    assert ringing.portal.count("read_card") == 0


def test_a_record_that_was_restored_is_read_whole(ringing: World) -> None:
    ringing.links.save(linked(COMPANY, party(ringing).ref, deleted_in=System.BITRIX24))

    assert ringing.handle(ringing.ring(COMPANY)) is Outcome.UNCHANGED  # and what 1C did meanwhile is looked at
    assert ringing.portal.calls == ["read"]


# --- whose part it is ------------------------------------------------------------------------------------------------


def test_the_owner_of_a_part_is_asked_for_once(ringing: World) -> None:
    ringing.portal.requisites[REQUISITE] = COMPANY

    ringing.handle(ringing.ring(REQUISITE))
    ringing.handle(ringing.ring(REQUISITE))

    assert ringing.portal.calls == ["owner_of", "read", "read"]


def test_a_part_whose_owner_was_merged_away_is_the_survivors(ringing: World) -> None:
    survivor = bitrix24_ref(RecordType.COMPANY, 70)
    ringing.portal.put(company(survivor))
    ringing.links.remember_owner(REQUISITE, COMPANY)
    ringing.links.save(linked(COMPANY, party(ringing).ref, deleted_in=System.BITRIX24))
    ringing.portal.requisites[REQUISITE] = survivor

    found = ringing.worker.resolve(ringing.ring(REQUISITE))

    assert found is not None
    assert (found.record, found.whole) == (survivor, True)
    assert ringing.links.find_owner(REQUISITE) == survivor
