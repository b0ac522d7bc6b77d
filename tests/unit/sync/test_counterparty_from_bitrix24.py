"""A contact or company on the portal -> its контрагент: found or made, merged, remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import RecordType, System, bitrix24_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, Kind, Owner
from sync_worker.errors import (
    AmbiguousMatch,
    FieldConflict,
    LinkBroken,
    NoCounterparty,
    OutcomeUnknown,
    RecordBusy,
    RemoteUnavailable,
    VersionMoved,
)
from tests.unit.sync.world import (
    BRANCH_KPP,
    COMPANY,
    CONTACT,
    INN,
    IVANOV,
    KPP,
    OTHER_PARTY,
    PARTY,
    PERSON_INN,
    REQUISITE,
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


# --- later edits -----------------------------------------------------------------------------------------------------


def test_an_edit_is_copied_and_only_what_changed(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, phones=["+78005553535"])

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.base.records[party.ref].fields == {**ROMASHKA, "phones": ["+78005553535"]}
    assert world.portal.count("update") == 0


def test_the_echo_of_our_own_write_costs_one_read_and_no_call_to_onec(world: World) -> None:
    world.linked_company()

    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert (world.portal.calls, world.base.calls) == (["read"], [])


def test_a_value_that_onec_owns_is_put_back(world: World) -> None:
    world.linked_company()
    world.portal.edit(COMPANY, kpp=BRANCH_KPP)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["kpp"] == KPP
    assert world.base.count("update") == 0


def test_both_sides_changed_a_shared_field_and_neither_is_written(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс", phones=["+78005553535"])
    world.base.edit(party.ref, name="Ромашка Люкс")

    with pytest.raises(FieldConflict) as caught:
        world.handle(world.ring(COMPANY))

    shown = {"baseline": "Ромашка", "bitrix24": "Ромашка Плюс", "onec": "Ромашка Люкс"}
    assert caught.value.conflicts == {"name": shown}
    assert world.base.count("update") == world.portal.count("update") == 0


def test_the_link_is_written_again_where_it_was_wiped(world: World) -> None:
    _, party = world.linked_company()
    world.portal.alter(COMPANY, other_ref=None)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].other_ref == party.ref.id


def test_nothing_is_written_where_both_sides_agree_already(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс")
    world.base.edit(party.ref, name="Ромашка Плюс")

    assert world.handle(world.ring(COMPANY)) is Outcome.UNCHANGED
    assert world.base.count("update") == world.portal.count("update") == 0


def test_a_company_that_became_a_sole_trader_becomes_one_in_onec(world: World) -> None:
    _, party = world.linked_company()
    world.portal.alter(COMPANY, kind=Kind.SOLE_TRADER)

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.base.records[party.ref].kind is Kind.SOLE_TRADER
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO


def test_a_kind_that_moved_in_onec_is_not_moved_back(world: World) -> None:
    _, party = world.linked_company()
    moved = world.base.alter(party.ref, kind=Kind.SOLE_TRADER)

    assert world.handle(world.tell(moved)) is Outcome.UNCHANGED
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO
    assert world.base.records[party.ref].kind is Kind.SOLE_TRADER


def test_a_responsible_whom_onec_does_not_know_is_left_out_once_and_for_all(world: World) -> None:
    world.linked_company()
    world.base.unknown_people = frozenset({"new@example.com"})
    world.portal.edit(COMPANY, responsible="new@example.com")

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.handle(world.ring(COMPANY)) is Outcome.ECHO


def test_a_record_that_moved_between_read_and_write_is_read_again(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, phones=["+78005553535"])
    world.base.before("update", lambda: world.base.edit(party.ref, comment="звонить утром"))

    with pytest.raises(VersionMoved):
        world.handle(world.ring(COMPANY))

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["comment"] == "звонить утром"


def test_a_record_that_another_task_holds_is_left_to_it(world: World) -> None:
    world.portal.put(company())

    with world.locks.hold(str(COMPANY)), pytest.raises(RecordBusy):
        world.handle(world.ring(COMPANY))

    assert world.portal.calls == []


def test_two_records_with_one_key_wait_for_each_other(world: World) -> None:
    world.portal.put(company())

    with world.locks.hold(f"inn:{INN}"), pytest.raises(RecordBusy):
        world.handle(world.ring(COMPANY))

    assert world.base.calls == []


# --- crashes and lost answers ----------------------------------------------------------------------------------------


def test_a_crash_before_the_link_was_saved_makes_one_record(world: World) -> None:
    world.portal.put(company())
    world.base.fail("create", KeyboardInterrupt(), is_done=True)
    with pytest.raises(KeyboardInterrupt):
        world.handle(world.ring(COMPANY))
    assert world.links.find(COMPANY) is None

    world.handle(world.ring(COMPANY))

    (made,) = world.base.records.values()
    assert world.links.find(COMPANY) == linked(COMPANY, made.ref)


def test_a_create_that_timed_out_but_was_done_is_found_by_the_retry(world: World) -> None:
    world.portal.put(company(fields={**ROMASHKA, "inn": None}))  # nothing to be recognised by but our own name
    world.base.fail("create", OutcomeUnknown("the answer was lost"), is_done=True)
    with pytest.raises(OutcomeUnknown):
        world.handle(world.ring(COMPANY))

    world.handle(world.ring(COMPANY))

    assert len(world.base.records) == 1
    assert world.base.count("create") == 1


def test_a_crash_between_the_two_writes_is_made_good(world: World) -> None:
    world.portal.put(company())
    world.portal.fail("update", RemoteUnavailable("503"))
    with pytest.raises(RemoteUnavailable):
        world.handle(world.ring(COMPANY))

    assert world.handle(world.ring(COMPANY)) is Outcome.UPDATED

    (made,) = world.base.records.values()
    assert world.portal.records[COMPANY].other_ref == made.ref.id


# --- deleting --------------------------------------------------------------------------------------------------------


def test_deleting_in_bitrix24_leaves_a_tombstone_and_the_counterparty(world: World) -> None:
    _, party = world.linked_company()
    del world.portal.records[COMPANY]

    with pytest.raises(LinkBroken, match="left as it is"):
        world.handle(world.ring(COMPANY, change=Change.DELETED))

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref, deleted_in=System.BITRIX24)
    assert (world.base.records[party.ref], world.base.calls) == (party, [])


def test_a_record_that_turns_out_to_be_gone_leaves_a_tombstone_too(world: World) -> None:
    _, party = world.linked_company()
    del world.portal.records[COMPANY]

    with pytest.raises(LinkBroken):
        world.handle(world.ring(COMPANY))

    assert world.links.find(party.ref) == linked(COMPANY, party.ref, deleted_in=System.BITRIX24)


@pytest.mark.parametrize("change", list(Change))
def test_a_tombstone_is_final(world: World, change: Change) -> None:
    world.portal.put(company())
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.ONEC))

    assert world.handle(world.ring(COMPANY, change=change)) is Outcome.SKIPPED
    assert world.portal.calls == []


def test_deleting_an_unknown_record_is_nothing(world: World) -> None:
    assert world.handle(world.ring(COMPANY, change=Change.DELETED)) is Outcome.SKIPPED


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_a_linked_counterparty_that_is_gone_is_not_made_again(world: World, is_marked: bool) -> None:
    _, party = world.linked_company()
    if is_marked:
        world.base.alter(party.ref, is_deleted=True)
    else:
        del world.base.records[party.ref]
    world.portal.edit(COMPANY, phones=["+78005553535"])

    with pytest.raises(LinkBroken, match="gone or marked for deletion"):
        world.handle(world.ring(COMPANY))

    assert world.base.count("create", "update") == 0


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
