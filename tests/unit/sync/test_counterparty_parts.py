"""What belongs to a counterparty: requisites, the deal that needs it first, fields that come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import RecordType, System, bitrix24_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, Owner
from sync_worker.errors import (
    LinkBroken,
    NoCounterparty,
)
from tests.unit.sync.world import (
    COMPANY,
    CONTACT,
    INN,
    IVANOV,
    PARTY,
    REQUISITE,
    ROMASHKA,
    World,
    company,
    contact,
    linked,
)


def with_rules(world: World, **changes: object) -> None:
    world.rules = replace(world.rules, counterparties=replace(world.rules.counterparties, **changes))


# --- requisites ------------------------------------------------------------------------------------------------------


def test_a_requisite_is_an_event_of_its_owner(world: World) -> None:
    world.portal.put(company())
    world.portal.requisites[REQUISITE] = COMPANY

    assert world.handle(world.ring(REQUISITE)) is Outcome.CREATED
    assert world.links.find(COMPANY) is not None


def test_a_deleted_requisite_changes_its_owner_and_deletes_nobody(world: World) -> None:
    _, party = world.linked_company()
    world.portal.requisites[REQUISITE] = COMPANY
    world.handle(world.ring(REQUISITE))
    del world.portal.requisites[REQUISITE]
    world.portal.edit(COMPANY, inn=None, kpp=None)

    assert world.handle(world.ring(REQUISITE, change=Change.DELETED)) is Outcome.UPDATED
    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)
    assert world.portal.records[COMPANY].fields["inn"] == INN


def test_a_requisite_that_is_gone_already_is_known_by_its_last_owner(world: World) -> None:
    world.portal.put(company())
    world.links.remember_owner(REQUISITE, COMPANY)

    assert world.handle(world.ring(REQUISITE)) is Outcome.CREATED


@pytest.mark.parametrize("change", list(Change))
def test_a_requisite_of_nobody_is_nothing(world: World, change: Change) -> None:
    assert world.handle(world.ring(REQUISITE, change=change)) is Outcome.SKIPPED


# --- sent first, for a deal ------------------------------------------------------------------------------------------


def test_ensure_sends_a_counterparty_that_onec_has_not(world: World) -> None:
    world.portal.put(company())

    ref = world.counterparties.ensure(COMPANY)

    assert ref in world.base.records


def test_ensure_makes_no_call_for_a_linked_one(world: World) -> None:
    _, party = world.linked_company()

    assert world.counterparties.ensure(COMPANY) == party.ref
    assert world.portal.calls == world.base.calls == []


def test_ensure_takes_the_company_of_a_contact_that_does_not_travel(world: World) -> None:
    with_rules(world, contacts=Contacts.WITHOUT_COMPANY)
    _, party = world.linked_company()
    world.portal.put(contact(company_id=COMPANY.id))

    assert world.counterparties.ensure(CONTACT) == party.ref
    assert world.links.find(CONTACT) is None


def test_ensure_does_not_take_the_company_where_contacts_are_kept_out_altogether(world: World) -> None:
    with_rules(world, contacts=Contacts.NONE)
    world.linked_company()
    world.portal.put(contact(company_id=COMPANY.id))

    with pytest.raises(NoCounterparty):
        world.counterparties.ensure(CONTACT)


@pytest.mark.parametrize("contacts", [Contacts.NONE, Contacts.WITHOUT_COMPANY])
def test_ensure_names_nobody_where_the_rules_keep_everybody_out(world: World, contacts: Contacts) -> None:
    with_rules(world, contacts=contacts, companies=False)
    world.portal.put(company())
    world.portal.put(contact(company_id=COMPANY.id))

    with pytest.raises(NoCounterparty):
        world.counterparties.ensure(CONTACT)


def test_ensure_names_nobody_for_a_contact_that_is_gone(world: World) -> None:
    with pytest.raises(NoCounterparty):
        world.counterparties.ensure(CONTACT)


def test_ensure_does_not_revive_a_tombstone(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.ONEC))

    with pytest.raises(LinkBroken, match="deleted in onec"):
        world.counterparties.ensure(COMPANY)


# --- fields that come and go -----------------------------------------------------------------------------------------


def test_a_field_that_onec_has_only_just_got_does_not_wipe_the_portals(world: World) -> None:
    """An upgraded 1C configuration shows `comment` for the first time, and it is blank there."""
    without = {name: value for name, value in ROMASHKA.items() if name != "comment"}
    world.portal.put(company(fields={**ROMASHKA, "comment": "скидка 5 %"}))
    world.base.put(company(PARTY, fields=without))
    world.handle(world.ring(COMPANY))
    told = world.base.edit(PARTY, comment=None)

    world.handle(world.tell(told))

    assert world.portal.records[COMPANY].fields["comment"] == "скидка 5 %"
    assert world.base.records[PARTY].fields["comment"] == "скидка 5 %"


def test_fill_blank_lets_the_portal_fill_what_onec_never_had(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, ogrn="1027700132195")

    world.handle(world.ring(COMPANY))

    assert world.base.records[party.ref].fields["ogrn"] == "1027700132195"


def test_without_fill_blank_a_blank_of_the_owner_wins(world: World) -> None:
    with_rules(world, fill_blank=False)
    world.linked_company()
    world.portal.edit(COMPANY, ogrn="1027700132195")

    world.handle(world.ring(COMPANY))

    assert world.portal.records[COMPANY].fields["ogrn"] is None


def test_a_new_card_does_not_wipe_onec_where_bitrix24_owns_the_inn(world: World) -> None:
    """A card has no requisite when it is made: its blanks are no opinion, fill_blank or not."""
    owners = {**world.rules.counterparties.owners, "inn": Owner.BITRIX24}
    with_rules(world, fill_blank=False, owners=owners)
    told = world.base.put(company(PARTY))

    world.handle(world.tell(told))

    assert world.base.records[PARTY].fields["inn"] == INN
    link = world.links.find(PARTY)
    assert link is not None
    assert world.portal.records[link.bitrix24].fields["inn"] == INN


def test_the_primary_key_of_two_portal_records_is_their_type_and_id(world: World) -> None:
    namesake = bitrix24_ref(RecordType.CONTACT, COMPANY.id)
    world.portal.put(company())
    world.portal.put(contact(namesake, fields=IVANOV))
    world.handle(world.ring(COMPANY))
    world.handle(world.ring(namesake))

    assert {record.other_ref for record in world.base.records.values()} == {"b24:company:7", "b24:contact:7"}
