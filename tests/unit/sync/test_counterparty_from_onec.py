"""A контрагент's event, which carries its whole state -> its contact or company on the portal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_worker.contract import OnecState
from sync_worker.domain.identity import EntityKind, RecordType, System
from sync_worker.domain.outcome import Outcome
from sync_worker.domain.rules import Contacts, Kind
from sync_worker.errors import AmbiguousMatch, BadEvent, FieldConflict, LinkBroken, RecordBusy
from tests.unit.sync.world import COMPANY, CONTACT, IVANOV, PARTY, ROMASHKA, World, company, contact, linked


def test_a_new_counterparty_becomes_a_company_with_all_its_fields(world: World) -> None:
    told = world.base.put(company(PARTY))

    outcome = world.handle(world.tell(told))

    (card,) = world.portal.records.values()
    assert outcome is Outcome.CREATED
    assert (card.ref.type, card.fields, card.other_ref) == (RecordType.COMPANY, ROMASHKA, PARTY.id)
    assert world.base.records[PARTY].other_ref == card.ref.external_id


def test_a_person_becomes_a_contact(world: World) -> None:
    world.handle(world.tell(world.base.put(contact(PARTY))))

    (card,) = world.portal.records.values()
    assert card.ref.type is RecordType.CONTACT


def test_the_portals_company_is_matched_by_inn(world: World) -> None:
    world.portal.put(company())

    outcome = world.handle(world.tell(world.base.put(company(PARTY))))

    assert outcome is Outcome.UPDATED
    assert world.links.find(PARTY) == linked(COMPANY, PARTY)
    assert world.portal.count("create") == 0


def test_the_portals_contact_is_matched_by_email(world: World) -> None:
    world.portal.put(contact())

    world.handle(world.tell(world.base.put(contact(PARTY))))

    assert world.links.find(PARTY) == linked(CONTACT, PARTY)


def test_my_company_is_no_match(world: World) -> None:
    world.portal.put(company(is_ours=True))

    assert world.handle(world.tell(world.base.put(company(PARTY)))) is Outcome.CREATED


def test_the_card_that_onec_names_is_believed(world: World) -> None:
    world.portal.put(company(fields={**ROMASHKA, "inn": None, "kpp": None}))

    world.handle(world.tell(world.base.put(company(PARTY, other_ref="b24:company:7"))))

    assert world.links.find(PARTY) == linked(COMPANY, PARTY)
    assert world.portal.count("find") == 0


def test_a_card_that_onec_names_and_that_is_gone_is_not_made_again(world: World) -> None:
    told = world.base.put(company(PARTY, other_ref="b24:company:7"))

    with pytest.raises(LinkBroken):
        world.handle(world.tell(told))

    assert world.portal.count("create") == 0


def test_a_card_that_belongs_to_another_counterparty_is_left_to_it(world: World) -> None:
    world.portal.put(company(other_ref="1b4e28ba-2fa1-11d2-883f-0016d3cca427"))

    with pytest.raises(AmbiguousMatch):
        world.handle(world.tell(world.base.put(company(PARTY))))


@pytest.mark.parametrize(("contacts", "companies"), [(Contacts.NONE, True), (Contacts.ALL, False)])
def test_the_rules_keep_new_records_out_by_kind(world: World, contacts: Contacts, companies: bool) -> None:
    kept_out = contact(PARTY) if companies else company(PARTY)
    rules = replace(world.rules.counterparties, contacts=contacts, companies=companies)
    world.rules = replace(world.rules, counterparties=rules)

    assert world.handle(world.tell(world.base.put(kept_out))) is Outcome.SKIPPED
    assert world.portal.calls == []


def test_an_edit_is_copied(world: World) -> None:
    _, party = world.linked_company()
    told = world.base.edit(party.ref, full_name='ООО "Ромашка"')

    assert world.handle(world.tell(told)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["full_name"] == 'ООО "Ромашка"'
    assert world.base.count("update") == 0


def test_a_linked_counterparty_is_followed_though_the_rules_would_not_start_it(world: World) -> None:
    _, party = world.linked_company()
    world.rules = replace(world.rules, counterparties=replace(world.rules.counterparties, companies=False))
    told = world.base.edit(party.ref, full_name="новое")

    assert world.handle(world.tell(told)) is Outcome.UPDATED


def test_a_kind_that_moved_in_onec_beside_another_edit_is_not_moved_back(world: World) -> None:
    _, party = world.linked_company()
    world.base.alter(party.ref, kind=Kind.SOLE_TRADER)
    told = world.base.edit(party.ref, full_name="ИП Ромашкин")

    assert world.handle(world.tell(told)) is Outcome.UPDATED
    assert world.base.records[party.ref].kind is Kind.SOLE_TRADER


def test_an_external_id_that_was_wiped_is_written_again(world: World) -> None:
    _, party = world.linked_company()
    told = world.base.alter(party.ref, other_ref=None)

    assert world.handle(world.tell(told)) is Outcome.UPDATED
    assert world.base.records[party.ref].other_ref == "b24:company:7"


def test_a_link_that_was_lost_is_made_again_though_nothing_changed(world: World) -> None:
    _, party = world.linked_company()
    world.links = type(world.links)()
    told = world.base.edit(party.ref)

    world.handle(world.tell(told))

    assert world.links.find(party.ref) == linked(COMPANY, party.ref)


def test_an_event_of_onec_makes_good_a_crash_before_anything_was_remembered(world: World) -> None:
    world.portal.put(company())
    world.portal.fail("update", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.handle(world.ring(COMPANY))
    (party,) = world.base.records.values()

    assert world.handle(world.tell(party)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].other_ref == party.ref.id


def test_a_counterparty_that_another_task_holds_is_left_to_it(world: World) -> None:
    told = world.base.put(company(PARTY))

    with world.locks.hold(str(PARTY)), pytest.raises(RecordBusy):
        world.handle(world.tell(told))

    assert world.portal.calls == []


def test_the_echo_of_our_own_write_makes_no_call(world: World) -> None:
    _, party = world.linked_company()

    assert world.handle(world.tell(party)) is Outcome.STALE
    assert world.portal.calls == world.base.calls == []


def test_a_write_that_changed_nothing_of_ours_makes_no_call_and_is_remembered(world: World) -> None:
    _, party = world.linked_company()
    touched = world.base.edit(party.ref)

    assert world.handle(world.tell(touched)) is Outcome.UNCHANGED
    assert world.handle(world.tell(touched)) is Outcome.STALE
    assert world.portal.calls == world.base.calls == []


def test_an_older_state_that_comes_late_changes_nothing(world: World) -> None:
    _, party = world.linked_company()
    older = world.base.edit(party.ref, full_name="старое")
    newer = world.base.edit(party.ref, full_name="новое")
    world.handle(world.tell(newer))

    assert world.handle(world.tell(older)) is Outcome.STALE
    assert world.portal.records[COMPANY].fields["full_name"] == "новое"


def test_a_state_that_grows_stale_while_it_waits_for_the_record_changes_nothing(world: World) -> None:
    """The portal's own event is handled between our look at the link and our hold on the record."""
    _, party = world.linked_company()
    stale = world.base.edit(party.ref, comment="первый")

    class Interrupted(type(world.locks)):  # type: ignore[misc]
        def hold(self, *names: str) -> object:
            if names == (str(COMPANY),):
                world.locks = plain
                world.base.edit(party.ref, comment="второй")
                world.portal.edit(COMPANY, phones=["+78005553535"])
                world.handle(world.ring(COMPANY))
            return super().hold(*names)

    plain, world.locks = world.locks, Interrupted()

    assert world.handle(world.tell(stale)) is Outcome.STALE
    assert world.portal.records[COMPANY].fields["comment"] == "второй"


def test_a_value_that_bitrix24_owns_is_put_back(world: World) -> None:
    _, party = world.linked_company()
    told = world.base.edit(party.ref, phones=["+78005553535"])

    assert world.handle(world.tell(told)) is Outcome.UPDATED
    assert world.base.records[party.ref].fields["phones"] == ["+74951234567"]


def test_a_conflict_writes_on_neither_side(world: World) -> None:
    _, party = world.linked_company()
    world.portal.edit(COMPANY, name="Ромашка Плюс")
    told = world.base.edit(party.ref, name="Ромашка Люкс", full_name="новое")

    with pytest.raises(FieldConflict, match="name"):
        world.handle(world.tell(told))

    assert world.portal.count("update") == world.base.count("update") == 0


def test_deleting_in_onec_leaves_a_tombstone_and_the_card(world: World) -> None:
    card, party = world.linked_company()

    world.lose(world.deleted_in_onec(EntityKind.CONTACT, party.ref))

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref, deleted_in=System.ONEC)
    assert (world.portal.records[COMPANY], world.portal.calls) == (card, [])


def test_deleting_an_unknown_counterparty_is_nothing(world: World) -> None:
    assert world.handle(world.deleted_in_onec(EntityKind.CONTACT, PARTY)) is Outcome.SKIPPED


def test_a_tombstone_is_final(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.BITRIX24))

    assert world.handle(world.tell(world.base.put(company(PARTY)))) is Outcome.SKIPPED


def test_a_counterparty_that_was_restored_loses_its_tombstone(world: World) -> None:
    _, party = world.linked_company()
    world.links.save(linked(COMPANY, party.ref, deleted_in=System.ONEC))
    told = world.base.edit(party.ref, full_name="снова здесь")

    outcome = world.handle(world.tell(told))

    assert outcome is Outcome.UPDATED
    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)


def test_an_older_state_that_comes_late_revives_nobody(world: World) -> None:
    _, party = world.linked_company()
    older = world.base.edit(party.ref, full_name="старое")
    world.lose(world.deleted_in_onec(EntityKind.CONTACT, party.ref, sequence=older.sequence + 1))

    assert world.handle(world.tell(older)) is Outcome.STALE
    assert world.links.find(COMPANY) == linked(COMPANY, party.ref, deleted_in=System.ONEC)


def test_a_deletion_that_comes_late_buries_nobody(world: World) -> None:
    _, party = world.linked_company()
    restored = world.base.edit(party.ref, full_name="снова здесь")
    world.handle(world.tell(restored))

    late = world.deleted_in_onec(EntityKind.CONTACT, party.ref, sequence=restored.sequence - 1)

    assert world.handle(late) is Outcome.STALE
    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)


def test_a_deletion_waits_for_the_task_that_holds_the_record(world: World) -> None:
    _, party = world.linked_company()

    with world.locks.hold(str(COMPANY)), pytest.raises(RecordBusy):
        world.handle(world.deleted_in_onec(EntityKind.CONTACT, party.ref))

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)


def test_a_linked_card_that_is_gone_is_not_made_again(world: World) -> None:
    _, party = world.linked_company()
    del world.portal.records[COMPANY]
    told = world.base.edit(party.ref, full_name="новое")

    with pytest.raises(LinkBroken, match="gone"):
        world.handle(world.tell(told))

    assert world.portal.count("create") == 0


def test_a_card_that_another_task_holds_is_left_to_it(world: World) -> None:
    _, party = world.linked_company()
    told = world.base.edit(party.ref, full_name="новое")

    with world.locks.hold(str(COMPANY)), pytest.raises(RecordBusy):
        world.handle(world.tell(told))

    assert world.portal.calls == []


def test_a_crash_before_the_link_was_saved_makes_one_card(world: World) -> None:
    told = world.base.put(contact(PARTY, fields={**IVANOV, "emails": []}))  # no key but our own name
    world.portal.fail("create", KeyboardInterrupt(), is_done=True)
    with pytest.raises(KeyboardInterrupt):
        world.handle(world.tell(told))

    world.handle(world.tell(told))

    assert len(world.portal.records) == 1
    assert world.links.find(PARTY) is not None


def test_a_state_that_is_not_the_contracts_is_a_bad_event(world: World) -> None:
    state = OnecState(data={"kind": "alien"}, sequence=1, version="v1", external_id=None, event_id="e1")

    with pytest.raises(BadEvent, match="kind"):
        world.handle(world.event(EntityKind.CONTACT, PARTY, state))


# --- sent first, for an invoice --------------------------------------------------------------------------------------


def test_ensure_in_bitrix24_sends_a_counterparty_that_the_portal_has_not(world: World) -> None:
    world.base.put(company(PARTY))

    ref = world.counterparties.ensure_in_bitrix24(PARTY)

    assert ref in world.portal.records


def test_ensure_in_bitrix24_makes_no_call_for_a_linked_one(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY))

    assert world.counterparties.ensure_in_bitrix24(PARTY) == COMPANY
    assert world.base.calls == []


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_ensure_in_bitrix24_makes_nobody_of_what_is_gone(world: World, is_marked: bool) -> None:
    if is_marked:
        world.base.put(company(PARTY, is_deleted=True))

    assert world.counterparties.ensure_in_bitrix24(PARTY) is None
    assert world.portal.calls == []


def test_ensure_in_bitrix24_names_nobody_for_a_tombstone(world: World) -> None:
    world.links.save(linked(COMPANY, PARTY, deleted_in=System.BITRIX24))

    assert world.counterparties.ensure_in_bitrix24(PARTY) is None


def test_ensure_in_bitrix24_names_nobody_whom_the_rules_keep_out(world: World) -> None:
    world.rules = replace(world.rules, counterparties=replace(world.rules.counterparties, companies=False))
    world.base.put(company(PARTY))

    assert world.counterparties.ensure_in_bitrix24(PARTY) is None
