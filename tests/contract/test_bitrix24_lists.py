"""Phones, e-mails and addresses that were united out of both sides: the portal's own entries stay as they stand there.

A plan may write a list that is neither side's. What stays keeps its id, type and typed form; what is new comes with
the source's kind; only what is gone is deleted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_worker.domain.identity import RecordRef
from sync_worker.domain.rules import Kind
from tests.contract.portal_world import INN, PortalWorld, onec_party, portal_world

LEGAL = {"kind": "legal", "city": "Москва", "street": "Мясницкая, 1"}
ACTUAL = {"kind": "actual", "city": "Казань", "street": "Баумана, 2"}
POSTAL = {"kind": "postal", "street": "а/я 5"}


@pytest.fixture
def world():
    with portal_world() as world:
        world.know_users()
        yield world


def entries(world: PortalWorld, ref: RecordRef, name: str) -> list[tuple[str, str, str]]:
    """(id, type, value) as the card has them."""
    card = world.peer.call(f"crm.{ref.type}.get", id=ref.id)
    return [(entry["ID"], entry["VALUE_TYPE"], entry["VALUE"]) for entry in card.get(name, [])]


def unite(world: PortalWorld, ref: RecordRef, kinds: dict[str, str], **changes: Any) -> None:
    source = replace(onec_party(**changes), value_kinds=kinds)
    after = world.parties.update(world.parties.read(ref), changes, source=source)
    fresh = world.parties.read(ref)
    assert {name: after.fields[name] for name in changes} == changes
    assert fresh.fields == after.fields


@pytest.mark.parametrize("make", ["company", "contact"])
def test_phone_that_stays_keeps_id_type_and_form_and_a_new_one_has_the_sources_kind(world, make):
    ref = getattr(world, make)(
        PHONE=[
            {"VALUE": "8 (495) 123-45-67", "VALUE_TYPE": "PAGER"},
            {"VALUE": "8 800 555-35-35", "VALUE_TYPE": "WORK"},
            {"VALUE": "8 916 123-45-67 доб. 5", "VALUE_TYPE": "HOME"},
        ]
    )
    first, _gone, third = entries(world, ref, "PHONE")
    united = ["+74951234567", "+79161234567;ext=5", "+79990000000"]
    unite(world, ref, {"+79990000000": "mobile", "+74951234567": "work"}, phones=united)
    kept, also_kept, new = entries(world, ref, "PHONE")
    assert (kept, also_kept) == (first, third)
    assert new[1:] == ("MOBILE", "+79990000000")


def test_email_that_stays_keeps_its_case_and_new_ones_have_the_sources_kinds(world):
    ref = world.company(EMAIL=[{"VALUE": "Office@Example.com", "VALUE_TYPE": "MAILING"}, {"VALUE": "old@example.com"}])
    first, _gone = entries(world, ref, "EMAIL")
    united = ["a@example.com", "b@example.com", "office@example.com"]
    unite(world, ref, {"a@example.com": "home", "b@example.com": "other"}, emails=united)
    kept, *new = entries(world, ref, "EMAIL")
    assert kept == first
    assert [one[1:] for one in new] == [("HOME", "a@example.com"), ("OTHER", "b@example.com")]


def test_number_that_two_people_typed_stays_twice(world):
    ref = world.company(PHONE=[{"VALUE": "8 (495) 123-45-67"}, {"VALUE": "+7 495 1234567", "VALUE_TYPE": "HOME"}])
    before = entries(world, ref, "PHONE")
    unite(world, ref, {}, phones=["+74951234567", "+79990000000"])
    assert entries(world, ref, "PHONE")[:2] == before


def test_number_that_nobody_can_read_stays(world):
    ref = world.company(PHONE=[{"VALUE": "спросить Анну"}, {"VALUE": "8 800 555-35-35"}])
    unreadable, _gone = entries(world, ref, "PHONE")
    unite(world, ref, {}, phones=["+79990000000", "спросить Анну"])
    assert entries(world, ref, "PHONE")[0] == unreadable


def test_same_list_in_another_order_writes_no_entry(world):
    ref = world.company(PHONE=[{"VALUE": "8 916 000-00-02"}, {"VALUE": "8 916 000-00-01"}])
    before = entries(world, ref, "PHONE")
    unite(world, ref, {"+79160000001": "fax"}, phones=["+79160000001", "+79160000002"])
    assert entries(world, ref, "PHONE") == before


class TestAddresses:
    def rows(self, world: PortalWorld, requisite: int) -> dict[int, dict[str, str]]:
        rows = world.peer.call("crm.address.list", filter={"ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite})
        return {int(row["TYPE_ID"]): {name: value for name, value in row.items() if value} for row in rows}

    def test_kinds_of_both_sides_are_written_where_they_differ_and_only_there(self, world):
        ref = world.company()
        requisite = world.requisite(ref, RQ_INN=INN)
        world.address(requisite, 6, CITY="Тверь")
        world.address(requisite, 1, CITY="Казань", ADDRESS_1="Баумана, 2")
        world.address(requisite, 11, CITY="Клин")
        before, fired = self.rows(world, requisite), len(world.peer.fired())
        unite(world, ref, {}, addresses=[ACTUAL, LEGAL, POSTAL])
        after = self.rows(world, requisite)
        assert (after[1], after[11]) == (before[1], before[11])
        assert (after[6]["CITY"], after[8]["ADDRESS_1"]) == ("Москва", "а/я 5")
        assert world.peer.fired()[fired:].count("ONCRMADDRESSREGISTER") == 2

    def test_kind_that_is_gone_is_emptied_and_the_others_stay(self, world):
        ref = world.company()
        requisite = world.requisite(ref, RQ_INN=INN)
        world.address(requisite, 6, CITY="Москва", ADDRESS_1="Мясницкая, 1")
        world.address(requisite, 8, ADDRESS_1="а/я 5", REGION="Пресненский")
        before = self.rows(world, requisite)
        unite(world, ref, {}, addresses=[LEGAL])
        after = self.rows(world, requisite)
        assert after[6] == before[6]
        assert not {"ADDRESS_1", "REGION"} & after[8].keys()

    def test_district_stays_where_the_town_does(self, world):
        """1C has no district, and the portal forgets what is not sent with the rest."""
        ref = world.company()
        requisite = world.requisite(ref, RQ_INN=INN)
        world.address(requisite, 6, CITY="Москва", REGION="ЦАО", ADDRESS_1="Мясницкая, 1")
        unite(world, ref, {}, addresses=[{**LEGAL, "unit": "оф. 7"}])
        assert self.rows(world, requisite)[6]["REGION"] == "ЦАО"
        unite(world, ref, {}, addresses=[{**LEGAL, "city": "Тверь"}])
        assert "REGION" not in self.rows(world, requisite)[6]

    def test_people_have_theirs_in_a_requisite_of_their_own(self, world):
        ref = world.contact()
        source = onec_party(kind=Kind.PERSON, addresses=[ACTUAL, LEGAL])
        after = world.parties.update(world.parties.read(ref), {"addresses": [ACTUAL, LEGAL]}, source=source)
        assert after == world.parties.read(ref)
        assert after.fields["addresses"] == [ACTUAL, LEGAL]
