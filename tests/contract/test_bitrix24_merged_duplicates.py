"""Two cards that were merged on the portal: who took over the 1C ref is found, and can take over the link."""

from __future__ import annotations

import pytest

from sync_worker.domain.identity import RecordRef, RecordType, onec_ref
from sync_worker.entities.contact import MatchKeys
from tests.contract.portal_world import INN, ONEC_ID, OTHER_ONEC_ID, PortalWorld, onec_party, portal_world

LINKED = onec_ref(RecordType.COUNTERPARTY, ONEC_ID)
OTHER = onec_ref(RecordType.COUNTERPARTY, OTHER_ONEC_ID)


@pytest.fixture
def world():
    with portal_world() as world:
        world.know_users()
        yield world


@pytest.fixture
def world_without_our_field():
    with portal_world(with_user_fields=False) as world:
        world.know_users()
        yield world


def merge(world: PortalWorld, winner: RecordRef, loser: RecordRef) -> None:
    kind = "contacts" if winner.type is RecordType.CONTACT else "companies"
    assert world.peer.form(f"/ui/{kind}/merge", {"winner": winner.id, "loser": loser.id}).status_code == 200


def carriers(world: PortalWorld, onec: RecordRef) -> list[RecordRef]:
    return [record.ref for record in world.parties.find(MatchKeys(), linked_to=onec)]


@pytest.mark.parametrize("make", ["contact", "company"])
def test_winner_without_a_partner_takes_over_the_losers(world, make):
    winner, loser = getattr(world, make)(), getattr(world, make)(UF_CRM_1C_ID=ONEC_ID)
    merge(world, winner, loser)
    (found,) = world.parties.find(MatchKeys(), linked_to=LINKED)
    assert (found.ref, found.other_ref) == (winner, ONEC_ID)
    assert world.parties.read(loser) is None


def test_winner_with_a_partner_is_still_found_by_the_origin_that_it_took_over(world):
    """1C has two for one now: both refs lead to the one card that is left."""
    winner = world.company(UF_CRM_1C_ID=ONEC_ID)
    loser = world.parties.create(onec_party(id_=OTHER_ONEC_ID)).ref
    merge(world, winner, loser)
    assert carriers(world, LINKED) == carriers(world, OTHER) == [winner]
    assert world.parties.read(winner).other_ref == ONEC_ID


def test_winner_is_found_by_what_it_took_over_where_no_ref_leads_to_it(world):
    winner, loser = world.company(UF_CRM_1C_ID=ONEC_ID), world.company(UF_CRM_1C_ID=OTHER_ONEC_ID)
    world.requisite(loser, RQ_INN=INN)
    merge(world, winner, loser)
    assert carriers(world, OTHER) == []
    (found,) = world.parties.find(MatchKeys(inn=INN), linked_to=OTHER)
    assert (found.ref, found.other_ref, found.fields["inn"]) == (winner, ONEC_ID, INN)


def test_winner_on_a_portal_without_our_field_is_found_by_the_origin(world_without_our_field):
    world = world_without_our_field
    winner, loser = world.contact(), world.contact(ORIGINATOR_ID="1C", ORIGIN_ID=ONEC_ID)
    merge(world, winner, loser)
    (found,) = world.parties.find(MatchKeys(), linked_to=LINKED)
    assert (found.ref, found.other_ref) == (winner, ONEC_ID)


@pytest.mark.parametrize("relink", [True, False])
def test_link_to_another_is_overwritten_and_its_origin_with_it(world, relink):
    """Else the card would be found as the other's partner for ever."""
    created = world.parties.create(onec_party(id_=OTHER_ONEC_ID))
    after = world.parties.update(created, {}, source=onec_party(), relink=relink)
    assert after.other_ref == world.parties.read(created.ref).other_ref == ONEC_ID
    assert carriers(world, LINKED) == [created.ref]
    assert carriers(world, OTHER) == []


def test_link_to_another_is_overwritten_on_a_portal_without_our_field(world_without_our_field):
    world = world_without_our_field
    created = world.parties.create(onec_party(id_=OTHER_ONEC_ID))
    world.parties.update(created, {}, source=onec_party(), relink=True)
    assert (carriers(world, LINKED), carriers(world, OTHER)) == ([created.ref], [])


def test_origin_in_another_system_is_nobodys_business(world):
    ref = world.company(ORIGINATOR_ID="shop", ORIGIN_ID="77")
    world.parties.update(world.parties.read(ref), {}, source=onec_party())
    card = world.peer.call("crm.company.get", id=ref.id)
    assert (card["UF_CRM_1C_ID"], card["ORIGINATOR_ID"], card["ORIGIN_ID"]) == (ONEC_ID, "shop", "77")


def test_second_one_is_made_where_a_person_says_that_it_is_another(world):
    first = world.parties.create(onec_party())
    second = world.parties.create(onec_party(id_=OTHER_ONEC_ID), not_duplicate_of=[first.ref.id])
    assert second.ref != first.ref
