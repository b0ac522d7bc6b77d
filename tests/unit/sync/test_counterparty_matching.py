"""The first meeting of a contact or company with its контрагент: found, made, or asked about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts
from sync_worker.errors import (
    AmbiguousMatch,
    FieldConflict,
)
from tests.unit.sync.world import (
    BRANCH_KPP,
    COMPANY,
    CONTACT,
    OTHER_PARTY,
    PARTY,
    PERSON_INN,
    ROMASHKA,
    World,
    company,
    contact,
    linked,
)


def with_rules(world: World, **changes: object) -> None:
    world.rules = replace(world.rules, counterparties=replace(world.rules.counterparties, **changes))


# --- the first meeting -----------------------------------------------------------------------------------------------


def test_a_new_company_is_created_in_onec_and_named_on_both_sides(world: World) -> None:
    world.portal.put(company())

    outcome = world.handle(world.ring(COMPANY))

    (made,) = world.base.records.values()
    assert outcome is Outcome.CREATED
    assert made.fields == ROMASHKA
    assert (made.other_ref, world.portal.records[COMPANY].other_ref) == ("b24:company:7", made.ref.id)
    assert world.links.find(made.ref) == linked(COMPANY, made.ref)


def test_a_company_is_matched_by_inn_and_kpp(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY))
    world.base.put(company(OTHER_PARTY, fields={**ROMASHKA, "kpp": BRANCH_KPP, "name": "Ромашка, филиал"}))

    outcome = world.handle(world.ring(COMPANY))

    assert outcome is Outcome.UPDATED
    assert world.base.count("create") == 0
    assert world.links.find(COMPANY) == linked(COMPANY, PARTY)
    assert world.base.records[PARTY].other_ref == "b24:company:7"
    assert world.base.records[OTHER_PARTY].other_ref is None


def test_a_person_is_matched_by_email(world: World) -> None:
    world.portal.put(contact())
    world.base.put(contact(PARTY))

    world.handle(world.ring(CONTACT))

    assert world.links.find(CONTACT) == linked(CONTACT, PARTY)
    assert world.base.count("create") == 0


def test_a_company_is_not_matched_by_email(world: World) -> None:
    world.portal.put(company(fields={**ROMASHKA, "inn": None, "emails": ["info@example.com"]}))
    world.base.put(company(PARTY, fields={**ROMASHKA, "inn": None, "emails": ["info@example.com"]}))

    assert world.handle(world.ring(COMPANY)) is Outcome.CREATED


def test_two_candidates_are_a_question_and_not_a_guess(world: World) -> None:
    world.portal.put(company(fields={**ROMASHKA, "kpp": None}))
    world.base.put(company(PARTY))
    world.base.put(company(OTHER_PARTY, fields={**ROMASHKA, "kpp": BRANCH_KPP}))

    with pytest.raises(AmbiguousMatch) as caught:
        world.handle(world.ring(COMPANY))

    assert set(caught.value.candidates) == {str(PARTY), str(OTHER_PARTY)}
    assert world.links.find(COMPANY) is None
    assert world.base.count("create", "update") == world.portal.count("update") == 0


def test_a_match_that_belongs_to_another_is_not_taken_from_it(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY, other_ref="b24:company:8"))

    with pytest.raises(AmbiguousMatch, match="linked to b24:company:8") as caught:
        world.handle(world.ring(COMPANY))

    assert caught.value.candidates == (str(PARTY),)
    assert world.links.find(COMPANY) is None


def test_a_record_marked_for_deletion_is_no_match(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY, is_deleted=True))

    assert world.handle(world.ring(COMPANY)) is Outcome.CREATED


def test_the_partner_that_the_card_names_is_believed(world: World) -> None:
    world.portal.put(company(other_ref=PARTY.id.upper()))
    world.base.put(company(PARTY, fields={**ROMASHKA, "inn": PERSON_INN, "name": "Ромашка"}))

    world.handle(world.ring(COMPANY))

    assert world.links.find(COMPANY) == linked(COMPANY, PARTY)
    assert world.base.count("find") == 0


def test_an_id_left_over_from_another_base_is_looked_past(world: World) -> None:
    world.portal.put(company(other_ref=OTHER_PARTY.id))
    world.base.put(company(PARTY))

    world.handle(world.ring(COMPANY))

    assert world.links.find(COMPANY) == linked(COMPANY, PARTY)
    assert world.portal.records[COMPANY].other_ref == PARTY.id


def test_the_id_on_a_copied_card_does_not_move_the_link(world: World) -> None:
    world.base.put(company(PARTY, other_ref="b24:company:8"))
    world.portal.put(company(other_ref=PARTY.id))

    with pytest.raises(AmbiguousMatch, match="linked to b24:company:8"):
        world.handle(world.ring(COMPANY))

    assert world.base.records[PARTY].other_ref == "b24:company:8"


def test_a_name_that_differs_at_the_first_meeting_is_a_conflict(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY, fields={**ROMASHKA, "name": "ООО Ромашка"}))

    with pytest.raises(FieldConflict) as caught:
        world.handle(world.ring(COMPANY))

    assert caught.value.conflicts == {"name": {"baseline": None, "bitrix24": "Ромашка", "onec": "ООО Ромашка"}}
    assert world.base.count("update") == world.portal.count("update") == 0


# --- who may travel --------------------------------------------------------------------------------------------------


def test_my_company_is_never_a_counterparty(world: World) -> None:
    world.portal.put(company(is_ours=True))

    assert world.handle(world.ring(COMPANY)) is Outcome.SKIPPED
    assert world.base.calls == []


def test_a_linked_contact_is_followed_though_the_rules_would_not_start_it(world: World) -> None:
    world.portal.put(contact())
    world.handle(world.ring(CONTACT))
    with_rules(world, contacts=Contacts.NONE)
    world.portal.edit(CONTACT, phones=["+79161234567"])

    assert world.handle(world.ring(CONTACT)) is Outcome.UPDATED


def test_an_unknown_record_that_is_gone_is_nothing(world: World) -> None:
    assert world.handle(world.ring(COMPANY)) is Outcome.SKIPPED
