"""1C invoice -> its card on the portal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_worker.contract import Change, OnecState
from sync_worker.domain.identity import EntityKind, RecordRef, RecordType, System, bitrix24_ref
from sync_worker.domain.outcome import Outcome
from sync_worker.errors import BadEvent, LinkBroken, RecordBusy
from sync_worker.gateways.onec.states import OnecStates
from sync_worker.sync.invoice import card_row
from tests.unit.sync.world import COMPANY, CONTACT, DEAL, INVOICE, ORDER, PARTY, World, company, linked

ROW = {"name": "Бумага", "quantity": "2", "price": "500.00", "discount": "0.00", "vat_rate": "20", "amount": "1000.00"}


def issued(world: World, *, sequence: int = 1, **changes: Any) -> Any:
    data = {
        "number": "12",
        "date": "2026-11-21",
        "pay_before": "2026-12-01",
        "amount": "1000",
        "currency": "RUB",
        "status": "issued",
        "rows": [ROW],
        "order_external_id": "b24:deal:5",
        "counterparty_external_id": "b24:company:7",
        **changes,
    }
    state = OnecState(data=data, sequence=sequence, version=f"v{sequence}", external_id=None, event_id=f"e{sequence}")
    world.invoices.invoices[INVOICE] = OnecStates().invoice(INVOICE, state)
    return world.event(EntityKind.INVOICE, INVOICE, state)


def the_card(world: World) -> RecordRef:
    (ref,) = world.cards.cards
    return ref


@pytest.fixture
def shown(world: World) -> World:
    """A world where the invoice has its card already."""
    world.handle(issued(world))
    world.forget_calls()
    return world


# --- a doorbell of 1C's ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", list(Change))
def test_an_event_without_a_state_is_a_look_and_no_deletion(world: World, change: Change) -> None:
    issued(world)

    outcome = world.handle(world.ring(INVOICE, entity=EntityKind.INVOICE, change=change))

    assert outcome is Outcome.CREATED
    assert world.links.find(INVOICE) == linked(the_card(world), INVOICE)


def test_a_look_at_an_invoice_that_is_gone_is_for_a_person(shown: World) -> None:
    shown.invoices.invoices.clear()

    with pytest.raises(LinkBroken) as caught:
        shown.handle(shown.ring(INVOICE, entity=EntityKind.INVOICE))

    assert caught.value.gone == INVOICE


# --- from 1C ---------------------------------------------------------------------------------------------------------


def test_an_issued_invoice_gets_a_card_on_its_deal(world: World) -> None:
    outcome = world.handle(issued(world))

    ref = the_card(world)
    assert outcome is Outcome.CREATED
    assert world.links.find(INVOICE) == linked(ref, INVOICE)
    assert world.cards.cards[ref].xml_id == INVOICE.id
    assert world.cards.cards[ref].fields == {
        "title": "Счёт № 12 от 21.11.2026",
        "opportunity": "1000.00",
        "currency": "RUB",
        "begin_on": "2026-11-21",
        "pay_before": "2026-12-01",
        "stage": "N",
        "comment": None,
        "deal_id": "5",
        "company_id": "7",
        "contact_id": None,
        "rows": [
            {"name": "Бумага", "quantity": "2", "price": "500.00", "tax_rate": "20", "is_tax_included": True},
        ],
    }


@pytest.mark.parametrize(("status", "stage"), [("partly_paid", "S"), ("paid", "P"), ("cancelled", "D")])
def test_a_state_of_payment_moves_the_card(shown: World, status: str, stage: str) -> None:
    assert shown.handle(issued(shown, sequence=2, status=status)) is Outcome.UPDATED
    assert shown.cards.cards[the_card(shown)].fields["stage"] == stage


def test_the_same_state_again_makes_no_call(shown: World) -> None:
    assert shown.handle(issued(shown)) is Outcome.STALE
    assert shown.cards.calls == []


def test_an_older_state_that_comes_late_changes_nothing(world: World) -> None:
    older = issued(world, sequence=1)
    world.handle(issued(world, sequence=2, status="paid"))

    assert world.handle(older) is Outcome.STALE
    assert world.cards.cards[the_card(world)].fields["stage"] == "P"


def test_a_newer_state_with_nothing_new_writes_nothing(shown: World) -> None:
    assert shown.handle(issued(shown, sequence=2)) is Outcome.UNCHANGED
    assert shown.cards.count("update") == 0


def test_a_card_that_was_made_before_the_link_was_lost_is_found_again(world: World) -> None:
    world.cards.fail("create", KeyboardInterrupt(), is_done=True)
    with pytest.raises(KeyboardInterrupt):
        world.handle(issued(world))

    assert world.handle(issued(world)) is Outcome.UPDATED
    assert world.links.find(INVOICE) == linked(the_card(world), INVOICE)


def test_a_crash_before_the_rows_were_written_is_made_good(world: World) -> None:
    world.cards.fail("update", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.handle(issued(world))

    world.handle(issued(world))

    assert len(world.cards.cards[the_card(world)].fields["rows"]) == 1


def test_a_card_that_is_gone_is_not_made_again(shown: World) -> None:
    del shown.cards.cards[the_card(shown)]

    with pytest.raises(LinkBroken, match="is gone"):
        shown.handle(issued(shown, sequence=2, status="paid"))

    assert shown.cards.count("create") == 0


def test_a_card_that_goes_while_it_is_written_is_told(shown: World) -> None:
    ref = the_card(shown)
    shown.cards.after("update", lambda: shown.cards.cards.pop(ref))

    with pytest.raises(LinkBroken, match="is gone"):
        shown.handle(issued(shown, sequence=2, status="paid"))


def test_a_deleted_invoice_leaves_a_tombstone_and_its_card(shown: World) -> None:
    ref = the_card(shown)

    shown.lose(shown.deleted_in_onec(EntityKind.INVOICE, INVOICE))

    assert shown.links.find(ref) == linked(ref, INVOICE, deleted_in=System.ONEC)
    assert shown.cards.calls == []


def test_a_tombstone_is_final(shown: World) -> None:
    shown.links.save(linked(the_card(shown), INVOICE, deleted_in=System.BITRIX24))

    assert shown.handle(issued(shown, sequence=2, status="paid")) is Outcome.SKIPPED


def test_an_invoice_that_was_restored_loses_its_tombstone(shown: World) -> None:
    shown.lose(shown.deleted_in_onec(EntityKind.INVOICE, INVOICE, sequence=2))

    assert shown.handle(issued(shown, sequence=3, status="paid")) is Outcome.UPDATED
    assert shown.links.find(INVOICE) == linked(the_card(shown), INVOICE)


def test_an_older_state_that_comes_late_revives_nothing(shown: World) -> None:
    shown.lose(shown.deleted_in_onec(EntityKind.INVOICE, INVOICE, sequence=3))

    assert shown.handle(issued(shown, sequence=2, status="paid")) is Outcome.STALE
    assert shown.links.find(INVOICE) == linked(the_card(shown), INVOICE, deleted_in=System.ONEC)


def test_an_invoice_deleted_before_it_was_ever_shown_gets_no_card(world: World) -> None:
    assert world.handle(world.deleted_in_onec(EntityKind.INVOICE, INVOICE, sequence=3)) is Outcome.SKIPPED

    assert world.handle(issued(world, sequence=2)) is Outcome.STALE
    assert world.cards.cards == {}


def test_an_invoice_that_another_task_holds_is_left_to_it(world: World) -> None:
    with world.locks.hold(str(INVOICE)), pytest.raises(RecordBusy):
        world.handle(issued(world))


def test_a_state_without_a_number_is_a_bad_event(world: World) -> None:
    with pytest.raises(BadEvent, match="number"):
        issued(world, number=None)


# --- what it hangs on ------------------------------------------------------------------------------------------------


def test_an_invoice_before_its_counterparty_sends_it_first(world: World) -> None:
    world.base.put(company(PARTY))

    world.handle(issued(world, counterparty_external_id=None, counterparty_ref=PARTY.id))

    (card,) = world.portal.records
    assert world.cards.cards[the_card(world)].fields["company_id"] == card.id


def test_an_invoice_for_a_person_names_the_contact(world: World) -> None:
    world.links.save(linked(CONTACT, PARTY))

    world.handle(issued(world, counterparty_external_id=None, counterparty_ref=PARTY.id))

    fields = world.cards.cards[the_card(world)].fields
    assert (fields["company_id"], fields["contact_id"]) == (None, "42")


def test_an_invoice_of_nobody_and_no_order_is_shown_all_the_same(world: World) -> None:
    world.handle(issued(world, counterparty_external_id=None, order_external_id=None))

    fields = world.cards.cards[the_card(world)].fields
    assert (fields["company_id"], fields["contact_id"], fields["deal_id"]) == (None, None, None)


@pytest.mark.parametrize("deleted_in", [None, System.BITRIX24], ids=["linked", "deleted"])
def test_the_deal_is_found_by_the_order_while_it_is_there(world: World, deleted_in: System | None) -> None:
    world.links.save(linked(DEAL, ORDER, deleted_in=deleted_in))

    world.handle(issued(world, order_external_id=None, order_ref=ORDER.id))

    assert world.cards.cards[the_card(world)].fields["deal_id"] == (None if deleted_in else "5")


# --- touched on the portal -------------------------------------------------------------------------------------------


def test_the_echo_of_our_own_write_costs_one_read(shown: World) -> None:
    assert shown.handle(shown.ring(the_card(shown))) is Outcome.ECHO
    assert (shown.cards.calls, shown.invoices.calls) == (["read"], [])


def test_a_card_edited_by_hand_gets_the_values_of_onec_back(shown: World) -> None:
    ref = the_card(shown)
    shown.cards.edit(ref, opportunity="1.00")

    assert shown.handle(shown.ring(ref)) is Outcome.UPDATED
    assert shown.cards.cards[ref].fields["opportunity"] == "1000.00"
    assert shown.handle(shown.ring(ref)) is Outcome.ECHO


@pytest.mark.parametrize("change", list(Change))
def test_a_card_that_was_deleted_leaves_a_tombstone_and_the_invoice(shown: World, change: Change) -> None:
    ref = the_card(shown)
    del shown.cards.cards[ref]

    shown.lose(shown.ring(ref, change=change))

    assert shown.links.find(INVOICE) == linked(ref, INVOICE, deleted_in=System.BITRIX24)


def test_a_card_of_nobody_of_ours_is_left_alone(world: World) -> None:
    assert world.handle(world.ring(bitrix24_ref(RecordType.INVOICE, 1))) is Outcome.SKIPPED
    assert world.cards.calls == []


def test_a_card_with_a_tombstone_is_left_alone(shown: World) -> None:
    shown.links.save(linked(the_card(shown), INVOICE, deleted_in=System.ONEC))

    assert shown.handle(shown.ring(the_card(shown))) is Outcome.SKIPPED


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked for deletion", "gone"])
def test_a_card_whose_invoice_turns_out_to_be_gone_gets_a_tombstone(shown: World, is_marked: bool) -> None:
    ref = the_card(shown)
    shown.cards.edit(ref, opportunity="1.00")
    invoice = shown.invoices.invoices.pop(INVOICE)
    if is_marked:
        shown.invoices.invoices[INVOICE] = replace(invoice, is_deleted=True)

    shown.lose(shown.ring(ref))

    assert shown.links.find(ref) == linked(ref, INVOICE, deleted_in=System.ONEC)


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"quantity": "3", "price": "0", "amount": "100.00"}, {"quantity": "3", "price": "33.33"}),
        ({"quantity": "2", "price": "500", "discount": "100"}, {"quantity": "2", "price": "450.00"}),
        ({"quantity": "10", "price": "1.50"}, {"quantity": "10", "price": "1.50"}),
        ({"quantity": "0", "price": "1.50"}, {"quantity": "0", "price": "0.00"}),
        (
            {"quantity": "2", "price": "100", "amount": "200", "vat_rate": "20", "vat_included": False},
            {"quantity": "2", "price": "120.00", "tax_rate": "20", "is_tax_included": False},
        ),
        (
            {"quantity": "1", "price": "100", "vat_rate": None, "vat_included": False},
            {"quantity": "1", "price": "100.00", "is_tax_included": False},
        ),
    ],
    ids=["amount rules", "discount off the row", "no zeros lost", "no quantity", "VAT on top", "without VAT"],
)
def test_a_row_shows_the_price_of_one_unit_after_discount_with_vat(
    row: dict[str, Any], expected: dict[str, Any]
) -> None:
    plain = {"name": "Бумага", "tax_rate": None, "is_tax_included": True}

    assert card_row({"name": "Бумага", **row}) == {**plain, **expected}


def test_the_invoice_of_a_company_is_not_the_contacts(shown: World) -> None:
    assert shown.cards.cards[the_card(shown)].fields["company_id"] == COMPANY.id
