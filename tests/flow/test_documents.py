"""Leads, deals, invoices and statuses between both real systems."""

from __future__ import annotations

from typing import Any

import pytest

from sync_worker.domain.identity import RecordType, bitrix24_ref
from tests.flow.world import INN, KPP, FlowWorld


@pytest.fixture
def world(make_world):
    return make_world()


def sent_deal(world: FlowWorld, **form: Any) -> tuple[Any, dict[str, Any]]:
    """A deal of a company, and the order that 1C made of it."""
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id, **form)
    world.drain()
    (order,) = world.in_onec("orders")
    return deal, order


def comments(world: FlowWorld, deal: Any) -> list[str]:
    told = world.portal.call("crm.timeline.comment.list", filter={"ENTITY_ID": deal.id, "ENTITY_TYPE": "deal"})
    return [comment["COMMENT"] for comment in told]


def qualified_lead(world: FlowWorld) -> Any:
    id_ = world.portal_form("leads", title="Заявка", name="Олег")
    world.portal_form(f"leads/{id_}", status_id="CONVERTED")
    return bitrix24_ref(RecordType.LEAD, id_)


def smart_invoices(world: FlowWorld) -> list[dict[str, Any]]:
    return world.portal.call("crm.item.list", entityTypeId=31, select=["*"])["items"]


def test_lead_is_sent_once_it_is_qualified_and_followed_then(world):
    id_ = world.portal_form("leads", title="Заявка", name="Олег", phone="8 903 555-03-03")
    assert set(world.drain()) == {"skipped"}
    world.portal_form(f"leads/{id_}", status_id="CONVERTED")
    world.drain()
    world.portal_form(f"leads/{id_}", title="Заявка 2")
    world.drain()
    (lead,) = world.in_onec("leads")
    assert (lead["external_id"], lead["title"], lead["phones"][0]["value"]) == (
        f"b24:lead:{id_}", "Заявка 2", "+79035550303",
    )  # fmt: skip
    assert world.in_portal("lead", id_)["UF_CRM_1C_ID"] == lead["ref"]
    world.assert_at_rest()


def test_deal_sends_its_company_first_and_gets_its_number_once(world):
    company = world.company(inn=INN, kpp=KPP)
    deal = world.deal(company_id=company.id)
    world.events()
    assert world.handle(world.bell(deal)) == "created"
    (party,), (order,) = world.in_onec("counterparties"), world.in_onec("orders")
    assert (order["counterparty_ref"], order["amount"]) == (party["ref"], "1200.50")
    assert world.in_portal("deal", deal.id)["UF_CRM_1C_ID"] == order["ref"]
    world.assert_at_rest()
    assert comments(world, deal) == [f"1С: создан заказ № {order['number']}"]


def test_deal_that_has_not_reached_its_stage_stays_home(world):
    world.deal(company_id=world.company(inn=INN).id, stage_id="NEW")
    world.drain()
    assert world.in_onec("orders") == []


def test_deal_that_moved_on_before_its_event_came_is_sent(world):
    deal = world.deal(company_id=world.company(inn=INN).id)
    world.portal_form(f"deals/{deal.id}", stage_id="FINAL_INVOICE")
    world.drain()
    assert len(world.in_onec("orders")) == 1
    world.assert_at_rest()


def test_changed_rows_change_the_order(world):
    deal, _order = sent_deal(world)
    world.portal_form(
        f"deals/{deal.id}", row_name=["Стол", "Стул"], row_quantity=["1", "3"], row_price=["600.25", "333.33"],
        row_tax_rate=["20", ""], row_discount_sum=["", "16.66"],
    )  # fmt: skip
    world.drain()
    (order,) = world.in_onec("orders")
    assert [row["name"] for row in order["rows"]] == ["Стол", "Стул"]
    assert order["amount"] == world.in_portal("deal", deal.id)["OPPORTUNITY"]
    world.assert_at_rest()


def test_deal_of_nobody_waits_for_a_person_and_goes_when_it_has_somebody(world):
    deal = world.deal()
    world.drain()
    (letter,) = world.letters()
    assert letter.cause == "no_counterparty"
    world.portal_form(f"deals/{deal.id}", company_id=world.company(inn=INN).id)
    world.drain()
    assert world.in_onec("orders") == []  # later events wait behind the letter
    world.replay(letter)
    world.drain()
    assert len(world.in_onec("orders")) == 1
    assert world.letters() == []
    world.assert_at_rest()


def test_contact_of_a_company_stands_for_it_in_a_deal(make_world):
    world = make_world(contacts="without_company")
    company = world.company(inn=INN)
    contact = world.contact(company_id=company.id)
    world.deal(contact_id=contact.id)
    world.drain()
    (order,), (party,) = world.in_onec("orders"), world.in_onec("counterparties")
    assert (order["counterparty_ref"], party["external_id"]) == (party["ref"], company.external_id)
    world.assert_at_rest()


class TestStatuses:
    def test_status_moves_the_deal_and_its_echo_is_nothing(self, world):
        deal, order = sent_deal(world)
        world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")
        world.drain()
        assert world.in_portal("deal", deal.id)["STAGE_ID"] == "FINAL_INVOICE"
        world.assert_at_rest()

    def test_older_status_does_not_move_it_back(self, world):
        deal, order = sent_deal(world)
        world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")
        world.onec.by_hand(f"orders/{order['ref']}", status="Закрыт")
        older, newer = world.events()
        assert [world.handle(newer), world.handle(older)] == ["updated", "stale"]
        assert world.in_portal("deal", deal.id)["STAGE_ID"] == "WON"
        world.assert_at_rest()

    def test_closed_deal_is_not_reopened(self, world):
        deal, order = sent_deal(world)
        world.portal_form(f"deals/{deal.id}", stage_id="LOSE")
        world.drain()
        world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")
        world.drain()
        assert [letter.cause for letter in world.letters()] == ["deal_closed"]
        assert world.in_portal("deal", deal.id)["STAGE_ID"] == "LOSE"

    def test_status_that_no_rule_names_waits_for_a_person(self, world):
        _deal, order = sent_deal(world)
        world.onec.by_hand(f"orders/{order['ref']}", status="Отменен")
        world.drain()
        assert [letter.cause for letter in world.letters()] == ["status_unmapped"]

    def test_stage_that_the_portal_refuses_waits_for_a_person(self, make_world):
        world = make_world(required_at_stage={"FINAL_INVOICE": ("COMMENTS",)})
        deal, order = sent_deal(world)
        world.onec.by_hand(f"orders/{order['ref']}", status="КОтгрузке")
        world.drain()
        (letter,) = world.letters()
        assert letter.cause == "required_field"
        world.portal_form(f"deals/{deal.id}", comments="Заполнено")
        world.replay(letter)
        world.drain()
        assert world.letters() == []
        assert world.in_portal("deal", deal.id)["STAGE_ID"] == "FINAL_INVOICE"
        world.assert_at_rest()


class TestInvoices:
    def test_invoice_follows_1c_from_issue_to_payment(self, world):
        deal, order = sent_deal(world)
        made = world.onec.by_hand("invoices", order_ref=order["ref"], pay_before="2026-12-31")
        world.drain()
        (invoice,) = smart_invoices(world)
        assert (invoice["xmlId"], invoice["parentId2"], invoice["opportunity"]) == (made["ref"], int(deal.id), 1200.5)
        assert made["number"] in invoice["title"]
        world.onec.by_hand(f"invoices/{made['ref']}", paid_amount="1200.50")
        world.drain()
        (invoice,) = smart_invoices(world)
        assert invoice["stageId"].endswith(":P")
        world.assert_at_rest()

    def test_edit_on_the_portal_is_taken_back(self, world):
        _deal, order = sent_deal(world)
        world.onec.by_hand("invoices", order_ref=order["ref"])
        world.drain()
        (invoice,) = smart_invoices(world)
        world.portal_form(f"smart_invoices/{invoice['id']}", title="Не тот счёт")
        world.drain()
        assert smart_invoices(world)[0]["title"] == invoice["title"]
        world.assert_at_rest()

    def test_same_and_older_events_write_nothing(self, world):
        _deal, order = sent_deal(world)
        made = world.onec.by_hand("invoices", order_ref=order["ref"])
        world.onec.by_hand(f"invoices/{made['ref']}", comment="новый")
        older, newer = world.events()
        assert world.handle(newer) == "created"
        with world.counted() as count:
            assert [world.handle(newer), world.handle(older)] == ["stale", "stale"]
        assert count.portal == []
        world.assert_at_rest()

    def test_card_that_was_deleted_is_not_made_again(self, world):
        _deal, order = sent_deal(world)
        made = world.onec.by_hand("invoices", order_ref=order["ref"])
        world.drain()
        (invoice,) = smart_invoices(world)
        world.portal.call("crm.item.delete", entityTypeId=31, id=invoice["id"])
        world.drain()
        assert [letter.cause for letter in world.letters()] == ["link_broken"]
        world.onec.by_hand(f"invoices/{made['ref']}", comment="новый")
        world.drain()
        assert smart_invoices(world) == []

    @pytest.mark.parametrize("paid", ["", "600.00", "1200.50"])
    def test_old_invoices_where_the_settings_say_so(self, make_world, paid):
        world = make_world(invoices="legacy")
        deal, order = sent_deal(world)
        made = world.onec.by_hand("invoices", order_ref=order["ref"], pay_before="2026-12-31")
        world.drain()
        world.onec.by_hand(f"invoices/{made['ref']}", **({"paid_amount": paid} if paid else {"comment": "новый"}))
        world.drain()
        (listed,) = world.portal.call("crm.invoice.list")
        invoice = world.portal.call("crm.invoice.get", id=listed["ID"])
        assert (invoice["XML_ID"], invoice["UF_DEAL_ID"], invoice["PRICE"]) == (made["ref"], deal.id, "1200.50")
        assert invoice["STATUS_ID"] == {"": "N", "600.00": "S", "1200.50": "P"}[paid]
        assert smart_invoices(world) == []
        world.assert_at_rest()

    def test_invoice_of_an_order_that_no_deal_made_has_its_payer(self, world):
        party = world.party(inn=INN)
        made = world.onec.by_hand("invoices", counterparty_ref=party, amount="500.00")
        world.drain()
        (invoice,) = smart_invoices(world)
        link = world.worker.links.find(bitrix24_ref(RecordType.INVOICE, invoice["id"]))
        assert link.onec.id == made["ref"]
        assert str(invoice["companyId"]) == world.portal_all("company")[0]["ID"]
        assert not invoice["parentId2"]
        world.assert_at_rest()


@pytest.mark.parametrize("what", ["lead", "deal"])
def test_portal_without_our_field_waits_for_setup_and_does_not_go_round_in_circles(make_world, what):
    world = make_world(with_user_fields=False)
    ref = world.deal(company_id=world.company(inn=INN).id) if what == "deal" else qualified_lead(world)
    world.events()
    assert world.handle(world.bell(ref)) == "misconfigured"
    assert [event for event in world.events() if event.record == ref] == []  # nothing was written there

    world.portal.call(f"crm.{what}.userfield.add", fields={"FIELD_NAME": "UF_CRM_1C_ID", "USER_TYPE_ID": "string"})
    world.drain()
    (document,) = world.in_onec(f"{'order' if what == 'deal' else what}s")
    assert world.in_portal(what, ref.id)["UF_CRM_1C_ID"] == document["ref"]
    world.assert_at_rest()
