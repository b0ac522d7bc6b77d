"""A person's decision is carried out by the replay, on both sides, and by nothing else. Merged cards and sums too."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from sync_worker.contract import Change
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.letter import Decision
from sync_worker.domain.merge import Baseline
from sync_worker.domain.outcome import Outcome
from sync_worker.sync.retry_policy import GiveUp, NextStep
from tests.unit.sync.test_invoice import issued, the_card
from tests.unit.sync.test_status import told
from tests.unit.sync.world import (
    COMPANY,
    CONTACT,
    DEAL,
    INVOICE,
    IVANOV,
    ORDER,
    OTHER_PARTY,
    PARTY,
    ROMASHKA,
    World,
    company,
    contact,
    deal,
    linked,
)

OTHER_COMPANY = bitrix24_ref(RecordType.COMPANY, 8)


def decide(world: World, **decision: Any) -> Outcome | NextStep:
    """Settle the only letter, and let its replay run."""
    world.outbox.published.clear()
    world.office.resolve(world.letter().id, Decision(**decision), by="anna")
    (event,) = world.outbox.published
    world.outbox.published.clear()
    return world.run(event)


def cause(world: World) -> str:
    return world.letter().cause


# --- ambiguous matches -----------------------------------------------------------------------------------------------


@pytest.fixture
def ambiguous(world: World) -> World:
    """A company that two counterparties match."""
    world.portal.put(company())
    for ref in (PARTY, OTHER_PARTY):
        world.base.put(company(ref))
    assert world.run(world.ring(COMPANY)) == GiveUp()
    assert cause(world) == "ambiguous_match"
    return world


def test_the_picked_candidate_becomes_the_partner(ambiguous: World) -> None:
    assert decide(ambiguous, pick=OTHER_PARTY) is Outcome.UPDATED

    assert ambiguous.links.find(COMPANY) == linked(COMPANY, OTHER_PARTY)
    assert ambiguous.base.records[OTHER_PARTY].other_ref == "b24:company:7"
    assert ambiguous.portal.records[COMPANY].other_ref == OTHER_PARTY.id
    assert ambiguous.base.count("create") == 0
    assert ambiguous.letters.count() == 0


def test_none_of_the_candidates_makes_a_new_one_in_spite_of_its_inn(ambiguous: World) -> None:
    assert decide(ambiguous, create=True) is Outcome.CREATED

    assert len(ambiguous.base.records) == 3
    assert [ambiguous.base.records[ref].other_ref for ref in (PARTY, OTHER_PARTY)] == [None, None]


def test_a_candidate_that_is_linked_elsewhere_moves_when_it_is_picked(world: World) -> None:
    """The contradiction: it is another card's partner, and that card is alive."""
    _, party = world.linked_company()
    world.portal.put(company(OTHER_COMPANY))
    assert world.run(world.ring(OTHER_COMPANY)) == GiveUp()
    assert world.letter().details["candidates"] == [str(party.ref)]

    assert decide(world, pick=party.ref) is Outcome.UPDATED

    assert world.links.find(OTHER_COMPANY) == linked(OTHER_COMPANY, party.ref)
    assert world.links.find(COMPANY) is None
    assert world.base.records[party.ref].other_ref == "b24:company:8"
    assert world.memories.get(EntityKind.CONTACT, COMPANY).baseline is None


def test_a_picked_partner_that_says_something_else_is_a_conflict_of_its_own(ambiguous: World) -> None:
    ambiguous.base.edit(PARTY, name="Совсем другое имя")

    assert decide(ambiguous, pick=PARTY) == GiveUp()

    assert cause(ambiguous) == "field_conflict"
    assert ambiguous.links.find(COMPANY) == linked(COMPANY, PARTY)


def test_a_candidate_may_be_picked_for_a_record_of_1c(world: World) -> None:
    for ref in (COMPANY, OTHER_COMPANY):
        world.portal.put(company(ref))
    told_of = world.base.put(company(PARTY))
    assert world.run(world.tell(told_of)) == GiveUp()
    assert cause(world) == "ambiguous_match"

    assert decide(world, pick=OTHER_COMPANY) is Outcome.UPDATED

    assert world.links.find(PARTY) == linked(OTHER_COMPANY, PARTY)
    assert world.base.records[PARTY].other_ref == "b24:company:8"
    assert world.portal.count("create") == 0


# --- keys that are none ----------------------------------------------------------------------------------------------

WRONG_INN = "7707083890"


@pytest.fixture
def mistyped(world: World) -> World:
    """A company whose ИНН has a wrong check digit, and a counterparty with the same mistake."""
    world.portal.put(company(fields={**ROMASHKA, "inn": WRONG_INN}))
    world.base.put(company(PARTY, fields={**ROMASHKA, "inn": WRONG_INN}))
    assert world.run(world.ring(COMPANY)) == GiveUp()
    return world


def test_an_invalid_inn_goes_to_a_person_with_the_candidates(mistyped: World) -> None:
    letter = mistyped.letter()

    assert (letter.cause, letter.details["candidates"]) == ("invalid_key", [str(PARTY)])
    assert mistyped.base.count("create", "update") == 0
    assert [found.id for found in mistyped.letters.search(WRONG_INN)] == [letter.id]


def test_an_inn_that_was_mended_is_matched(mistyped: World) -> None:
    mistyped.portal.edit(COMPANY, inn=ROMASHKA["inn"])
    mistyped.base.edit(PARTY, inn=ROMASHKA["inn"])

    assert mistyped.run(mistyped.replay()) is Outcome.UPDATED
    assert mistyped.links.find(COMPANY) == linked(COMPANY, PARTY)


def test_the_partner_of_an_invalid_inn_may_be_picked(mistyped: World) -> None:
    assert decide(mistyped, pick=PARTY) is Outcome.UPDATED


def test_a_record_with_an_invalid_inn_may_be_made_all_the_same(mistyped: World) -> None:
    assert decide(mistyped, create=True) is Outcome.CREATED
    assert len(mistyped.base.records) == 2


def test_an_invalid_inn_does_not_stop_a_record_that_is_linked(world: World) -> None:
    world.linked_company()
    world.portal.edit(COMPANY, inn=WRONG_INN)

    assert world.run(world.ring(COMPANY)) is Outcome.UPDATED
    assert world.portal.records[COMPANY].fields["inn"] == ROMASHKA["inn"]  # 1C owns it


# --- deleted records -------------------------------------------------------------------------------------------------


def delete(world: World, ref: RecordRef) -> None:
    del world.portal.records[ref]
    assert world.run(world.ring(ref, change=Change.DELETED)) == GiveUp()
    assert cause(world) == "link_broken"


def test_a_deletion_is_filed_before_its_tombstone_is_kept(world: World) -> None:
    """A crash in between must lose neither: the event comes again, and finds its letter."""
    _, party = world.linked_company()
    del world.portal.records[COMPANY]
    event = world.ring(COMPANY, change=Change.DELETED)
    crash = RuntimeError("killed")
    world.links.save = lambda link: (_ for _ in ()).throw(crash)  # type: ignore[method-assign]

    with pytest.raises(RuntimeError, match="killed"):
        world.run(event)

    assert cause(world) == "link_broken"
    del world.links.save
    assert world.run(event) is Outcome.PARKED
    assert world.run(world.replay()) == GiveUp()
    assert world.links.find(COMPANY) == linked(COMPANY, party.ref, deleted_in=System.BITRIX24)


def test_a_replay_does_not_settle_a_deletion(world: World) -> None:
    world.linked_company()
    delete(world, COMPANY)

    assert world.run(world.replay()) == GiveUp()

    assert "still deleted" in world.letter().message


def test_a_restored_card_goes_on_when_it_is_replayed(world: World) -> None:
    card, party = world.linked_company()
    delete(world, COMPANY)
    world.portal.put(replace(card, fields={**card.fields, "phones": ["+78005553535"]}))

    assert world.run(world.replay()) is Outcome.UPDATED

    assert world.links.find(COMPANY) == linked(COMPANY, party.ref)
    assert world.base.records[party.ref].fields["phones"] == ["+78005553535"]


def test_a_deleted_card_is_made_anew_of_what_1c_has(world: World) -> None:
    _, party = world.linked_company()
    delete(world, COMPANY)

    assert decide(world, create=True) is Outcome.CREATED

    (card,) = world.portal.records.values()
    assert card.fields["inn"] == ROMASHKA["inn"]
    assert world.links.find(party.ref) == linked(card.ref, party.ref)
    assert world.base.records[party.ref].other_ref == card.ref.external_id
    assert world.links.find(COMPANY) is None


def test_another_card_takes_the_place_of_a_deleted_one(world: World) -> None:
    _, party = world.linked_company()
    delete(world, COMPANY)
    world.portal.put(company(OTHER_COMPANY))

    assert decide(world, pick=OTHER_COMPANY) is Outcome.UPDATED

    assert world.links.find(party.ref) == linked(OTHER_COMPANY, party.ref)
    assert world.base.records[party.ref].other_ref == "b24:company:8"


def test_another_counterparty_takes_the_place_of_a_deleted_one(world: World) -> None:
    _, party = world.linked_company()
    world.base.alter(party.ref, is_deleted=True)
    assert world.run(world.deleted_in_onec(EntityKind.CONTACT, party.ref)) == GiveUp()
    world.base.put(company(OTHER_PARTY))

    assert decide(world, pick=OTHER_PARTY) is Outcome.UPDATED

    assert world.links.find(COMPANY) == linked(COMPANY, OTHER_PARTY)
    assert world.portal.records[COMPANY].other_ref == OTHER_PARTY.id


def test_the_card_of_an_invoice_is_made_anew(world: World) -> None:
    world.handle(issued(world))
    ref = the_card(world)
    del world.cards.cards[ref]
    assert world.run(world.ring(ref, change=Change.DELETED)) == GiveUp()

    assert decide(world, create=True) is Outcome.CREATED

    assert world.links.find(INVOICE) == linked(the_card(world), INVOICE)
    assert world.letters.count() == 0


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_an_invoice_that_is_gone_as_well_gets_no_card(world: World, is_marked: bool) -> None:
    world.handle(issued(world))
    ref = the_card(world)
    del world.cards.cards[ref]
    world.run(world.ring(ref, change=Change.DELETED))
    invoice = world.invoices.invoices.pop(INVOICE)
    if is_marked:
        world.invoices.invoices[INVOICE] = replace(invoice, is_deleted=True)

    assert decide(world, create=True) == GiveUp()
    assert world.cards.cards == {}


def test_a_counterparty_that_is_gone_as_well_makes_no_card(world: World) -> None:
    _, party = world.linked_company()
    delete(world, COMPANY)
    del world.base.records[party.ref]

    assert decide(world, create=True) == GiveUp()
    assert world.portal.records == {}


def test_a_doorbell_of_a_counterparty_is_answered_by_a_look(world: World) -> None:
    _, party = world.linked_company()
    world.base.edit(party.ref, full_name="Общество «Ромашка»")

    assert world.run(world.ring(party.ref, entity=EntityKind.CONTACT)) is Outcome.UPDATED

    assert world.portal.records[COMPANY].fields["full_name"] == "Общество «Ромашка»"


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_a_doorbell_of_a_counterparty_that_is_gone_is_for_a_person(world: World, is_marked: bool) -> None:
    _, party = world.linked_company()
    if is_marked:
        world.base.alter(party.ref, is_deleted=True)
    else:
        del world.base.records[party.ref]

    assert world.run(world.ring(party.ref, entity=EntityKind.CONTACT)) == GiveUp()

    assert (cause(world), world.letter().details["gone"]) == ("link_broken", str(party.ref))


# --- cards that were merged on the portal ----------------------------------------------------------------------------


@pytest.fixture
def merged(world: World) -> World:
    """Contact 42, linked, was merged into contact 43, which had no partner and got 42's 1C ref."""
    world.portal.put(contact())
    world.handle(world.ring(CONTACT))
    (party,) = world.base.records.values()
    lost = world.portal.records.pop(CONTACT)
    world.portal.put(contact(HEIR, fields={**IVANOV, "phones": ["+78005553535"]}, other_ref=lost.other_ref))
    world.forget_calls()
    assert party.fields["phones"] == []
    return world


HEIR = bitrix24_ref(RecordType.CONTACT, 43)


def assert_inherited(world: World) -> None:
    (party,) = world.base.records.values()
    assert party.other_ref == "b24:contact:43"
    assert party.fields["phones"] == ["+78005553535"]
    assert world.links.find(party.ref) == linked(HEIR, party.ref)
    assert world.links.find(CONTACT) is None
    assert world.memories.get(EntityKind.CONTACT, CONTACT).baseline is None
    assert world.letters.count() == 0
    assert world.handle(world.ring(CONTACT, change=Change.DELETED)) is Outcome.SKIPPED
    assert world.handle(world.ring(HEIR)) is Outcome.ECHO


def test_a_merge_is_recognised_by_the_deletion(merged: World) -> None:
    assert merged.run(merged.ring(CONTACT, change=Change.DELETED)) is Outcome.UPDATED

    assert_inherited(merged)


def test_a_merge_is_recognised_by_the_update(merged: World) -> None:
    assert merged.run(merged.ring(HEIR)) is Outcome.UPDATED

    assert_inherited(merged)


def test_what_was_agreed_with_the_merged_card_counts_for_its_heir(merged: World) -> None:
    """Else a name that the manager chose while merging would be a conflict."""
    merged.portal.edit(HEIR, name="Иванов Иван")

    assert merged.run(merged.ring(HEIR)) is Outcome.UPDATED

    (party,) = merged.base.records.values()
    assert party.fields["name"] == "Иванов Иван"


def test_a_copied_card_is_no_heir(world: World) -> None:
    """The first one is alive: its 1C ref was copied, and its partner stays its own."""
    world.portal.put(contact())
    world.handle(world.ring(CONTACT))
    world.portal.put(contact(HEIR, other_ref=world.portal.records[CONTACT].other_ref))

    assert world.run(world.ring(HEIR)) == GiveUp()

    assert cause(world) == "ambiguous_match"


@pytest.fixture
def both_linked(world: World) -> World:
    """Two contacts with an e-mail in common, each with a counterparty; the first was merged into the second."""
    for ref, name in ((CONTACT, "Иванов И."), (HEIR, "Иванов Иван Иванович")):
        world.portal.put(contact(ref, fields={**IVANOV, "name": name, "emails": [f"{ref.id}@example.com"]}))
        world.handle(world.ring(ref))
    world.portal.edit(HEIR, emails=["42@example.com", "43@example.com"])
    del world.portal.records[CONTACT]
    assert world.run(world.ring(CONTACT, change=Change.DELETED)) == GiveUp()
    return world


def party_of(world: World, email: str) -> RecordRef:
    return next(ref for ref, one in world.base.records.items() if email in one.fields["emails"])


def test_two_linked_cards_that_were_merged_are_for_a_person(both_linked: World) -> None:
    letter = both_linked.letter()
    parties = {str(ref) for ref in both_linked.base.records}

    assert letter.cause == "merged_away"
    assert set(letter.details["candidates"]) == parties
    link = both_linked.links.find(CONTACT)
    assert link is not None
    assert link.deleted_in is System.BITRIX24


@pytest.mark.parametrize("kept", ["42@example.com", "43@example.com"])
def test_the_counterparty_that_1c_keeps_is_the_heirs(both_linked: World, kept: str) -> None:
    pick = party_of(both_linked, kept)
    both_linked.base.edit(pick, name="Иванов Иван Иванович")

    decide(both_linked, pick=pick)

    assert both_linked.links.find(HEIR) == linked(HEIR, pick)
    assert both_linked.base.records[pick].other_ref == "b24:contact:43"
    assert both_linked.letters.count() == 0


def test_a_deleted_card_that_only_looks_like_another_is_no_merge(world: World) -> None:
    """One with the same key, that nobody linked and that has not got the 1C ref, may be anybody's."""
    world.portal.put(contact())
    world.handle(world.ring(CONTACT))
    world.portal.put(contact(HEIR))
    del world.portal.records[CONTACT]

    assert world.run(world.ring(CONTACT, change=Change.DELETED)) == GiveUp()

    assert cause(world) == "link_broken"


# --- closed deals ----------------------------------------------------------------------------------------------------


def test_a_closed_deal_is_reopened_by_a_person(world: World) -> None:
    world.deals.records[DEAL] = deal(stage="LOSE", is_closed=True)
    world.links.save(linked(DEAL, ORDER))
    assert world.run(told(world, "КОтгрузке")) == GiveUp()
    assert cause(world) == "deal_closed"

    assert decide(world, reopen=True) is Outcome.UPDATED

    assert world.deals.records[DEAL].stage == "FINAL_INVOICE"


# --- totals ----------------------------------------------------------------------------------------------------------


def mismatched(world: World, total: str = "1190.00") -> World:
    """A deal whose order comes to another sum in 1C than its own 1200.00."""
    world.linked_company()
    world.deals.records[DEAL] = deal()
    world.documents.totals["b24:deal:5"] = Decimal(total)
    return world


def test_a_total_that_differs_is_told_and_holds_nothing_back(world: World) -> None:
    assert mismatched(world).run(world.ring(DEAL)) == GiveUp()

    letter = world.letter()
    assert (letter.cause, letter.holds_back) == ("total_mismatch", False)
    assert letter.details["totals"] == {"bitrix24": "1200.00", "onec": "1190.00"}
    assert world.deals.records[DEAL].onec_id is not None  # all was written
    assert world.deals.comments


def test_the_notice_goes_when_the_sums_agree(world: World) -> None:
    mismatched(world).run(world.ring(DEAL))
    world.documents.totals.clear()
    world.deals.records[DEAL] = replace(world.deals.records[DEAL], fields={**deal().fields, "title": "Поставка 2"})

    assert world.run(world.ring(DEAL)) is Outcome.UPDATED

    assert world.letters.count() == 0


def test_the_notice_is_brought_up_to_date_while_they_differ(world: World) -> None:
    mismatched(world).run(world.ring(DEAL))
    world.documents.totals["b24:deal:5"] = Decimal("1000.00")

    assert world.run(world.ring(DEAL)) == GiveUp()

    assert world.letter().details["totals"]["onec"] == "1000.00"


@pytest.mark.parametrize(("total", "is_told"), [("1199.99", False), ("1200.01", False), ("1199.98", True)])
def test_a_difference_within_the_tolerance_is_none(world: World, total: str, is_told: bool) -> None:
    outcome = mismatched(world, total).run(world.ring(DEAL))

    assert (outcome == GiveUp()) is is_told


def test_an_order_whose_total_is_not_told_is_believed(world: World) -> None:
    world.linked_company()
    world.deals.records[DEAL] = deal()
    world.documents.after("upsert_order", lambda: world.documents.marked.add("b24:deal:5"))

    assert world.run(world.ring(DEAL)) is Outcome.CREATED


# --- what gave way ---------------------------------------------------------------------------------------------------


def test_a_value_that_is_put_back_is_counted_and_kept_for_audit(world: World) -> None:
    _, party = world.linked_company()
    world.base.edit(party.ref, phones=["+78005553535"])

    world.run(world.tell(world.base.records[party.ref]))

    assert world.base.records[party.ref].fields["phones"] == ROMASHKA["phones"]
    assert world.tally.put_back_fields == {"phones": 1}
    entry = world.office.story(COMPANY)[-1]
    assert entry.facts["lost"] == [
        {"field": "phones", "system": "onec", "value": ["+78005553535"], "kept": ROMASHKA["phones"]}
    ]


def test_a_value_that_gives_way_at_the_first_meeting_is_kept_and_not_counted(world: World) -> None:
    world.portal.put(company())
    world.base.put(company(PARTY, fields={**ROMASHKA, "phones": ["+78005553535"]}))

    world.run(world.ring(COMPANY))

    assert world.tally.put_back_fields == {}
    (lost,) = world.office.story(COMPANY)[-1].facts["lost"]
    assert (lost["system"], lost["value"]) == ("onec", ["+78005553535"])


def test_shared_lists_are_united(world: World) -> None:
    party_rules = replace(world.rules.counterparties, owners={})
    world.rules = replace(world.rules, counterparties=party_rules)
    _, party = world.linked_company()
    world.portal.edit(COMPANY, phones=[*ROMASHKA["phones"], "+78005550001"])
    world.base.edit(party.ref, phones=[*ROMASHKA["phones"], "+78005550002"])

    world.run(world.ring(COMPANY))

    all_three = [*ROMASHKA["phones"], "+78005550001", "+78005550002"]
    assert world.portal.records[COMPANY].fields["phones"] == all_three
    assert world.base.records[party.ref].fields["phones"] == all_three
    baseline = world.memories.get(EntityKind.CONTACT, COMPANY).baseline
    assert isinstance(baseline, Baseline)
    assert baseline.onec["phones"] == all_three


# --- the story of a failure ------------------------------------------------------------------------------------------


def test_a_failure_tells_what_was_decided_about_it(world: World) -> None:
    world.deals.records[DEAL] = deal(company=None)

    world.run(world.ring(DEAL))

    entry = world.office.story(DEAL)[-1]
    assert (entry.what, entry.facts["cause"]) == ("dead_letter", "no_counterparty")
    assert entry.facts["letter"] == world.letter().id
    assert [letter.id for letter in world.filed] == [world.letter().id]
